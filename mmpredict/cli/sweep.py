"""``mmpredict sweep SCENARIO``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmpredict.cli.console import OUTPUT, REMARKS, print_json, progress_bars, remark, write_json
from mmpredict.cli.scenario import AsJson, Hardware, ScenarioFile, Seed
from mmpredict.errors import InputError

if TYPE_CHECKING:
    from mmpredict.results.sweep import Sweep


def sweep(
    scenario: ScenarioFile,
    key: Annotated[
        str,
        typer.Option(
            "--key",
            help="What changes: load[0].rate_per_s=0.1:2:10 (first:last:count, :log for equal ratios) or server.slots=1,2,4,8; any "
            "key of the scenario, or users.",
        ),
    ],
    strategy: Annotated[
        list[str] | None, typer.Option("--strategy", help="Strategy instead of the scenario's; repeatable.")
    ] = None,
    hardware: Hardware = None,
    draws: Annotated[int, typer.Option("--draws", min=0, max=100_000, help="Simulations behind the bounds of a point.")] = 10,
    seed: Seed = 0,
    workers: Annotated[int | None, typer.Option("--workers", min=1, max=1024, help="Processes; by itself where worth it.")] = None,
    as_json: AsJson = False,
    output: Annotated[
        list[Path] | None, typer.Option("--output", help="File to write: .csv, .json, .png, .svg or .pdf; repeatable.")
    ] = None,
) -> None:
    """Simulate while one key of the scenario changes: a load curve with its knee.

    Example: mmpredict sweep scenario.toml --key load[0].rate_per_s=0.1:2:10 --output curve.png --output curve.csv
    """
    from mmpredict import api
    from mmpredict.answers import SCHEMA_VERSION
    from mmpredict.report.style import FORMATS
    from mmpredict.report.sweep import sweep_lines, sweep_table
    from mmpredict.scenario import read_scenario
    from mmpredict.scenario.sweep_key import parse_sweep

    for path in output or ():
        if path.suffix.lower().removeprefix(".") not in (*FORMATS, "csv", "json"):
            raise InputError(f"cannot write {path.name}: its name must end in .csv, .json, .png, .svg or .pdf")
    name, values = parse_sweep(key)
    question = read_scenario(scenario)
    if hardware is not None:
        question = question.model_copy(update={"hardware": hardware})
    if strategy:
        question = question.model_copy(update={"strategies": tuple(strategy)})
    if REMARKS.is_terminal:
        with progress_bars() as bars:
            found = api.sweep(
                question, name, values, draws=draws, seed=seed, workers=workers,
                progress=lambda label, fraction: bars("simulating", label, fraction),
            )  # fmt: skip
    else:
        found = api.sweep(question, name, values, draws=draws, seed=seed, workers=workers)
    document = {"schema_version": SCHEMA_VERSION, **found.to_dict()}
    for path in output or ():
        _write(found, document, path)
    if as_json:
        print_json(document)
        return
    OUTPUT.print(sweep_table(found))
    for line in sweep_lines(found):
        OUTPUT.print(line, highlight=False, markup=False, soft_wrap=True)


def _write(found: Sweep, document: dict[str, Any], path: Path) -> None:
    from mmpredict.report.curves import draw_sweep
    from mmpredict.saving import make_directory, save

    make_directory(path.parent)
    if path.suffix.lower() == ".csv":
        save(found.to_csv().encode(), path)
    elif path.suffix.lower() == ".json":
        write_json(document, path)
    else:
        draw_sweep(found.points, path, found.knees)
    remark(f"written: {path}")
