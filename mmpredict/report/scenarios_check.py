"""The tables of many scenarios, predicted and measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from rich import box
from rich.console import Group
from rich.table import Table

from mmpredict.results.scenarios_check import (
    METRIC_NAMES,
    NEAR_FRAC,
    TARGET_COVERAGE,
    TARGET_FRAC,
    CheckedChoice,
    MetricSummary,
    ScenarioRow,
    near_frac,
    summaries,
)
from mmpredict.units import format_percent, format_seconds


def scenarios_check_tables(judged: Sequence[ScenarioRow], shown: Sequence[ScenarioRow], found: Sequence[CheckedChoice]) -> Group:
    """Errors by metric, by strategy, and what was recommended.

    Args:
        judged: rows that decide.
        shown: rows of what is beyond the cores.
        found: what was recommended.
    """
    tables = [_metrics(summaries(judged), "within the cores", TARGET_FRAC)]
    if shown:
        tables.append(_metrics(summaries(shown), "beyond the cores (not judged)", {}))
    tables.append(_strategies([*judged, *shown]))
    if found:
        tables.append(_choices([*judged, *shown], found))
    return Group(*tables)


def _metrics(found: Mapping[str, MetricSummary], title: str, targets: Mapping[str, float]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for name in ("metric", "cases", "median error", "p90", "bias", "in 80 % interval", "noise", "aim", "met"):
        table.add_column(name, justify="left" if name == "metric" else "right")
    low, high = TARGET_COVERAGE
    for metric, summary in found.items():
        target = targets.get(metric)
        met = target is not None and summary.median_frac <= target and low <= summary.inside_frac <= high
        table.add_row(
            METRIC_NAMES[metric],
            str(summary.cases),
            _percent(summary.median_frac),
            _percent(summary.p90_frac),
            _percent(summary.bias_frac, signed=True),
            _percent(summary.inside_frac),
            _percent(summary.noise_frac),
            "" if target is None else f"≤ {target:.0%}, {low:.0%} – {high:.0%}",
            "" if target is None else "yes" if met else "no",
        )
    return table


def _strategies(rows: Sequence[ScenarioRow]) -> Table:
    """Median error and bias by strategy; what is not a random scenario has a name of its own in its place."""
    names = list(dict.fromkeys(row.strategy for row in rows))
    parts = [summaries([row for row in rows if row.strategy == name]) for name in names]
    table = Table(box=box.SIMPLE_HEAD, title="median error and bias [%]", title_justify="left")
    for name in ("metric", *names):
        table.add_column(name, justify="left" if name == "metric" else "right")
    for metric, shown in METRIC_NAMES.items():
        if any(metric in part for part in parts):
            table.add_row(shown, *(_error_and_bias(part.get(metric)) for part in parts))
    return table


def _choices(rows: Sequence[ScenarioRow], found: Sequence[CheckedChoice]) -> Table:
    regret = f"mean regret {_percent(fmean(one.regret_frac for one in found))}"
    good = f"best or within {NEAR_FRAC:.0%} of it: {_percent(near_frac(found))}"
    order = f"whole order right: {_percent(fmean(one.in_order for one in found))}"
    table = Table(box=box.SIMPLE_HEAD, title="makespans", title_justify="left", caption=f"recommended: {good}; {regret}; {order}")
    for name in ("scenario", "predicted", "measured", "error", "inside", "recommended", "regret", "order"):
        table.add_column(name, justify="left" if name in ("scenario", "recommended", "order") else "right", no_wrap=True)
    makespans = {(row.case, row.strategy): row for row in rows if row.metric == "makespan_s"}
    for one in found:
        order = "right" if one.in_order else "wrong"
        table.add_row(one.case, "", "", "", "", one.recommended, _percent(one.regret_frac), order)
        for strategy in one.expected_s:
            row = makespans[one.case, strategy]
            table.add_row(
                f"  {strategy}",
                format_seconds(row.predicted.value),
                format_seconds(row.measured) if row.runs else "given up",
                _percent(row.error_frac, signed=True),
                ("yes" if row.inside else "no") if row.runs else "",
                "best" if strategy == one.best else "",
            )
    return table


def _error_and_bias(summary: MetricSummary | None) -> str:
    if summary is None or not summary.cases:
        return "–"
    return f"{summary.median_frac * 100:.1f} {summary.bias_frac * 100:+.1f}"


def _percent(fraction: float, signed: bool = False) -> str:
    return format_percent(fraction, signed) if math.isfinite(fraction) else "–"
