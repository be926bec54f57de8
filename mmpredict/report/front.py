"""A Pareto front: plans of which none is better in both respects, and those that one of them beats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmpredict.errors import InputError
from mmpredict.report.labels import place_labels
from mmpredict.report.picture import Picture
from mmpredict.report.style import BLUE, INK, ORANGE, new_figure, plain_axes, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NAMED = 12
_LOG_RATIO = 20.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plan as a point.

    Attributes:
        name: of the plan.
        x, y: what it comes to in two respects, in the units of the axes; of both less is better, unless the axis says otherwise.
    """

    name: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Axis:
    """One of the two respects.

    Attributes:
        label: with its unit: ``makespan [s]``.
        more_is_better: whether large values are good.
    """

    label: str
    more_is_better: bool = False


def pareto_front(candidates: Sequence[Candidate], x: Axis, y: Axis) -> list[Candidate]:
    """Candidates that no other beats: none is as good in both respects and better in one; from the best ``x`` on.

    Candidates with an unknown (``nan``) value are never among them; of several equal ones, all are.
    """
    known = [one for one in candidates if not math.isnan(one.x + one.y)]
    ordered = sorted(known, key=lambda one: (_cost(one.x, x), _cost(one.y, y)))
    found: list[Candidate] = []
    for one in ordered:
        equal = bool(found) and (found[-1].x, found[-1].y) == (one.x, one.y)
        if not found or equal or _cost(one.y, y) < _cost(found[-1].y, y):
            found.append(one)
    return found


def front_picture(candidates: Sequence[Candidate], x: Axis, y: Axis, recommended: str = "", title: str = "Pareto front") -> Picture:
    """Every candidate as a point; those on the front filled, named and joined, the recommended one a star.

    Args:
        candidates: in any order; those with unknown values are left out.
        x, y: the respects.
        recommended: name of a candidate.
        title: stands above the picture.

    Raises:
        InputError: no candidate is known in both respects.
    """
    front = pareto_front(candidates, x, y)
    if not front:
        raise InputError("there is no front: no plan is known in both respects")
    known = [one for one in candidates if not math.isnan(one.x + one.y)]
    return Picture(title, lambda: _draw(known, front, x, y, recommended, title), len(known))


def _draw(known: Sequence[Candidate], front: Sequence[Candidate], x: Axis, y: Axis, recommended: str, title: str) -> Figure:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    figure = new_figure(6.6, 4.6)
    axes = plain_axes(figure.add_axes((0.105, 0.115, 0.86, 0.71)))
    (x_scale, *x_limits), (y_scale, *y_limits) = _limits([one.x for one in known]), _limits([one.y for one in known])
    axes.set(xscale=x_scale, xlim=x_limits, yscale=y_scale, ylim=y_limits)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    on_front = set(front)
    beaten = [one for one in known if one not in on_front]
    axes.plot([one.x for one in beaten], [one.y for one in beaten], "o", markersize=5, markerfacecolor="white",
              markeredgecolor="#8a8a8a", label="another one beats it", zorder=2)  # fmt: skip
    axes.step([one.x for one in front], [one.y for one in front], where="post", color=BLUE, linewidth=1.0, alpha=0.6, zorder=1.5)
    axes.plot([one.x for one in front], [one.y for one in front], "o", markersize=6.5, color=BLUE, markeredgecolor="white",
              label="on the front: none beats it", zorder=3)  # fmt: skip
    for one in known:
        if one.name == recommended:
            axes.plot(one.x, one.y, "*", markersize=15, color=ORANGE, markeredgecolor=INK, label="recommended", zorder=4)
            break
    axes.set(xlabel=_named(x), ylabel=_named(y))
    figure.text(0.02, 0.955, title, size=12, weight="bold", va="center")
    figure.legend(loc="center left", bbox_to_anchor=(0.015, 0.893), ncols=3, handletextpad=0.4, columnspacing=1.6)
    named = [*(one for one in known if one.name == recommended), *(one for one in front if one.name != recommended)][:_MOST_NAMED]
    place_labels(axes, [(one.x, one.y, shorten(one.name, 36)) for one in named], [(one.x, one.y) for one in known])
    return figure


def _limits(values: Sequence[float]) -> tuple[str, float, float]:
    """Kind of axis and its ends, with room around the points: logarithmic where the largest is many times the smallest."""
    low, high = min(values), max(values)
    if low > 0 and _LOG_RATIO * low < high:
        room = (high / low) ** 0.12
        return "log", low / room, high * room
    margin = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
    return "linear", max(0.0, low - margin) if low >= 0 else low - margin, high + margin


def _named(axis: Axis) -> str:
    """The label of an axis with an arrow to where it is better; turned with the label, it points up or down."""
    return f"{axis.label}   better →" if axis.more_is_better else f"← better   {axis.label}"


def _cost(value: float, axis: Axis) -> float:
    return -value if axis.more_is_better else value
