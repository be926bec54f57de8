"""Strategies side by side: what each is predicted to come to, how surely, and what it really came to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmpredict.errors import InputError
from mmpredict.report.picture import Picture
from mmpredict.report.style import INK, QUIET_INK, SKY, VERMILION, new_figure, plain_axes, shorten
from mmpredict.report.table import format_rate
from mmpredict.results.outcome import Outcome
from mmpredict.results.prediction import INTERVAL_LEVEL, Interval, Prediction
from mmpredict.units import GIB, format_bytes, format_seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Panel:
    """One metric of the comparison.

    Attributes:
        metric: its name among ``METRICS``.
        title: what it is called above its panel, with the direction that is better.
        unit: of its axis.
        scale: metric's unit ÷ axis' unit.
        show: prints a value.
    """

    metric: str
    title: str
    unit: str
    scale: float
    show: Callable[[float], str]


PANELS = {
    "makespan_s": Panel("makespan_s", "makespan (less is better)", "s", 1.0, format_seconds),
    "ttft_p95_s": Panel("ttft_p95_s", "TTFT p95 (less is better)", "s", 1.0, format_seconds),
    "e2e_p50_s": Panel("e2e_p50_s", "e2e latency p50 (less is better)", "s", 1.0, format_seconds),
    "itl_p50_s": Panel("itl_p50_s", "ITL p50 (less is better)", "ms", 1e-3, format_seconds),
    "throughput_tokens_per_s": Panel("throughput_tokens_per_s", "throughput (more is better)", "t/s", 1.0, format_rate),
    "memory_peak_bytes": Panel("memory_peak_bytes", "peak memory", "GiB", GIB, format_bytes),
}
SHOWN = ("makespan_s", "ttft_p95_s", "memory_peak_bytes")

_ROW, _TOP, _BOTTOM, _LETTER = 0.34, 0.98, 0.5, 0.075
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.8}
_BAR, _FAR = 0.62, 3.0
"""Height of a bar in its row; how many times the longest bar an interval may reach before it is cut off."""
_TEXT_FRAC, _BOTH_FRAC = 0.27, 0.46
"""Part of a panel's width that is kept for the number beside a bar, and for two."""


def strategy_picture(
    predictions: Sequence[Prediction],
    measured: Mapping[str, Mapping[str, float]] | None = None,
    recommended: str = "",
    metrics: Sequence[str] = SHOWN,
    title: str = "Strategies compared",
) -> Picture:
    """A bar per strategy and metric with its interval, a diamond where it was measured.

    Args:
        predictions: in the order in which they are to appear, from above.
        measured: strategy → metric → what came of it, in the metric's unit.
        recommended: strategy to be marked.
        metrics: a panel for each, of ``PANELS``.
        title: stands above the picture.

    Raises:
        InputError: no prediction, or an unknown metric.
    """
    if not predictions:
        raise InputError("there is no strategy to draw; give at least one")
    for metric in metrics:
        if metric not in PANELS:
            raise InputError(f"metric {metric!r} has no panel; allowed: {', '.join(PANELS)}")
    panels = [PANELS[metric] for metric in metrics]
    return Picture(title, lambda: _draw(list(predictions), dict(measured or {}), recommended, panels, title))


def outcome_strategies(outcome: Outcome) -> Picture:
    """The strategies of an outcome; a diamond is at the median of a strategy's runs, where the tables have it.

    Raises:
        InputError: nothing was predicted.
    """
    measured = {strategy: outcome.measured_metrics(strategy) for strategy in outcome.measured}
    return strategy_picture(outcome.predictions, measured, outcome.choice.strategy if outcome.choice else "")


def _draw(
    predictions: list[Prediction],
    measured: Mapping[str, Mapping[str, float]],
    recommended: str,
    panels: Sequence[Panel],
    title: str,
) -> Figure:
    width_in = 3.1 * len(panels) + 1.6
    height_in = _TOP + _BOTTOM + _ROW * len(predictions)
    names = [("▸ " if one.strategy == recommended else "") + shorten(one.strategy) for one in predictions]
    left_in = 0.3 + _LETTER * max(len(name) for name in names)
    figure = new_figure(width_in, height_in)
    step_in = (width_in - left_in - 0.15) / len(panels)
    for number, panel in enumerate(panels):
        left, bottom = (left_in + number * step_in) / width_in, _BOTTOM / height_in
        box = (left, bottom, (step_in - 0.35) / width_in, _ROW * len(predictions) / height_in)
        axes = plain_axes(figure.add_axes(box), grid="x")
        _draw_panel(axes, panel, predictions, measured)
        axes.set_yticks(range(len(predictions)), names if not number else [])
        for label, one in zip(axes.get_yticklabels(), predictions, strict=True):
            label.set_fontweight("bold" if one.strategy == recommended else "normal")
    _write_heading(figure, title, bool(measured), recommended)
    return figure


def _draw_panel(axes: Axes, panel: Panel, predictions: Sequence[Prediction], measured: Mapping[str, Mapping[str, float]]) -> None:
    from matplotlib.ticker import MaxNLocator

    rows = [(one.metrics[panel.metric], measured.get(one.strategy, {}).get(panel.metric, math.nan)) for one in predictions]
    values = [value for interval, real in rows for value in (interval.value, real) if math.isfinite(value)]
    bounds = [interval.high for interval, _ in rows if math.isfinite(interval.high)]
    longest = max(values, default=0.0) / panel.scale or 1.0
    most = max(longest, min(max(bounds, default=0.0) / panel.scale, _FAR * longest))
    axes.set(
        xlim=(0.0, most / (1 - (_BOTH_FRAC if measured else _TEXT_FRAC))), ylim=(len(rows) - 0.5, -0.5), xlabel=f"[{panel.unit}]"
    )
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.set_title(panel.title, pad=5)
    for row, (interval, real) in enumerate(rows):
        _draw_bar(axes, row, panel, interval, most)
        if math.isfinite(real):
            axes.plot(real / panel.scale, row, "D", color=VERMILION, markeredgecolor=INK, markersize=5.5, zorder=4)
        edges = [edge / panel.scale for edge in (interval.value, interval.high, real) if math.isfinite(edge)]
        text = panel.show(interval.value) if math.isfinite(interval.value) else "does not finish"
        text += f", ◆ {panel.show(real)}" if math.isfinite(real) else ""
        beside: dict[str, Any] = {"size": 6.5, "color": QUIET_INK, "va": "center", "bbox": _PAPER}
        axes.annotate(text, (min(max(edges, default=0.0), most), row), (5, 0), textcoords="offset points", **beside)


def _draw_bar(axes: Axes, row: int, panel: Panel, interval: Interval, most: float) -> None:
    """A bar with its interval, which ends in an arrow where it reaches beyond ``most``."""
    if not math.isfinite(interval.value):
        return
    axes.barh(row, interval.value / panel.scale, height=_BAR, color=SKY, zorder=2)
    if math.isnan(interval.low + interval.high):
        return
    low, high = interval.low / panel.scale, interval.high / panel.scale
    axes.plot([low, min(high, most)], [row, row], color=INK, linewidth=1.2, zorder=3, solid_capstyle="butt")
    for bound in (low, high):
        if bound <= most:
            axes.plot([bound, bound], [row - 0.13, row + 0.13], color=INK, linewidth=1.2, zorder=3)
        else:
            axes.plot(most, row, ">", color=INK, markersize=4, zorder=3)


def _write_heading(figure: Figure, title: str, has_measured: bool, recommended: str) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    width_in, height_in = figure.get_size_inches()
    figure.text(0.12 / width_in, 1 - 0.17 / height_in, title, size=12, weight="bold", va="center")
    handles = [
        Patch(color=SKY, linewidth=0, label="predicted"),
        Line2D([], [], color=INK, linewidth=1.2, marker="|", markersize=6, label=f"its {INTERVAL_LEVEL * 100:.0f} % interval"),
    ]
    if has_measured:
        handles.append(
            Line2D([], [], linestyle="", marker="D", color=VERMILION, markeredgecolor=INK, markersize=5.5, label="measured")
        )
    if recommended:
        handles.append(Line2D([], [], linestyle="", marker=">", color=INK, markersize=4, label="recommended"))
    anchor = (0.08 / width_in, 1 - 0.46 / height_in)
    figure.legend(handles=handles, loc="center left", bbox_to_anchor=anchor, ncols=len(handles), handlelength=1.6, handleheight=0.9)
