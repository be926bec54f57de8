"""An outcome as one HTML page: the answer, the strategies side by side, the runs, and what the numbers rest on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

from mmpredict.report.choice import choice_sentence
from mmpredict.report.details import TIME_NAMES
from mmpredict.report.page import Grid, Section, fragment, page
from mmpredict.report.scatter import scatter_picture, time_pairs
from mmpredict.report.strategies import strategy_picture
from mmpredict.report.table import SHOWN, UNKNOWN, format_interval
from mmpredict.report.timeline import comparison_picture, timeline_picture
from mmpredict.report.waits import waits
from mmpredict.results.compare import median_absolute_error
from mmpredict.results.latency import distributions
from mmpredict.results.outcome import Outcome
from mmpredict.results.prediction import INTERVAL_LEVEL
from mmpredict.results.records import Records
from mmpredict.results.request_table import RequestTable
from mmpredict.saving import save
from mmpredict.units import format_percent, format_seconds

_MOST_RUNS = 12
"""Timelines beyond which a page shows those of the first strategies only."""
_MOST_WAITS = 100
_MS_HINT = "TTFT: to the first token; ITL: between tokens; e2e: the whole request"


def outcome_page(outcome: Outcome) -> bytes:
    """The page of an outcome; the same outcome gives the same bytes."""
    kind = "Validation" if outcome.comparisons else "Prediction" if outcome.predictions else "Measurement"
    title = f"{kind}: {', '.join(outcome.strategies[:4])}{' …' if len(outcome.strategies) > 4 else ''}"
    title += f" on {outcome.machine}" if outcome.machine else ""
    lead = choice_sentence(outcome.choice) if outcome.choice else ""
    footer = f"Written by mmpredict. An interval is meant to hold {INTERVAL_LEVEL * 100:.0f} % of measurements."
    return page(title, f"{lead[:1].upper()}{lead[1:]}", list(sections(outcome)), footer)


def write_page(outcome: Outcome, path: Path) -> Path:
    """Write ``outcome_page`` to a file.

    Raises:
        StorageError: the file could not be written.
    """
    return save(outcome_page(outcome), path)


def outcome_fragment(outcome: Outcome) -> str:
    """The beginning of the page, as a notebook shows an outcome: the answer, and the strategies side by side."""
    lead = choice_sentence(outcome.choice) if outcome.choice else ""
    return fragment([Section("", (lead,) if lead else (), None, "", _strategy_grid(outcome))])


def sections(outcome: Outcome) -> Iterator[Section]:
    """Parts of the page, in order; what an outcome does not have is left out."""
    chosen = outcome.choice.strategy if outcome.choice else ""
    if outcome.predictions:
        measured = {one.strategy: one.measured for one in outcome.comparisons}
        yield Section("Strategies", picture=strategy_picture(outcome.predictions, measured, chosen), grid=_strategy_grid(outcome))
    else:
        yield Section("Strategies", grid=_strategy_grid(outcome))
    if outcome.comparisons:
        yield from _comparison(outcome)
    else:
        runs = outcome.runs[:_MOST_RUNS]
        left_out = f"The first {_MOST_RUNS} of {len(outcome.runs)} runs." if len(outcome.runs) > _MOST_RUNS else ""
        note = "Predicted with every coefficient at its median." if outcome.predictions else ""
        yield Section("What happens when", picture=timeline_picture(runs), caption=f"{note} {left_out}".strip())
    yield Section("How long requests take", (_MS_HINT,), grid=_times_grid(outcome))
    waited = _waits_grid(outcome)
    if waited.rows:
        yield Section("Who waits for what", grid=waited)
    if outcome.infeasible:
        rows = tuple((name, reason) for name, reason in outcome.infeasible.items())
        yield Section("What does not fit", grid=Grid(("strategy", "why"), rows))
    yield from _grounds(outcome)


def _comparison(outcome: Outcome) -> Iterator[Section]:
    shown = outcome.comparisons[: _MOST_RUNS // 2]
    pairs = [pair for pair in time_pairs(outcome.comparisons) if pair.measured > 0 and pair.predicted.value > 0]
    error = median_absolute_error(outcome.comparisons)
    told = () if math.isnan(error) else (f"Median absolute error of the makespan: {format_percent(error)}.",)
    yield Section("Predicted and measured", told, scatter_picture(pairs) if pairs else None)
    yield Section("What happens when", picture=comparison_picture(shown))


def _strategy_grid(outcome: Outcome) -> Grid:
    predicted = {one.strategy: one for one in outcome.predictions}
    compared = {one.strategy: one for one in outcome.comparisons}
    columns = ["strategy", "metric"]
    columns += [">predicted", f">{INTERVAL_LEVEL * 100:.0f} % interval"] if predicted else []
    columns += [">measured"] if outcome.measured else []
    columns += [">error", "inside"] if compared else []
    rows = []
    for strategy in outcome.strategies:
        measured = outcome.measured_metrics(strategy)
        mark = " (recommended)" if outcome.choice and outcome.choice.strategy == strategy else ""
        for number, (metric, (label, show)) in enumerate(SHOWN.items()):
            row = ["" if number else f"{strategy}{mark}", label]
            if predicted:
                interval = predicted[strategy].metrics[metric]
                row += [_shown(interval.value, show), format_interval(interval, show)]
            if outcome.measured:
                row.append(_shown(measured[metric], show))
            if compared:
                one = compared[strategy].metrics[metric] if strategy in compared else None
                error = one.error_frac if one else math.nan
                row.append(UNKNOWN if math.isnan(error) else format_percent(error, signed=True))
                row.append(UNKNOWN if one is None or math.isnan(error) else "yes" if one.covered else "no")
            rows.append(tuple(row))
    return Grid(tuple(columns), tuple(rows), "t/s: output tokens per second")


def _times_grid(outcome: Outcome) -> Grid:
    rows = []
    for label, records in outcome.runs:
        for number, (name, one) in enumerate(_distributions(records)):
            rows.append((label if not number else "", name, *(_shown(value, format_seconds) for value in one)))
    return Grid(("run", "time", ">mean", ">p50", ">p90", ">p95", ">p99"), tuple(rows), "over the requests of each run")


def _distributions(records: Records) -> Iterator[tuple[str, tuple[float, ...]]]:
    found = distributions(RequestTable(records.requests))
    for name, label in TIME_NAMES.items():
        one = found[name]
        yield label, (one.mean, one.p50, one.p90, one.p95, one.p99)


def _waits_grid(outcome: Outcome) -> Grid:
    rows = []
    for label, records in outcome.runs:
        for number, wait in enumerate(waits(records)[:_MOST_WAITS]):
            what = ", ".join(f"{cause} ({format_seconds(duration_s)})" for cause, duration_s in wait.causes) or UNKNOWN
            request = wait.request
            end = format_seconds(request.finish_s - request.arrival_s) if request.status == "ok" else request.status
            cells = (request.request, request.model, format_seconds(request.arrival_s), format_seconds(wait.wait_s), what)
            rows.append((label if not number else "", *cells, ", ".join(wait.evicted) or UNKNOWN, end))
    columns = ("run", "request", "model", ">arrival", ">waited", "for what", "evicted", ">e2e")
    return Grid(columns, tuple(rows), f"at most {_MOST_WAITS} requests of each run")


def _grounds(outcome: Outcome) -> Iterator[Section]:
    sources = tuple(dict.fromkeys(sentence for one in outcome.predictions for sentence in one.provenance))
    warnings = tuple(dict.fromkeys(sentence for one in outcome.predictions for sentence in one.warnings))
    if sources or warnings:
        yield Section("What the numbers rest on", sources, warnings=warnings)


def _shown(value: float, show: Callable[[float], str]) -> str:
    return UNKNOWN if math.isnan(value) else show(value)
