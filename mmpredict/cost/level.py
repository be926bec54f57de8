"""Dividing a resource max-min fair: nobody gets more than a common level unless he needs less."""

from __future__ import annotations

import math
from collections.abc import Sequence


def level(needs: Sequence[float], weights: Sequence[float], capacity: float) -> float:
    """The level at which a resource is used up, Σ min(need, level · weight) = capacity; infinite where it suffices for all.

    Args:
        needs: what each would take at most [1].
        weights: above 0 [1].
        capacity: of the resource [1].
    """
    # sorted, so that the last digits do not depend on the order in which activities are given
    order = sorted(zip(needs, weights, strict=True), key=lambda one: (one[0] / one[1], one[0]))
    left, open_weights = capacity, math.fsum(weights)
    for need, weight in order:
        if need / weight * open_weights >= left:
            return left / open_weights
        left -= need
        open_weights -= weight
    return math.inf
