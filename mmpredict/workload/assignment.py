"""Which model a request is for, drawn by weight."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import accumulate, repeat
from typing import TYPE_CHECKING

from mmpredict.errors import InputError
from mmpredict.workload.distributions import BLOCK
from mmpredict.workload.seeds import fraction

if TYPE_CHECKING:
    import numpy as np

MAX_MODELS = 1000
MAX_WEIGHT = 1e9


class Assignment:
    """Models with weights.

    Args:
        weights: model → how often it is asked, relative to the others [1].

    Raises:
        InputError: no model, too many, or a weight out of range.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        if not 1 <= len(weights) <= MAX_MODELS:
            raise InputError(f"{len(weights)} models are given; give between 1 and {MAX_MODELS}")
        for name, weight in weights.items():
            if not 0.0 < weight <= MAX_WEIGHT:
                raise InputError(f"the weight of model {name!r} is {weight}; it must be more than 0 and at most {MAX_WEIGHT:g}")
        self.models = tuple(weights)
        total = sum(weights.values())
        self._shares = [weight / total for weight in weights.values()]
        self._bounds = list(accumulate(self._shares))[:-1]

    def draws(self, rng: np.random.Generator) -> Iterator[str]:
        """Models without end, independent of one another."""
        if len(self.models) == 1:
            yield from repeat(self.models[0])
        while True:
            for number in rng.random(BLOCK).tolist():
                yield self.models[bisect_right(self._bounds, number)]

    def of(self, seed: int, name: str) -> str:
        """The model of everything that has this name, as all requests of one session."""
        return self.models[bisect_right(self._bounds, fraction(seed, name))]
