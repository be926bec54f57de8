"""What takes the room of a machine: a bar per question, a piece per instance, and the line of what there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mmpredict.errors import InputError
from mmpredict.report.picture import Picture
from mmpredict.report.style import CYCLE, INK, QUIET_INK, VERMILION, new_figure, plain_axes, shorten
from mmpredict.results.estimate import Estimate, PoolEstimate
from mmpredict.units import GIB, format_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HATCHES = ("", "//", "..", "xx", "\\\\", "++")
"""One per colour of ``CYCLE``, so that pieces are told apart in grey; the next one when the colours come again."""

_ROW, _TOP, _BOTTOM, _WIDTH, _LETTER, _NOTE = 0.44, 0.96, 0.5, 9.0, 0.075, 1.75
_BAR = 0.62
_MOST_MODELS = 7
_LIMIT: dict[str, Any] = {"color": INK, "linewidth": 1.2, "linestyle": (0, (4, 2))}
_BOUNDS: dict[str, Any] = {"color": INK, "linewidth": 1.2, "marker": "|", "markersize": 4}
_VERDICTS = {"fits": "fits", "fits only if": "may fit: see the bounds", "does not fit": "does not fit"}


def memory_picture(estimates: Sequence[tuple[str, Estimate]], title: str = "What takes the room") -> Picture:
    """A bar per estimate, one piece per instance, against what models may take of the memory that they live in.

    Another memory of the machine has a bar of its own where it is too small.

    Args:
        estimates: (label, estimate), in the order in which they are to appear, from above.
        title: stands above the picture.

    Raises:
        InputError: no estimate.
    """
    rows = [(label, estimate, pool) for label, estimate in estimates for pool in _pools(estimate)]
    if not rows:
        raise InputError("there is no estimate to draw; give at least one")
    return Picture(title, lambda: _draw(rows, title))


def _draw(rows: Sequence[tuple[str, Estimate, PoolEstimate]], title: str) -> Figure:
    height_in = _TOP + _BOTTOM + _ROW * len(rows)
    names = _names(rows)
    left_in = 0.3 + _LETTER * max(map(len, names))
    figure = new_figure(_WIDTH, height_in)
    box = (left_in / _WIDTH, _BOTTOM / height_in, (_WIDTH - left_in - _NOTE) / _WIDTH, _ROW * len(rows) / height_in)
    axes = plain_axes(figure.add_axes(box), grid="x")
    widest = max(max(pool.needed.high, pool.usable.value) for _, _, pool in rows) / GIB
    axes.set(xlim=(0.0, 1.02 * widest), ylim=(len(rows) - 0.5, -0.5), xlabel="[GiB]")
    axes.set_yticks(range(len(rows)), names)
    models = list(dict.fromkeys(one.model for _, estimate, _ in rows for one in estimate.instances))
    fills = {model: _fill(number) for number, model in enumerate(models)}
    for row, (_, estimate, pool) in enumerate(rows):
        _draw_row(axes, row, estimate, pool, fills)
    figure.text(0.12 / _WIDTH, 1 - 0.2 / height_in, title, size=12, weight="bold", va="center")
    _draw_legend(figure, fills)
    return figure


def _draw_row(axes: Axes, row: int, estimate: Estimate, pool: PoolEstimate, fills: Mapping[str, dict[str, Any]]) -> None:
    begin = 0.0
    for model, size_bytes in _pieces(estimate, pool):
        axes.barh(row, size_bytes / GIB, left=begin, height=_BAR, zorder=2, **fills[model])
        begin += size_bytes / GIB
    low, high = pool.needed.low / GIB, pool.needed.high / GIB
    axes.plot([low, high], [row + _BAR / 2 + 0.07] * 2, **_BOUNDS, zorder=3)
    axes.plot([pool.usable.value / GIB] * 2, [row - 0.46, row + 0.46], **_LIMIT, zorder=4)
    note = f"{format_bytes(pool.needed.value)} of {format_bytes(pool.usable.value)}\n{_VERDICTS[pool.verdict]}"
    color = QUIET_INK if pool.fits else VERMILION
    axes.annotate(note, (1.0, row), (6, 0), ("axes fraction", "data"), "offset points", size=6.5, va="center", color=color)


def _draw_legend(figure: Figure, fills: Mapping[str, dict[str, Any]]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    height_in = figure.get_size_inches()[1]
    lines = [Line2D([], [], **_LIMIT, label="what models may take"), Line2D([], [], **_BOUNDS, label="bounds of the need")]
    models = [Patch(**fill, label=shorten(model, 24)) for model, fill in list(fills.items())[:_MOST_MODELS]]
    for handles, down_in in ((models, 0.46), (lines, 0.7)):
        place: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (0.08 / _WIDTH, 1 - down_in / height_in)}
        figure.legend(handles=handles, ncols=len(handles), handleheight=0.9, handlelength=1.8, **place)


def _fill(number: int) -> dict[str, Any]:
    color, hatch = CYCLE[number % len(CYCLE)], _HATCHES[(number + number // len(CYCLE)) % len(_HATCHES)]
    return {"facecolor": color, "edgecolor": "white", "linewidth": 0.8, "hatch": hatch}


def _pieces(estimate: Estimate, pool: PoolEstimate) -> list[tuple[str, float]]:
    """(model, bytes) of every instance in a memory: what it adds to the host, to the device, or to both, as the memory counts."""
    host = [(one.model, one.host_added.value) for one in estimate.instances]
    device = [(one.model, one.device_added.value) for one in estimate.instances]
    both = [(one.model, one.host_added.value + one.device_added.value) for one in estimate.instances]
    return min((host, device, both), key=lambda pieces: abs(sum(size for _, size in pieces) - pool.needed.value))


def _pools(estimate: Estimate) -> list[PoolEstimate]:
    """The memory that models live in, and those where they find no room."""
    first, *others = estimate.pools
    return [first, *(pool for pool in others if not pool.fits)]


def _names(rows: Sequence[tuple[str, Estimate, PoolEstimate]]) -> list[str]:
    several = len({pool.name for _, _, pool in rows}) > 1
    return [shorten(f"{label}, {pool.name}" if several else label, 34) for label, _, pool in rows]
