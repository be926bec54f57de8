"""Curves over one quantity: a load curve with its knee, or anything else that was swept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmpredict.errors import InputError
from mmpredict.report.picture import Picture, picture_format
from mmpredict.report.style import BLUE, CYCLE, INK, MARKERS, QUIET_INK, VERMILION, new_figure, plain_axes
from mmpredict.results.sweep import SweepPoint
from mmpredict.units import GIB

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class CurvePanel:
    """Metrics that share a panel: each with its name in the picture; the first one's colour is the darkest.

    Attributes:
        title: stands above the panel.
        unit: of its axis.
        scale: metrics' unit ÷ axis' unit.
        curves: metric → what its curve is called.
    """

    title: str
    unit: str
    scale: float
    curves: dict[str, str]


PANELS = (
    CurvePanel("time to first token", "s", 1.0, {"ttft_p50_s": "p50", "ttft_p95_s": "p95"}),
    CurvePanel("time between tokens", "ms", 1e-3, {"itl_p50_s": "p50"}),
    CurvePanel("whole request", "s", 1.0, {"e2e_p50_s": "p50", "e2e_p95_s": "p95"}),
    CurvePanel("makespan", "s", 1.0, {"makespan_s": "makespan"}),
    CurvePanel("throughput", "t/s", 1.0, {"throughput_tokens_per_s": "output tokens"}),
    CurvePanel("peak memory", "GiB", GIB, {"memory_peak_bytes": "all instances"}),
)
LOAD_METRICS = ("ttft_p50_s", "ttft_p95_s", "itl_p50_s", "throughput_tokens_per_s")
"""What a load curve shows."""

_WIDTH, _PANEL, _GAP, _TOP, _BOTTOM, _LEFT, _RIGHT = 6.6, 1.35, 0.34, 0.62, 0.52, 0.72, 0.75
_LOG_RATIO = 30.0
"""A panel whose largest value is so many times its smallest has a logarithmic axis."""


def curve_picture(
    points: Sequence[SweepPoint], quantity: str, title: str, knee: float | None = None, metrics: Sequence[str] | None = None
) -> Picture:
    """Curves of metrics over a quantity, one panel below the other.

    Args:
        points: of the sweep, in any order.
        quantity: what was swept, with its unit: ``requests/s``, ``users``.
        title: stands above the picture.
        knee: value of the quantity beyond which waits grow faster than work; marked, and what lies beyond is shaded.
        metrics: to be shown; all that the points have by default.

    Raises:
        InputError: fewer than two points, or none of the metrics is known.
    """
    if len(points) < 2:
        raise InputError(f"a curve needs two points or more, not {len(points)}")
    ordered = sorted(points, key=lambda point: point.value)
    wanted = {metric for point in ordered for metric in point.metrics} if metrics is None else set(metrics)
    panels = [panel for panel in PANELS if any(_known(ordered, metric) for metric in panel.curves if metric in wanted)]
    if not panels:
        raise InputError(
            f"none of the metrics has a curve; known: {', '.join(metric for panel in PANELS for metric in panel.curves)}"
        )
    return Picture(title, lambda: _draw(ordered, panels, wanted, quantity, title, knee))


def load_curve_picture(points: Sequence[SweepPoint], quantity: str = "requests/s", knee: float | None = None) -> Picture:
    """TTFT, ITL and throughput over the load (arguments and errors as ``curve_picture``)."""
    return curve_picture(points, quantity, "Load curve", knee, LOAD_METRICS)


def draw_sweep(
    points: Sequence[SweepPoint], path: Path, quantity: str = "requests/s", title: str = "Load curve", knee: float | None = None
) -> Path:
    """Write ``curve_picture`` to a file, whose suffix decides the format: png, svg or pdf (errors also as ``Picture.save``)."""
    picture_format(path)
    return curve_picture(points, quantity, title, knee).save(path)


def _draw(
    points: Sequence[SweepPoint], panels: Sequence[CurvePanel], wanted: set[str], quantity: str, title: str, knee: float | None
) -> Figure:
    height_in = _TOP + _BOTTOM + len(panels) * _PANEL + (len(panels) - 1) * _GAP
    figure = new_figure(_WIDTH, height_in)
    figure.text(0.12 / _WIDTH, 1 - 0.2 / height_in, title, size=12, weight="bold", va="center")
    values = [point.value for point in points]
    margin = 0.03 * (values[-1] - values[0]) or 1.0
    top_in = height_in - _TOP
    for number, panel in enumerate(panels):
        box = (_LEFT / _WIDTH, (top_in - _PANEL) / height_in, (_WIDTH - _LEFT - _RIGHT) / _WIDTH, _PANEL / height_in)
        axes = plain_axes(figure.add_axes(box, xlim=(values[0] - margin, values[-1] + margin)))
        axes.set_title(panel.title)
        axes.set_ylabel(f"[{panel.unit}]")
        axes.tick_params(axis="x", labelbottom=number == len(panels) - 1)
        _draw_panel(axes, points, panel, wanted)
        if knee is not None:
            _draw_knee(axes, knee, named=not number)
        top_in -= _PANEL + _GAP
    axes.set_xlabel(quantity)
    return figure


def _draw_panel(axes: Axes, points: Sequence[SweepPoint], panel: CurvePanel, wanted: set[str]) -> None:
    shown = [metric for metric in panel.curves if metric in wanted]
    heights = [value for metric in shown for _, value in _known(points, metric)]
    positive = [height / panel.scale for height in heights if height > 0]
    if positive and max(positive) > _LOG_RATIO * min(positive):
        from matplotlib.ticker import FuncFormatter, NullFormatter

        axes.set(yscale="log", ylim=(min(positive) / 1.5, max(positive) * 1.7))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(0.0, 1.15 * max(positive, default=1.0))
    for number, metric in enumerate(shown):
        known = _known(points, metric)
        if not known:
            continue
        color, marker = CYCLE[number % len(CYCLE)], MARKERS[number % len(MARKERS)]
        x, y = [value for value, _ in known], [height / panel.scale for _, height in known]
        axes.plot(x, y, marker=marker, color=color, linewidth=1.4, markersize=4.5, markeredgecolor="white", markeredgewidth=0.5)
        label = {"textcoords": "offset points", "va": "center", "size": 7, "color": color if color == BLUE else INK}
        axes.annotate(panel.curves[metric], (x[-1], y[-1]), (7, 0), annotation_clip=False, **label)  # type: ignore[arg-type]


def _draw_knee(axes: Axes, knee: float, named: bool) -> None:
    axes.axvline(knee, color=VERMILION, linewidth=1.1, linestyle=(0, (4, 2)), zorder=1.5)
    if knee < axes.get_xlim()[1]:
        axes.axvspan(knee, axes.get_xlim()[1], color=VERMILION, alpha=0.08, linewidth=0, zorder=0.5)
    if named:
        right = knee > sum(axes.get_xlim()) / 2
        axes.annotate(f"knee: {knee:.3g}", (knee, 1.0), (-4 if right else 4, -4), ("data", "axes fraction"), "offset points",
                      ha="right" if right else "left", va="top", size=7.5, weight="bold", color=QUIET_INK)  # fmt: skip


def _known(points: Sequence[SweepPoint], metric: str) -> list[tuple[float, float]]:
    found = [(point.value, point.metrics.get(metric, math.nan)) for point in points]
    return [(value, height) for value, height in found if math.isfinite(height)]
