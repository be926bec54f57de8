"""Lengths of prompts and answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmpredict.errors import InputError
from mmpredict.workload.distributions import BLOCK, Distribution, Fixed
from mmpredict.workload.request import MAX_TOKENS

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Lengths:
    """Whole numbers of tokens from a distribution, within bounds.

    Attributes:
        distribution: of the length [tokens]; its numbers are rounded to whole ones.
        low: shorter ones are made so long [tokens].
        high: longer ones are cut to this [tokens].

    Raises:
        InputError: the bounds are not possible.
    """

    distribution: Distribution
    low: int = 1
    high: int = MAX_TOKENS

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= MAX_TOKENS:
            raise InputError(f"lengths between {self.low} and {self.high} tokens; 0 ≤ min ≤ max ≤ {MAX_TOKENS} must hold")

    @classmethod
    def fixed(cls, tokens: int) -> Lengths:
        """Always so many."""
        if not 0 <= tokens <= MAX_TOKENS:
            raise InputError(f"a length of {tokens} tokens; it must be between 0 and {MAX_TOKENS}")
        return cls(Fixed(tokens), tokens, tokens)

    def draws(self, rng: np.random.Generator) -> Iterator[int]:
        """Lengths without end [tokens]."""
        while True:
            yield from self.distribution.block(rng, BLOCK).round().clip(self.low, self.high).astype("int64").tolist()
