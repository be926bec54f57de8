"""``mmpredict timeline RESULT -o FILE``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmpredict.cli.console import print_json, remark
from mmpredict.errors import InputError

SCHEMA_VERSION = 1


def timeline(
    result: Annotated[
        Path, typer.Argument(metavar="RESULT", help="prediction.json, execution.json, validation.json, or a demo's report.json.")
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="Picture (.png, .svg, .pdf), report (.html), or trace for ui.perfetto.dev (.json)."),
    ],
    strategy: Annotated[str | None, typer.Option("--strategy", help="This strategy only.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as one JSON document.")] = False,
) -> None:
    """Draw what happened when: models, their slots, waits and memory, of a result that was written with --output.

    Example: mmpredict timeline runs/1/prediction.json -o timeline.svg
    """
    from mmpredict.report.html import write_page
    from mmpredict.report.perfetto import write_trace
    from mmpredict.report.style import FORMATS
    from mmpredict.report.timeline import draw_outcome
    from mmpredict.results.saved import read_outcome

    suffix = output.suffix.lower().removeprefix(".")
    if suffix not in (*FORMATS, "html", "json"):  # before a large file is read
        raise InputError(f"{output.name!r} has the unknown suffix {output.suffix!r}; allowed: .png, .svg, .pdf, .html, .json")
    if output.exists() and output.samefile(result):
        raise InputError(f"{output} is the result itself; choose another name")
    found = read_outcome(result)
    if strategy is not None:
        found = found.only(strategy)
    if suffix == "html":
        write_page(found, output)
    elif suffix == "json":
        write_trace(found.runs, output)
    else:
        draw_outcome(found, output)
    if as_json:
        runs = [label for label, _ in found.runs]
        print_json({"schema_version": SCHEMA_VERSION, "written": str(output), "format": suffix, "runs": runs})
    else:
        remark(f"written: {output}")
