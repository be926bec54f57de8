"""``mmpredict suite NAME``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from mmpredict.cli.console import OUTPUT, print_json, progress_bars, remark, warn_if_busy, write_json
from mmpredict.cli.recording import keeper

OutputDirectory = Annotated[Path | None, typer.Option("--output", help="Directory for report.md, results.csv and results.json.")]


def suite(
    name: Annotated[str, typer.Argument(metavar="jetson|ms-s1-max", help="Whose experiments.")],
    hardware: Annotated[str, typer.Option("--hardware", help="Machine instead of the document's (mmpredict hardware list).")] = "",
    only: Annotated[list[str] | None, typer.Option("--only", metavar="ID", help="This test only; may be repeated.")] = None,
    live: Annotated[
        bool, typer.Option("--live", help="With --hardware this-machine: also run what can be run, with stand-ins of the models.")
    ] = False,
    limit: Annotated[float, typer.Option("--limit", min=1.0, help="With --live: give a run up after so many seconds.")] = 600.0,
    draws: Annotated[int | None, typer.Option("--draws", min=1, max=100_000, help="Simulations behind the intervals; 200.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the draws.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")] = False,
    output: OutputDirectory = None,
) -> None:
    """Published experiments on several models: what is asked, what is predicted, and whether the document's criteria are met.

    Everything is simulated on the document's machine, which need not be here. With --live, tests whose servers run in stages
    are also run on this machine's CPU, with random-weight stand-ins; servers on demand and questions of memory are simulated only.

    Example: mmpredict suite jetson --output reports/jetson
    """
    from mmpredict.report.suite import suite_csv, suite_markdown, suite_table
    from mmpredict.saving import make_directory, save
    from mmpredict.suite.run import SuiteOptions, run_suite

    options = SuiteOptions(hardware, tuple(only or ()), draws, seed, live, limit)
    if live:
        warn_if_busy()
    keep = keeper("suite", name, "", output) if live else None
    with progress_bars() as bars, tempfile.TemporaryDirectory(prefix="mmpredict-") as logs:
        label_of = "running" if live else "simulating"
        found = run_suite(name, options, Path(logs), lambda label, part: bars(label_of, label, part), keep)
    document = found.to_dict()
    if output is not None:
        make_directory(output)
        save(suite_markdown(found).encode(), output / "report.md")
        save(suite_csv(found).encode(), output / "results.csv")
        write_json(document, output / "results.json")
        remark(f"report: {output / 'report.md'}")
    if as_json:
        print_json(document)
    else:
        OUTPUT.print(suite_table(found))
