"""Curves over one quantity: a load curve with its knee, or whatever else was swept."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmpredict.errors import InputError
from mmpredict.report.picture import Picture
from mmpredict.report.style import CYCLE, INK, MARKERS, QUIET_INK, VERMILION, new_figure, plain_axes
from mmpredict.results.prediction import INTERVAL_LEVEL, Interval
from mmpredict.units import GIB

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Point:
    """What one value of the quantity comes to.

    Attributes:
        value: of the quantity.
        metrics: metric → median and bounds, in its unit; bounds may be ``nan``.
        overloaded: requests pile up there; drawn hollow.
    """

    value: float
    metrics: Mapping[str, Interval]
    overloaded: bool = False


@dataclass(frozen=True, slots=True)
class Curve:
    """One strategy over the quantity.

    Attributes:
        name: of the strategy.
        points: in any order.
        knee: value beyond which a little more load costs much more time; None where there is none.
    """

    name: str
    points: tuple[Point, ...]
    knee: float | None = None


@dataclass(frozen=True, slots=True)
class _Panel:
    """Metrics that share a panel, the most telling first; ``scale`` is their unit ÷ the unit of the axis."""

    title: str
    unit: str
    scale: float
    metrics: dict[str, str]


_PANELS = (
    _Panel("time to first token", "s", 1.0, {"ttft_p95_s": "p95", "ttft_p50_s": "p50"}),
    _Panel("time between tokens", "ms", 1e-3, {"itl_p50_s": "p50"}),
    _Panel("whole request", "s", 1.0, {"e2e_p95_s": "p95", "e2e_p50_s": "p50", "latency_p95_s": "p95", "latency_mean_s": "mean"}),
    _Panel("makespan", "s", 1.0, {"makespan_s": "makespan"}),
    _Panel("throughput", "t/s", 1.0, {"throughput_tokens_per_s": "output"}),
    _Panel("requests answered", "1/s", 1.0, {"requests_per_s": "answered"}),
    _Panel("peak memory", "GiB", GIB, {"memory_peak_bytes": "peak", "memory_bytes": "peak"}),
)
METRICS = tuple(metric for panel in _PANELS for metric in panel.metrics)
LOAD_METRICS = ("ttft_p95_s", "ttft_p50_s", "itl_p50_s", "throughput_tokens_per_s")
"""What a load curve shows."""

_WIDTH, _PANEL, _GAP, _TOP, _BOTTOM, _LEFT, _RIGHT = 6.6, 1.35, 0.34, 0.62, 0.52, 0.72, 0.62
_LEGEND = 0.26
_LOG_RATIO = 30.0
"""A panel whose largest value is so many times its smallest has a logarithmic axis."""


def curve_picture(
    curves: Sequence[Curve], quantity: str, title: str, metrics: Sequence[str] = LOAD_METRICS, words: Sequence[str] = ()
) -> Picture:
    """Curves of metrics over a quantity, one panel below the other, with bounds as bands and knees as lines.

    Of several metrics that share a panel, several curves show the first one only.

    Args:
        curves: one per strategy.
        quantity: what was swept, with its unit: ``requests/s``, ``users``.
        title: stands above the picture.
        metrics: to be shown, of ``METRICS``; those that no point has are left out.
        words: names of the values 0, 1, … of a quantity that is no number.

    Raises:
        InputError: an unknown metric, or none that a point knows.
    """
    for metric in metrics:
        if metric not in METRICS:
            raise InputError(f"metric {metric!r} has no panel; allowed: {', '.join(METRICS)}")
    shown = [_shown(panel, curves, metrics) for panel in _PANELS]
    shown = [panel for panel in shown if panel.metrics]
    if not shown:
        raise InputError("there is no curve to draw: no metric is known at any point")
    return Picture(title, lambda: _draw(curves, shown, quantity, title, words))


def _shown(panel: _Panel, curves: Sequence[Curve], metrics: Sequence[str]) -> _Panel:
    """The panel with those of its metrics that are drawn."""
    found = {
        metric: name
        for metric, name in panel.metrics.items()
        if metric in metrics and any(_known(curve, metric) for curve in curves)
    }
    kept = dict(list(found.items())[: 1 if len(curves) > 1 else None])
    return _Panel(panel.title, panel.unit, panel.scale, kept)


def _draw(curves: Sequence[Curve], panels: Sequence[_Panel], quantity: str, title: str, words: Sequence[str]) -> Figure:
    from matplotlib.ticker import MaxNLocator

    several = len(curves) > 1
    heading_in = _TOP + (_LEGEND if several else 0.0)
    height_in = heading_in + _BOTTOM + len(panels) * _PANEL + (len(panels) - 1) * _GAP
    figure = new_figure(_WIDTH, height_in)
    figure.text(0.12 / _WIDTH, 1 - 0.2 / height_in, title, size=12, weight="bold", va="center")
    values = [point.value for curve in curves for point in curve.points]
    margin = 0.03 * (max(values) - min(values)) or 1.0
    top_in = height_in - heading_in
    for number, panel in enumerate(panels):
        box = (_LEFT / _WIDTH, (top_in - _PANEL) / height_in, (_WIDTH - _LEFT - _RIGHT) / _WIDTH, _PANEL / height_in)
        axes = plain_axes(figure.add_axes(box, xlim=(min(values) - margin, max(values) + margin)))
        if words:
            axes.set_xticks(range(len(words)), words)
        elif all(value == int(value) for value in values):
            axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_title(f"{panel.title}, {next(iter(panel.metrics.values()))}" if several else panel.title)
        axes.set_ylabel(f"[{panel.unit}]")
        axes.tick_params(axis="x", labelbottom=number == len(panels) - 1)
        _scale(axes, curves, panel)
        _draw_curves(axes, curves, panel)
        _draw_knees(axes, curves, named=not number)
        top_in -= _PANEL + _GAP
    bands = f"; bands: {INTERVAL_LEVEL * 100:.0f} % interval" if _has_bounds(curves, panels) else ""
    hollow = "; hollow: requests pile up" if any(point.overloaded for curve in curves for point in curve.points) else ""
    axes.set_xlabel(f"{quantity}{bands}{hollow}")
    if several:
        anchor = (0.08 / _WIDTH, 1 - 0.44 / height_in)
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="center left", bbox_to_anchor=anchor, ncols=4)
    return figure


def _draw_curves(axes: Axes, curves: Sequence[Curve], panel: _Panel) -> None:
    lines = [(curve, metric) for curve in curves for metric in panel.metrics]
    for number, (curve, metric) in enumerate(lines):
        known = _known(curve, metric)
        if not known:
            continue
        color, marker = CYCLE[number % len(CYCLE)], MARKERS[number % len(MARKERS)]
        x, y = [point.value for point, _ in known], [one.value / panel.scale for _, one in known]
        low = [_or(one.low, one.value) / panel.scale for _, one in known]
        high = [_or(one.high, one.value) / panel.scale for _, one in known]
        axes.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0, zorder=1.6)
        style: dict[str, Any] = {"marker": marker, "color": color, "linewidth": 1.4, "markersize": 4.5, "markeredgewidth": 0.8}
        axes.plot(x, y, label=_named(curve), markeredgecolor="white", **style)
        hollow = [(value, height) for (point, _), value, height in zip(known, x, y, strict=True) if point.overloaded]
        if hollow:
            axes.plot(*zip(*hollow, strict=True), linestyle="", **{**style, "linewidth": 0}, markerfacecolor="white", zorder=3)
        if len(curves) == 1:
            place: dict[str, Any] = {"textcoords": "offset points", "va": "center", "size": 7, "color": INK}
            axes.annotate(panel.metrics[metric], (x[-1], y[-1]), (7, 0), annotation_clip=False, **place)


def _scale(axes: Axes, curves: Sequence[Curve], panel: _Panel) -> None:
    ends = [one / panel.scale for curve in curves for metric in panel.metrics for one in _ends(curve, metric) if one > 0]
    if ends and max(ends) > _LOG_RATIO * min(ends):
        from matplotlib.ticker import FuncFormatter, NullFormatter

        axes.set(yscale="log", ylim=(min(ends) / 1.5, max(ends) * 1.7))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(0.0, 1.15 * max(ends, default=1.0))


def _draw_knees(axes: Axes, curves: Sequence[Curve], named: bool) -> None:
    for number, curve in enumerate(curves):
        if curve.knee is None:
            continue
        color = VERMILION if len(curves) == 1 else CYCLE[number % len(CYCLE)]
        axes.axvline(curve.knee, color=color, linewidth=1.1, linestyle=(0, (4, 2)), zorder=1.5)
        right_edge = axes.get_xlim()[1]
        if len(curves) == 1:
            axes.axvspan(curve.knee, right_edge, color=VERMILION, alpha=0.08, linewidth=0, zorder=0.5)
        if named and len(curves) == 1:  # of several, the legend tells it
            right = curve.knee > sum(axes.get_xlim()) / 2
            place: dict[str, Any] = {
                "ha": "right" if right else "left",
                "va": "top",
                "size": 7,
                "weight": "bold",
                "color": QUIET_INK,
            }
            offset = (-4 if right else 4, -4)
            axes.annotate(f"knee: {curve.knee:.3g}", (curve.knee, 1.0), offset, ("data", "axes fraction"), "offset points", **place)


def _named(curve: Curve) -> str:
    return curve.name if curve.knee is None else f"{curve.name}, knee {curve.knee:.3g}"


def _known(curve: Curve, metric: str) -> list[tuple[Point, Interval]]:
    found = [(point, point.metrics[metric]) for point in curve.points if metric in point.metrics]
    return sorted(((point, one) for point, one in found if math.isfinite(one.value)), key=lambda pair: pair[0].value)


def _ends(curve: Curve, metric: str) -> list[float]:
    return [end for _, one in _known(curve, metric) for end in (one.value, one.low, one.high) if math.isfinite(end)]


def _has_bounds(curves: Sequence[Curve], panels: Sequence[_Panel]) -> bool:
    pairs = [(curve, metric) for panel in panels for metric in panel.metrics for curve in curves]
    return any(math.isfinite(one.low) and one.low < one.high for curve, metric in pairs for _, one in _known(curve, metric))


def _or(value: float, other: float) -> float:
    return value if math.isfinite(value) else other
