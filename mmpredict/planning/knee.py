"""Where a load curve bends.

Kneedle (V. Satopää, J. Albrecht, D. Irwin, B. Raghavan, Finding a "kneedle" in a haystack, 2011), for a curve that rises ever more
steeply: both axes are scaled to 0 … 1, and the knee is the point that is farthest below the straight line from first to last.
"""

from __future__ import annotations

from collections.abc import Sequence

LEAST_POINTS = 4
LEAST_STRENGTH = 0.15
"""Distance from the straight line, both axes being 1 long, below which a curve counts as straight."""


def knee_of(loads: Sequence[float], values: Sequence[float]) -> tuple[int, float] | None:
    """The place of the knee, and how far it is from the straight line; None for a curve without one.

    Args:
        loads: rising.
        values: what they lead to.
    """
    if len(loads) < LEAST_POINTS or loads[-1] <= loads[0] or max(values) <= min(values):
        return None
    low, span = min(values), max(values) - min(values)
    first, width = loads[0], loads[-1] - loads[0]
    below = [(load - first) / width - (value - low) / span for load, value in zip(loads, values, strict=True)]
    place = max(range(len(below)), key=lambda number: below[number])
    return (place, below[place]) if below[place] >= LEAST_STRENGTH and 0 < place < len(loads) - 1 else None
