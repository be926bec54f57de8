"""The table of a sweep."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich import box
from rich.table import Table

from mmpredict.report.ranking import format_metric
from mmpredict.report.table import UNKNOWN
from mmpredict.results.sweep import Sweep

_SHOWN = {
    "ttft_p50_s": "TTFT p50",
    "ttft_p95_s": "TTFT p95",
    "itl_p50_s": "ITL p50",
    "latency_p95_s": "request p95",
    "throughput_tokens_per_s": "throughput",
}


def sweep_table(found: Sweep) -> Table:
    """A row per point, by strategy; ``*`` marks a knee, ``saturated`` a queue that grows."""
    table = Table(
        box=box.HORIZONTALS, pad_edge=False, caption="* knee: beyond it times rise faster than the load", caption_justify="left"
    )
    for name in ("strategy", found.key, "offered/s", *_SHOWN.values(), ""):
        table.add_column(name, justify="left" if name == "strategy" else "right", overflow="fold")
    knees = {(knee.strategy, knee.value) for knee in found.knees}
    strategy = ""
    for point in found.points:
        value = point.value if isinstance(point.value, str) else f"{point.value:.4g}"
        mark = " *" if (point.strategy, point.value) in knees else ""
        cells = [point.strategy if point.strategy != strategy else "", f"{value}{mark}"]
        strategy = point.strategy
        cells.append(UNKNOWN if math.isnan(point.offered_per_s) else f"{point.offered_per_s:.3g}")
        cells += [format_metric(name, point.metrics[name].value) if point.metrics else UNKNOWN for name in _SHOWN]
        told = (
            "cannot run" if point.reason else f"{point.failed} failed" if point.failed else "saturated" if point.saturated else ""
        )
        table.add_row(*cells, told)
    return table


def sweep_lines(found: Sweep) -> Iterator[str]:
    """Knees, and why a plan cannot be run."""
    for knee in found.knees:
        reached = format_metric(knee.metric, knee.reached)
        yield f"{knee.strategy}: knee at {found.key} = {knee.value:.4g}, where {knee.metric.removesuffix('_s')} is {reached}"
    for point in found.points:
        if point.reason:
            yield f"{point.strategy} at {found.key} = {point.value}: {point.reason}"
