"""``mmpredict validate SCENARIO | WORD``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmpredict.cli.console import OUTPUT, print_json, progress_bars, remark, warn, write_json
from mmpredict.cli.history import show_history
from mmpredict.cli.memory_check import validate_memory
from mmpredict.cli.recording import keeper, served_by
from mmpredict.cli.scenario import AsJson, Draws, Limit, Output, Seed, logs_directory, require_answers
from mmpredict.cli.scenarios_check import MAX_COUNT, ScenariosOptions, validate_scenarios
from mmpredict.cli.serving_check import validate_serving
from mmpredict.cli.speed_check import validate_speed
from mmpredict.errors import InputError

OUT_OF_TOLERANCE = 4

OF_A_FILE = ("output", "draws", "seed", "limit", "repeat", "tolerance")
OF_WORDS = ("quick", "count", "resume", "runs")
OPTIONS_OF: dict[str, tuple[str, ...]] = {
    "memory": ("output", "quick"),
    "speed": ("output", "quick"),
    "serving": ("output", "quick"),
    "scenarios": ("output", "draws", "seed", "quick", "count", "resume", "runs"),
    "history": (),
}
"""Word in the place of a scenario file → parameters that it takes besides ``--json``; what it would ignore is refused."""


def validate(
    context: typer.Context,
    scenario: Annotated[
        Path,
        typer.Argument(
            metavar="SCENARIO|WORD",
            help="Scenario file (docs/scenario.md); memory, speed, serving, scenarios: our own cases; history: what was found.",
        ),
    ],
    as_json: AsJson = False,
    output: Output = None,
    draws: Draws = None,
    seed: Seed = 0,
    limit: Limit = None,
    repeat: Annotated[
        int, typer.Option("--repeat", min=1, max=1000, help="Real runs of each strategy, in rounds over all strategies.")
    ] = 1,
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0.0, help="Largest median absolute error of the makespan; beyond it, exit code 4.")
    ] = 0.25,
    quick: Annotated[bool, typer.Option("--quick", help="With one of the words: a few cases only.")] = False,
    count: Annotated[int | None, typer.Option("--count", min=1, max=MAX_COUNT, help="With scenarios: how many; 20.")] = None,
    resume: Annotated[Path | None, typer.Option("--resume", help="With scenarios: raw file to go on with.")] = None,
    runs: Annotated[Path | None, typer.Option("--from", help="With scenarios: raw file to predict anew, nothing is run.")] = None,
) -> None:
    """Predict, run the real thing, and show how far off the prediction was.

    Of a scenario every strategy is run; `mmpredict validate memory` holds predicted sizes against the buffers of real servers,
    `mmpredict validate speed` predicted speeds against servers with one model each that the calibration did not measure,
    `mmpredict validate serving` predicted latencies against servers under load, together, and loaded again, and
    `mmpredict validate scenarios` everything, in random scenarios of several models. What was found is kept: `mmpredict history`
    shows it, and `mmpredict calibrate fit --from-validation` learns from it.

    Example: mmpredict validate scenario.toml --repeat 3 --tolerance 0.2
    """
    word = str(scenario)
    _check_options(context, word)
    match word:
        case "history":
            show_history(as_json=as_json)
        case "memory":
            validate_memory(as_json, output, quick, OUT_OF_TOLERANCE)
        case "speed":
            validate_speed(as_json, output, quick, OUT_OF_TOLERANCE)
        case "serving":
            validate_serving(as_json, output, quick, OUT_OF_TOLERANCE)
        case "scenarios":
            validate_scenarios(as_json, output, ScenariosOptions(count, seed, quick, resume, runs, draws), OUT_OF_TOLERANCE)
        case _:
            _validate_file(scenario, as_json, output, draws, seed, limit, repeat, tolerance)


def _check_options(context: typer.Context, word: str) -> None:
    """Refuse options that would be ignored.

    Raises:
        InputError: an option was given that goes with something else.
    """
    taken = OPTIONS_OF.get(word, OF_A_FILE)
    for name in (*OF_A_FILE, *OF_WORDS):
        source = context.get_parameter_source(name)
        if name not in taken and source is not None and source.name != "DEFAULT":
            others = [f"`mmpredict validate {other}`" for other, options in OPTIONS_OF.items() if name in options]
            others += ["a scenario file"] if name in OF_A_FILE else []
            option = "--from" if name == "runs" else f"--{name}"
            raise InputError(f"{option} goes with {' and '.join(others)}, not with {word!r}")


def _validate_file(
    path: Path,
    as_json: bool,
    output: Path | None,
    draws: int | None,
    seed: int,
    limit_s: float | None,
    repeats: int,
    tolerance: float,
) -> None:
    """Predict and run every strategy of a scenario file."""
    from mmpredict import api
    from mmpredict.report.html import write_page
    from mmpredict.report.request_comparison import requests_table, verdict
    from mmpredict.report.table import comparison_table
    from mmpredict.report.timeline import draw_comparison
    from mmpredict.scenario import read_scenario

    question = read_scenario(path)
    with progress_bars() as bars, logs_directory(output) as logs:
        found = api.validate(
            question,
            logs,
            draws,
            seed,
            limit_s,
            lambda label, fraction: bars("running the real thing", label, fraction),
            remark=warn,
            repeats=repeats,
            keep=keeper("scenario", path.stem, question.digest, output, served_by(question.engine)),
        )
    if output is not None:
        write_json(found.to_dict(), output / "validation.json")
        draw_comparison(found.comparisons, output / "timeline.png")
        write_page(found.outcome(), output / "report.html")
    if as_json:
        print_json(found.to_dict())
    else:
        OUTPUT.print(comparison_table(found.comparisons, found.forecast.recommendation.strategy))
        if any(comparison.requests for comparison in found.comparisons):
            OUTPUT.print(requests_table(found.comparisons))
    for warning in dict.fromkeys(warning for comparison in found.comparisons for warning in comparison.prediction.warnings):
        warn(warning)
    require_answers(records for comparison in found.comparisons for records in comparison.runs)
    remark(verdict(found.comparisons, tolerance))
    if not found.median_error_frac <= tolerance:
        raise typer.Exit(OUT_OF_TOLERANCE)
