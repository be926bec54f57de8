"""When requests come, if they come whether or not those before them are done."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mmpredict.errors import InputError
from mmpredict.workload.distributions import BLOCK

if TYPE_CHECKING:
    import numpy as np

    from mmpredict.workload.distributions import Reals

MAX_RATE_PER_S = 1e6
MAX_GAP_S = 1e9
MAX_BURST = 1_000_000
MAX_CV = 100.0


class Arrivals(Protocol):
    """A process of arrivals."""

    def times_s(self, rng: np.random.Generator) -> Iterator[float]:
        """Times without end, in order, from the start of the process [s]."""


@dataclass(frozen=True, slots=True)
class Constant:
    """One every ``1 / rate_per_s`` seconds, the first at once."""

    rate_per_s: float

    def __post_init__(self) -> None:
        _require_rate(self.rate_per_s)

    def times_s(self, rng: np.random.Generator) -> Iterator[float]:
        """Times without end; nothing is drawn [s]."""
        # Divided, not added up: after a million of them the last is where it should be.
        return (number / self.rate_per_s for number in itertools.count())


@dataclass(frozen=True, slots=True)
class Poisson:
    """Independent arrivals: gaps are exponentially distributed with mean ``1 / rate_per_s``."""

    rate_per_s: float

    def __post_init__(self) -> None:
        _require_rate(self.rate_per_s)

    def times_s(self, rng: np.random.Generator) -> Iterator[float]:
        """Times without end [s]."""
        last_s = 0.0
        while True:
            last_s, times_s = _after(last_s, rng.exponential(1 / self.rate_per_s, BLOCK))
            yield from times_s


@dataclass(frozen=True, slots=True)
class Gamma:
    """Gaps are gamma-distributed with mean ``1 / rate_per_s``.

    Attributes:
        rate_per_s: arrivals per second on average [1/s].
        cv: coefficient of variation of the gaps, their standard deviation ÷ their mean; below 1 arrivals are more even than
            Poisson's, above 1 they come in clusters [1].
    """

    rate_per_s: float
    cv: float

    def __post_init__(self) -> None:
        _require_rate(self.rate_per_s)
        if not 0.01 <= self.cv <= MAX_CV:
            raise InputError(f"cv is {self.cv}; it must be between 0.01 and {MAX_CV:g} (kind = 'constant' has no variation)")

    def times_s(self, rng: np.random.Generator) -> Iterator[float]:
        """Times without end [s]."""
        shape = self.cv**-2
        last_s = 0.0
        while True:
            last_s, times_s = _after(last_s, rng.gamma(shape, 1 / (self.rate_per_s * shape), BLOCK))
            yield from times_s


@dataclass(frozen=True, slots=True)
class Bursts:
    """Groups of arrivals.

    Attributes:
        burst_size: arrivals of a group [1].
        gap_s: from the beginning of a group to that of the next [s].
        spread_s: the arrivals of a group fall evenly at random into so long a time; 0: all at once [s].
    """

    burst_size: int
    gap_s: float
    spread_s: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.burst_size <= MAX_BURST:
            raise InputError(f"burst_size is {self.burst_size}; it must be between 1 and {MAX_BURST}")
        if not 0.0 < self.gap_s <= MAX_GAP_S:
            raise InputError(f"gap_s is {self.gap_s}; it must be more than 0 and at most {MAX_GAP_S:g} seconds")
        if not 0.0 <= self.spread_s <= self.gap_s:
            raise InputError(f"spread_s is {self.spread_s}; it must be between 0 and gap_s ({self.gap_s})")

    def times_s(self, rng: np.random.Generator) -> Iterator[float]:
        """Times without end [s]."""
        number = 0
        while True:
            start_s = number * self.gap_s
            yield from sorted((start_s + rng.uniform(0.0, self.spread_s, self.burst_size)).tolist())
            number += 1


def _after(last_s: float, gaps_s: Reals) -> tuple[float, list[float]]:
    times_s = (last_s + gaps_s.cumsum()).tolist()
    return times_s[-1], times_s


def _require_rate(rate_per_s: float) -> None:
    if not (0.0 < rate_per_s <= MAX_RATE_PER_S and math.isfinite(1 / rate_per_s)):
        raise InputError(f"rate_per_s is {rate_per_s}; it must be more than 0 and at most {MAX_RATE_PER_S:g}")
