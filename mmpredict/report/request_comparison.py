"""The table of requests, predicted and measured one by one, and the line that says what a validation came to."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.table import Table

from mmpredict.report.table import format_interval, format_known
from mmpredict.results.compare import Errors, MetricComparison, PlanComparison, metric_errors, request_errors
from mmpredict.units import format_percent, format_seconds

MOST_ROWS = 40
_NAMES = {"ttft_s": "TTFT", "e2e_s": "e2e"}
_TIMES = ("makespan_s", "ttft_p50_s", "e2e_p50_s")


def requests_table(comparisons: Sequence[PlanComparison], most_rows: int = MOST_ROWS) -> Table:
    """A row per request: those whose whole latency was predicted worst come first, and the rest is counted.

    Args:
        comparisons: of the plans.
        most_rows: requests to list [1].
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=_caption(comparisons, most_rows), caption_justify="left")
    for name in ("strategy", "request", "TTFT", "measured", "error", "e2e", "measured", "error"):
        table.add_column(name, justify="left" if name in ("strategy", "request") else "right", overflow="fold")
    rows = [(comparison.strategy, one) for comparison in comparisons for one in comparison.requests]
    rows.sort(key=lambda row: (-_size(row[1].e2e_s), row[0], row[1].request))
    for strategy, one in rows[:most_rows]:
        table.add_row(strategy, one.request, *_cells(one.ttft_s), *_cells(one.e2e_s))
    return table


def verdict(comparisons: Sequence[PlanComparison], tolerance_frac: float) -> str:
    """One sentence: whether makespans are within the tolerance, and how far off, biased and sure the rest is."""
    of_metric, of_request = metric_errors(comparisons), request_errors(comparisons)
    makespan = of_metric["makespan_s"]
    within = makespan.median_absolute_frac <= tolerance_frac
    figures = [comparison.metrics[name] for comparison in comparisons for name in _TIMES]
    known = [one for one in figures if not math.isnan(one.error_frac)]
    parts = [
        f"{'within' if within else 'out of'} tolerance: makespan {_said(makespan)}, allowed {format_percent(tolerance_frac)}",
        f"{sum(one.covered for one in known)} of {len(known)} makespans and medians of latencies inside their interval",
    ]
    parts += [f"{_NAMES[name]} of single requests {_said(errors)}" for name, errors in of_request.items() if errors.compared]
    return "; ".join(parts)


def _said(errors: Errors) -> str:
    if not errors.compared:
        return "not measured"
    noise = "" if math.isnan(errors.noise_frac) else f", noise {format_percent(errors.noise_frac)}"
    return f"{format_percent(errors.median_absolute_frac)} off (bias {format_percent(errors.bias_frac, signed=True)}{noise})"


def _caption(comparisons: Sequence[PlanComparison], most_rows: int) -> str:
    parts = [
        f"{_NAMES[name]}: {_said(errors)}, {format_percent(errors.inside_frac)} of {errors.compared} inside their interval"
        for name, errors in request_errors(comparisons).items()
        if errors.compared
    ]
    left = sum(len(comparison.requests) for comparison in comparisons) - most_rows
    return "\n".join([*parts, f"and {left} requests that were predicted better (--json tells all)"] if left > 0 else parts)


def _size(one: MetricComparison) -> float:
    return math.inf if math.isnan(one.error_frac) else abs(one.error_frac)


def _cells(one: MetricComparison) -> tuple[str, str, str]:
    measured = format_known(one.measured, format_seconds)
    error = format_known(one.error_frac, lambda fraction: format_percent(fraction, signed=True))
    return format_interval(one.predicted, format_seconds), measured, error
