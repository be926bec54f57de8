"""The memory of a run over time, below its lanes: what is in use, what there is, what has been swapped out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mmpredict.report.rows import end_s, memory_steps, state_steps
from mmpredict.report.style import GREEN, INK, PURPLE, QUIET_INK
from mmpredict.results.columns import StateRow
from mmpredict.results.records import Records
from mmpredict.units import GIB, format_bytes

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

STRIP_IN = 0.5
_ALPHA = 0.3
_LIMIT: dict[str, Any] = {"color": INK, "linewidth": 1.0, "linestyle": (0, (4, 2))}
_SWAPPED: dict[str, Any] = {"facecolor": PURPLE, "edgecolor": INK, "hatch": "xxxx", "linewidth": 0}
_LEAST_SHARE = 0.2
"""Of what there is, so much must be in use for the line to be drawn to scale; below, the use would be a stroke at the bottom."""


def strip_top(runs: Sequence[Records]) -> float:
    """The upper end of the axis that the strips of these runs share [bytes]."""
    steps = [step for records in runs for step in memory_steps(records)]
    used = max((step.used for step in steps), default=0.0)
    capacity = max((step.capacity for step in steps if not math.isnan(step.capacity)), default=0.0)
    return 1.15 * (max(used, capacity) if used >= _LEAST_SHARE * capacity else 1.3 * used)


def draw_memory(axes: Axes, records: Records, top_bytes: float) -> None:
    """Draw the memory of all instances and the line of what there is; the axis ends at ``top_bytes`` (``strip_top``)."""
    steps, last_s = memory_steps(records), end_s(records)
    times, levels = _stairs(steps, last_s)
    axes.fill_between(times, levels, step="post", color=GREEN, alpha=_ALPHA, linewidth=0)
    axes.step(times, levels, where="post", color=GREEN, linewidth=0.9)
    if swapped := _swapped(records):
        beyond_times, beyond = _stairs(swapped, last_s)
        moments = sorted({*times, *beyond_times})
        upper = [_at(times, levels, moment) for moment in moments]
        lower = [high - _at(beyond_times, beyond, moment) for high, moment in zip(upper, moments, strict=True)]
        axes.fill_between(moments, lower, upper, step="post", **_SWAPPED)
    axes.set_ylim(0.0, top_bytes / GIB or 1.0)
    axes.set_yticks([axes.get_ylim()[1] / 2], ["memory"])
    note = f"peak {format_bytes(max(step.used for step in steps))}"
    capacity = max((step.capacity for step in steps if not math.isnan(step.capacity)), default=math.nan)
    if not math.isnan(capacity):
        note += f"\nof {format_bytes(capacity)}"
        if capacity < top_bytes:
            axes.axhline(capacity / GIB, **_LIMIT)
        else:
            _draw_far_limit(axes)
    if swapped:
        note += f"\n{format_bytes(max(step.used for step in swapped))} swapped"
    axes.text(1.008, 0.5, note, transform=axes.transAxes, size=6.5, color=QUIET_INK, va="center")


def memory_legend(runs: Sequence[Records]) -> list[Artist]:
    """What the strips of these runs need to have explained."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    steps = [step for records in runs for step in memory_steps(records)]
    found: list[Artist] = []
    if steps:
        found.append(Patch(facecolor=GREEN, alpha=_ALPHA, edgecolor=GREEN, label="memory of all instances"))
    if any(_swapped(records) for records in runs):
        found.append(Patch(**_SWAPPED, label="swapped out"))
    if any(not math.isnan(step.capacity) for step in steps):
        found.append(Line2D([], [], **_LIMIT, label="memory there is"))
    return found


def _draw_far_limit(axes: Axes) -> None:
    """The line of what there is where it would be far above: at the edge, the axis broken below it."""
    axes.plot([0, 1], [0.93, 0.93], transform=axes.transAxes, **_LIMIT)
    for x in (0.0, 1.0):
        axes.text(x, 0.84, "≈", transform=axes.transAxes, size=8, color=INK, ha="center", va="center", clip_on=False)


def _swapped(records: Records) -> list[StateRow]:
    steps = state_steps(records, "swapped")
    return steps if any(step.used > 0 for step in steps) else []


def _stairs(steps: Sequence[StateRow], last_s: float) -> tuple[list[float], list[float]]:
    """Moments [s] and the level from each of them on [GiB]; nothing before the first one."""
    return [*(step.time_s for step in steps), last_s], [*(step.used / GIB for step in steps), steps[-1].used / GIB]


def _at(times: Sequence[float], levels: Sequence[float], moment: float) -> float:
    return next((level for time, level in zip(reversed(times), reversed(levels), strict=True) if time <= moment), 0.0)
