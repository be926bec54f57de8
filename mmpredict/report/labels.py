"""Names beside points, where they hide neither the points nor each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mmpredict.report.style import QUIET_INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Where a name may stand, seen from its point: (right [points], up [points], horizontal and vertical alignment), best first.
_PLACES = [
    (side * away, up, "left" if side > 0 else "right", "center")
    for away, up in ((6, 0), (5, 7), (5, -7), (5, 14), (5, -14), (5, 21), (5, -21), (5, 28), (5, -28))
    for side in (1, -1)
]
_POINT_PX = 7.0
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 0.4, "alpha": 0.75}


def place_labels(
    axes: Axes, labels: Sequence[tuple[float, float, str]], points: Sequence[tuple[float, float]], **options: Any
) -> None:
    """Write a name beside each point, at the first place that is free and within the axes; the first one where none is.

    Args:
        axes: with its final limits.
        labels: (x, y, text), the most important first.
        points: what must not be covered, these included.
        options: of the text.
    """
    from matplotlib.transforms import Bbox

    renderer = axes.figure.canvas.get_renderer()  # type: ignore[attr-defined]
    frame = axes.get_window_extent(renderer)
    taken = []
    for x, y in axes.transData.transform(list(points)) if len(points) else ():
        taken.append(Bbox.from_extents(x - _POINT_PX, y - _POINT_PX, x + _POINT_PX, y + _POINT_PX))
    for x, y, text in labels:
        best: Any = None
        for right, up, horizontal, vertical in _PLACES:
            label = axes.annotate(
                text, (x, y), (right, up), textcoords="offset points", ha=horizontal, va=vertical,
                **{"size": 6.5, "color": QUIET_INK, "zorder": 3.5, "bbox": _PAPER, **options},
            )  # fmt: skip
            box = label.get_window_extent(renderer)
            hidden = sum(box.overlaps(other) for other in taken)
            outside = box.x0 < frame.x0 or box.x1 > frame.x1 or box.y0 < frame.y0 or box.y1 > frame.y1
            rank = (outside, hidden)
            if best is None or rank < best[0]:
                if best is not None:
                    best[1].remove()
                best = rank, label, box
            else:
                label.remove()
            if rank == (False, 0):
                break
        taken.append(best[2])
