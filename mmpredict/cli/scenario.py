"""``mmpredict predict | execute SCENARIO``, and what ``validate`` has in common with them."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmpredict.cli.console import OUTPUT, REMARKS, print_json, progress_bars, remark, warn, write_json
from mmpredict.errors import EngineError, MmpredictError
from mmpredict.saving import make_directory

if TYPE_CHECKING:
    from mmpredict.results.records import Records

ScenarioFile = Annotated[Path, typer.Argument(metavar="SCENARIO", help="Scenario file (TOML); docs/scenario.md describes it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
Output = Annotated[Path | None, typer.Option("--output", help="Directory for the JSON document, pictures and logs.")]
Draws = Annotated[
    int | None,
    typer.Option("--draws", min=1, max=100_000, help="Simulations behind the intervals; 200, for thousands of requests fewer."),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the draws.")]
Limit = Annotated[float | None, typer.Option("--limit", min=1.0, help="Give a strategy up after so many seconds.")]
Hardware = Annotated[str | None, typer.Option("--hardware", help="Machine instead of the scenario's (mmpredict hardware list).")]


def predict(
    scenario: ScenarioFile,
    hardware: Hardware = None,
    as_json: AsJson = False,
    output: Output = None,
    draws: Draws = None,
    seed: Seed = 0,
    details: Annotated[bool, typer.Option("--details", help="Also waits and percentiles, and how busy the machine is.")] = False,
) -> None:
    """Predict every strategy of a scenario and recommend one.

    Example: mmpredict predict scenario.toml --json
    """
    from mmpredict.api import forecast
    from mmpredict.report.choice import choice_sentence
    from mmpredict.report.details import details_table, usage_lines
    from mmpredict.report.html import write_page
    from mmpredict.report.perfetto import write_trace
    from mmpredict.report.table import prediction_table
    from mmpredict.report.timeline import draw_timeline
    from mmpredict.report.waits import waits, waits_table
    from mmpredict.scenario import read_scenario

    question = read_scenario(scenario)
    if hardware is not None:
        question = question.model_copy(update={"hardware": hardware})
    if REMARKS.is_terminal:  # elsewhere a line about what mostly takes a second is in the way
        with progress_bars() as bars:
            found = forecast(question, draws, seed, progress=lambda label, fraction: bars("simulating", label, fraction))
    else:
        found = forecast(question, draws, seed)
    best = found.recommendation
    if output is not None:
        write_json(found.to_dict(), output / "prediction.json")
        runs = [(p.strategy, p.records) for p in found.predictions]
        draw_timeline(runs, output / "timeline.png", "Predicted runs")
        write_trace(runs, output / "trace.json")
        write_page(found.outcome(), output / "report.html")
    if as_json:
        print_json(found.to_dict())
    else:
        OUTPUT.print(prediction_table(found.predictions, best.strategy))
        if details:
            OUTPUT.print(details_table(found.predictions))
            for line in (line for prediction in found.predictions for line in usage_lines(prediction)):
                OUTPUT.print(line, highlight=False)
            for prediction in found.predictions:
                if waits(prediction.records):
                    OUTPUT.print(waits_table(prediction.records))
        if best.runner_up:
            OUTPUT.print(choice_sentence(found.choice), highlight=False)
    for warning in dict.fromkeys(warning for prediction in found.predictions for warning in prediction.warnings):
        warn(warning)
    for strategy, reason in found.infeasible.items():
        remark(f"{strategy} does not fit: {reason}")
    for strategy, reason in found.left_out.items():
        remark(f"{strategy} is not listed: {reason}")


def execute(scenario: ScenarioFile, as_json: AsJson = False, output: Output = None, limit: Limit = None) -> None:
    """Run every strategy of a scenario on real servers.

    With --output, every row is in DIRECTORY/records.jsonl as soon as it exists; execution.json holds them all at the end, and those
    so far if the run is broken off.

    Example: mmpredict execute scenario.toml --output runs/1
    """
    from mmpredict import api
    from mmpredict.report.table import summary_table
    from mmpredict.results.metrics import summarize

    journal = None if output is None else output / "records.jsonl"
    with _kept(journal), progress_bars() as bars, logs_directory(output) as logs:
        measured = api.execute(
            scenario, logs, limit, lambda label, fraction: bars("running the real thing", label, fraction), warn, journal
        )
    document = _execution(measured)
    if output is not None:
        write_json(document, output / "execution.json")
    summaries = {strategy: summarize(records) for strategy, records in measured.items()}
    if as_json:
        print_json(document)
    else:
        OUTPUT.print(summary_table(list(summaries.items())))
    require_answers(measured.values())


@contextmanager
def logs_directory(output: Path | None) -> Iterator[Path]:
    """Where servers write their logs: below the output directory, or in a temporary one."""
    if output is not None:
        yield make_directory(output) / "logs"
        return
    with tempfile.TemporaryDirectory(prefix="mmpredict-") as directory:
        yield Path(directory)


def _execution(measured: Mapping[str, Records], interrupted: bool = False) -> dict[str, Any]:
    """What ``execute`` found, as plain data."""
    from mmpredict.results.metrics import summarize

    strategies = {
        strategy: {"summary": summarize(records).to_dict(), "records": records.to_dict()} for strategy, records in measured.items()
    }
    return {"schema_version": 1, "interrupted": interrupted, "strategies": strategies}


@contextmanager
def _kept(journal: Path | None) -> Iterator[None]:
    """If a run is broken off, leave what its journal holds in ``execution.json`` too, where the disk has room for it."""
    if journal is not None:
        with suppress(OSError):
            journal.unlink()  # an earlier run's is not what this one leaves
        journal = None if journal.exists() else journal
    try:
        yield
    except BaseException:
        if journal is not None and journal.exists():
            from mmpredict.live.journal import read_journal
            from mmpredict.results.energy import share_energy

            with suppress(MmpredictError):
                found = {strategy: share_energy(records) for strategy, records in read_journal(journal).items()}
                write_json(_execution(found, interrupted=True), journal.with_name("execution.json"))
        raise


def require_answers(runs: Iterable[Records]) -> None:
    """Make sure that every request was answered.

    Raises:
        EngineError: some failed; the message counts them by status.
    """
    failures = Counter(row.status for records in runs for row in records.requests if row.status != "ok")
    if failures:
        told = ", ".join(f"{count} {status}" for status, count in failures.most_common())
        raise EngineError(f"{failures.total()} requests failed ({told}); the records say why (columns status and detail)")
