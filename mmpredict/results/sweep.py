"""What a run comes to while one quantity of the question takes one value after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One value of the quantity.

    Attributes:
        value: of the quantity, for example a rate [requests/s] or users [1].
        metrics: metric, as in ``results.metrics.METRICS`` → what it comes to, in its unit; ``nan`` where it has none.
    """

    value: float
    metrics: Mapping[str, float]
