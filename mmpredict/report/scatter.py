"""Predicted against measured, point by point: on the diagonal is right, within the band is within ten per cent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmpredict.errors import InputError
from mmpredict.report.labels import place_labels
from mmpredict.report.picture import Picture
from mmpredict.report.style import CYCLE, INK, MARKERS, QUIET_INK, new_figure, plain_axes
from mmpredict.results.compare import PlanComparison
from mmpredict.results.prediction import INTERVAL_LEVEL, Interval
from mmpredict.units import format_percent, format_seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAND_FRAC = 0.1
TIMES = {
    "makespan_s": "makespan",
    "ttft_p50_s": "TTFT p50",
    "ttft_p95_s": "TTFT p95",
    "itl_p50_s": "ITL p50",
    "e2e_p50_s": "e2e p50",
    "e2e_p95_s": "e2e p95",
}
"""The metrics of a plan that are times, and what they are called in pictures."""

_BAND = "#e3e3e3"
_LARGE_ERROR, _MOST_NAMED = 0.25, 4


@dataclass(frozen=True, slots=True)
class Pair:
    """A prediction and what came of it.

    Attributes:
        group: points of one group share shape and colour.
        name: of the point.
        predicted: with its interval; bounds may be ``nan``.
        measured: in the same unit.
    """

    group: str
    name: str
    predicted: Interval
    measured: float

    @property
    def error_frac(self) -> float:
        """(predicted − measured) ÷ measured [1]."""
        return self.predicted.value / self.measured - 1.0

    @property
    def has_place(self) -> bool:
        """Whether both sides are known and above 0, as a logarithm needs them."""
        return self.predicted.value > 0 and self.measured > 0 and math.isfinite(self.measured)


def time_pairs(comparisons: Sequence[PlanComparison]) -> list[Pair]:
    """Every time of every plan that was both predicted and measured [s]."""
    return [
        Pair(label, one.strategy, one.metrics[metric].predicted, one.metrics[metric].measured)
        for metric, label in TIMES.items()
        for one in comparisons
    ]


def scatter_picture(pairs: Iterable[Pair], title: str = "Predicted and measured times", unit: str = "s") -> Picture:
    """Measured against predicted on logarithmic axes, with the diagonal, ± 10 % around it, and the intervals.

    Pairs of which one side is unknown or not above 0 are left out, as a logarithm has no place for them.

    Args:
        pairs: all in one unit.
        title: stands above the picture.
        unit: of both axes; with ``s``, names of points beside the band tell times as a person would.

    Raises:
        InputError: no pair is left.
    """
    known = [pair for pair in pairs if pair.has_place]
    if not known:
        raise InputError("there is nothing to compare: no value was both predicted and measured")
    return Picture(title, lambda: _draw(known, title, unit), len(known))


def _draw(pairs: Sequence[Pair], title: str, unit: str) -> Figure:
    figure = new_figure(6.4, 5.4)
    axes = plain_axes(figure.add_axes((0.105, 0.095, 0.655, 0.78)))
    _draw_band(axes, pairs)
    groups = list(dict.fromkeys(pair.group for pair in pairs))
    for number, group in enumerate(groups):
        color, marker = CYCLE[number % len(CYCLE)], MARKERS[number % len(MARKERS)]
        own = [pair for pair in pairs if pair.group == group]
        for pair in own:
            low, high = (_known_or(bound, pair.predicted.value) for bound in (pair.predicted.low, pair.predicted.high))
            axes.plot([pair.measured] * 2, [low, high], color=color, linewidth=1.1, alpha=0.75, zorder=2)
        x, y = [pair.measured for pair in own], [pair.predicted.value for pair in own]
        axes.plot(x, y, marker, color=color, markeredgecolor="white", markeredgewidth=0.6, markersize=6.5, label=group, zorder=3)
    _name_the_farthest(axes, pairs, unit)
    axes.set_xlabel(f"measured [{unit}]")
    has_bounds = any(math.isfinite(pair.predicted.low) for pair in pairs)
    axes.set_ylabel(f"predicted [{unit}]" + (f", lines: {INTERVAL_LEVEL * 100:.0f} % interval" if has_bounds else ""))
    figure.text(0.105, 0.955, title, size=12, weight="bold", va="center")
    figure.text(0.105, 0.912, _verdict(pairs), color=QUIET_INK, va="center")
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0))
    return figure


def _draw_band(axes: Axes, pairs: Sequence[Pair]) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    ends = [end for pair in pairs for end in (pair.measured, pair.predicted.value, pair.predicted.low, pair.predicted.high)]
    known = [end for end in ends if math.isfinite(end) and end > 0]
    low, high = min(known) / 1.35, max(known) * 1.35
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.fill_between([low, high], [low * (1 - BAND_FRAC), high * (1 - BAND_FRAC)], [low * (1 + BAND_FRAC), high * (1 + BAND_FRAC)],
                      color=_BAND, linewidth=0, zorder=1)  # fmt: skip
    axes.plot([low, high], [low, high], color=INK, linewidth=0.8, zorder=1.5)
    near_end = high / (high / low) ** 0.06
    axes.text(near_end, near_end, f"right, ± {BAND_FRAC * 100:.0f} %", size=6.5, color=QUIET_INK, rotation=45,
              rotation_mode="anchor", ha="right", va="bottom")  # fmt: skip
    axes.text(0.03, 0.97, "predicted too slow", transform=axes.transAxes, size=6.5, color=QUIET_INK, va="top", style="italic")
    axes.text(0.97, 0.03, "predicted too fast", transform=axes.transAxes, size=6.5, color=QUIET_INK, ha="right", style="italic")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def _name_the_farthest(axes: Axes, pairs: Sequence[Pair], unit: str) -> None:
    """Beside the farthest point of each name that is far off: what was predicted, and what came."""
    farthest: dict[str, Pair] = {}
    for pair in sorted(pairs, key=lambda pair: -abs(math.log(pair.predicted.value / pair.measured))):
        if abs(pair.error_frac) > _LARGE_ERROR:
            farthest.setdefault(pair.name, pair)
    labels = [
        (one.measured, one.predicted.value, f"{one.name}: {_amount(one.predicted.value, unit)}, came {_amount(one.measured, unit)}")
        for one in list(farthest.values())[:_MOST_NAMED]
    ]
    place_labels(axes, labels, [(pair.measured, pair.predicted.value) for pair in pairs])


def _verdict(pairs: Sequence[Pair]) -> str:
    errors = sorted(abs(pair.error_frac) for pair in pairs)
    middle = (errors[(len(errors) - 1) // 2] + errors[len(errors) // 2]) / 2
    within = sum(error <= BAND_FRAC for error in errors)
    bounded = [pair for pair in pairs if not math.isnan(pair.predicted.low + pair.predicted.high)]
    inside = sum(pair.predicted.contains(pair.measured) for pair in bounded)
    told = f"{len(pairs)} values: median error {format_percent(middle)}, {within} within ± {BAND_FRAC * 100:.0f} %"
    return told + (f", {inside} of {len(bounded)} inside their interval" if bounded else "")


def _amount(value: float, unit: str) -> str:
    return format_seconds(value) if unit == "s" else f"{value:.3g} {unit}"


def _known_or(value: float, other: float) -> float:
    return other if math.isnan(value) or value <= 0 else value
