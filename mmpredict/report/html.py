"""An outcome as one HTML page: the answer, the strategies side by side, the runs, and what the numbers rest on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from mmpredict.report.choice import choice_sentence
from mmpredict.report.details import time_distributions
from mmpredict.report.page import Grid, Section, fragment, page
from mmpredict.report.scatter import scatter_picture, time_pairs
from mmpredict.report.strategies import outcome_strategies
from mmpredict.report.table import SHOWN, UNKNOWN, format_interval, format_known
from mmpredict.report.timeline import comparison_picture, timeline_picture
from mmpredict.report.waits import wait_cells, waits
from mmpredict.results.compare import median_absolute_error
from mmpredict.results.outcome import Outcome
from mmpredict.results.prediction import INTERVAL_LEVEL
from mmpredict.saving import save
from mmpredict.units import format_percent, format_seconds

_MOST_RUNS = 12
"""Timelines beyond which a page shows those of the first strategies only."""
_MOST_WAITS = 100
_TIMES_HINT = "TTFT: to the first token; ITL: between tokens; e2e: the whole request"


def outcome_page(outcome: Outcome) -> bytes:
    """The page of an outcome; the same outcome gives the same bytes."""
    kind = "Validation" if outcome.comparisons else "Prediction" if outcome.predictions else "Measurement"
    title = f"{kind}: {', '.join(outcome.strategies[:4])}{' …' if len(outcome.strategies) > 4 else ''}"
    title += f" on {outcome.machine}" if outcome.machine else ""
    lead = choice_sentence(outcome.choice) if outcome.choice else ""
    return page(title, lead, list(sections(outcome)))


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
    picture = outcome_strategies(outcome) if outcome.predictions else None
    yield Section("Strategies", picture=picture, grid=_strategy_grid(outcome))
    if outcome.comparisons:
        yield from _comparison(outcome)
    else:
        runs = outcome.runs[:_MOST_RUNS]
        note = "Predicted with every coefficient at its median." if outcome.predictions else ""
        caption = f"{note} {_left_out(len(runs), len(outcome.runs))}".strip()
        yield Section("What happens when", picture=timeline_picture(runs), caption=caption)
    yield Section("How long requests take", (_TIMES_HINT,), grid=_times_grid(outcome))
    waited = _waits_grid(outcome)
    if waited.rows:
        yield Section("Who waits for what", grid=waited)
    if outcome.infeasible:
        rows = tuple((name, reason) for name, reason in outcome.infeasible.items())
        yield Section("What does not fit", grid=Grid(("strategy", "why"), rows))
    yield from _grounds(outcome)


def _comparison(outcome: Outcome) -> Iterator[Section]:
    comparisons = outcome.comparisons
    shown = comparisons[: _MOST_RUNS // 2]
    pairs = [pair for pair in time_pairs(comparisons) if pair.has_place]
    error = median_absolute_error(comparisons)
    told = () if math.isnan(error) else (f"Median absolute error of the makespan: {format_percent(error)}.",)
    yield Section("Predicted and measured", told, scatter_picture(pairs) if pairs else None)
    caption = _left_out(2 * len(shown), 2 * len(comparisons))
    yield Section("What happens when", picture=comparison_picture(shown), caption=caption)


def _left_out(shown: int, runs: int) -> str:
    return f"The first {shown} of {runs} runs." if shown < runs else ""


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
                row += [format_known(interval.value, show), format_interval(interval, show)]
            if outcome.measured:
                row.append(format_known(measured[metric], show))
            if compared:
                one = compared[strategy].metrics[metric] if strategy in compared else None
                error = one.error_frac if one else math.nan
                row.append(format_known(error, lambda fraction: format_percent(fraction, signed=True)))
                row.append(UNKNOWN if one is None or math.isnan(error) else "yes" if one.covered else "no")
            rows.append(tuple(row))
    return Grid(tuple(columns), tuple(rows), "t/s: output tokens per second")


def _times_grid(outcome: Outcome) -> Grid:
    rows = []
    for label, records in outcome.runs:
        for number, (name, one) in enumerate(time_distributions(records)):
            rows.append((label if not number else "", name, *(format_known(value, format_seconds) for value in one)))
    return Grid(("run", "time", ">mean", ">p50", ">p90", ">p95", ">p99"), tuple(rows), "over the requests of each run")


def _waits_grid(outcome: Outcome) -> Grid:
    rows = []
    for label, records in outcome.runs:
        for number, wait in enumerate(waits(records)[:_MOST_WAITS]):
            rows.append((label if not number else "", *wait_cells(wait)))
    columns = ("run", "request", "model", ">arrival", ">waited", "for what", "evicted", ">e2e")
    return Grid(columns, tuple(rows), f"at most {_MOST_WAITS} requests of each run")


def _grounds(outcome: Outcome) -> Iterator[Section]:
    sources = tuple(dict.fromkeys(sentence for one in outcome.predictions for sentence in one.provenance))
    warnings = tuple(dict.fromkeys(sentence for one in outcome.predictions for sentence in one.warnings))
    if sources or warnings:
        yield Section("What the numbers rest on", sources, warnings=warnings)
