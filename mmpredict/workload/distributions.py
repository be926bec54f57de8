"""Distributions of positive quantities: a block of numbers at a time, in the unit of their parameters."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mmpredict.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Reals = npt.NDArray[np.float64]

BLOCK = 1024
"""Numbers drawn at once."""

MAX_VALUE = 1e12
MAX_VALUES = 1_000_000
Z_P95 = 1.6448536269514722
"""The 95th percentile of the standard normal distribution."""


class Distribution(Protocol):
    """Something to draw from."""

    def block(self, rng: np.random.Generator, count: int) -> Reals:
        """So many numbers, each 0 or more."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """Always the same value."""

    value: float

    def __post_init__(self) -> None:
        _require("value", self.value)

    def block(self, rng: np.random.Generator, count: int) -> Reals:
        """So many times the value."""
        from numpy import full

        return full(count, float(self.value))


@dataclass(frozen=True, slots=True)
class Uniform:
    """Evenly between ``low`` and ``high``."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _require("low", self.low)
        _require("high", self.high)
        if self.low > self.high:
            raise InputError(f"low is {self.low}, more than high ({self.high})")

    def block(self, rng: np.random.Generator, count: int) -> Reals:
        """So many numbers."""
        return rng.uniform(self.low, self.high, count)


@dataclass(frozen=True, slots=True)
class Exponential:
    """Exponentially distributed around ``mean``."""

    mean: float

    def __post_init__(self) -> None:
        _require("mean", self.mean)

    def block(self, rng: np.random.Generator, count: int) -> Reals:
        """So many numbers."""
        return rng.exponential(self.mean, count)


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Log-normally distributed.

    Attributes:
        median: half of the numbers are below.
        sigma: standard deviation of the logarithm [1].
    """

    median: float
    sigma: float

    def __post_init__(self) -> None:
        _require("median", self.median)
        if self.median == 0:
            raise InputError("median is 0; it must be more")
        if not 0.0 <= self.sigma <= 10.0:
            raise InputError(f"sigma is {self.sigma}; it must be between 0 and 10")

    @classmethod
    def of_percentiles(cls, median: float, p95: float) -> Lognormal:
        """The one with this median, of whose numbers 95 % are below ``p95``.

        Raises:
            InputError: ``p95`` is below the median.
        """
        _require("p95", p95)
        if not p95 >= median > 0:
            raise InputError(f"p95 is {p95}; it must be the median ({median}) or more, and the median more than 0")
        return cls(median, math.log(p95 / median) / Z_P95)

    def block(self, rng: np.random.Generator, count: int) -> Reals:
        """So many numbers."""
        return rng.lognormal(math.log(self.median), self.sigma, count).clip(max=MAX_VALUE)


@dataclass(frozen=True, slots=True)
class Values:
    """One of the given values, each as likely as the next; a value given twice is twice as likely."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.values) <= MAX_VALUES:
            raise InputError(f"there are {len(self.values)} values; give between 1 and {MAX_VALUES}")
        for value in self.values:
            _require("a value", value)

    def block(self, rng: np.random.Generator, count: int) -> Reals:
        """So many numbers."""
        from numpy import array

        # Not rng.choice, which would make an array of all values every time.
        return array([self.values[place] for place in rng.integers(0, len(self.values), count).tolist()], dtype=float)


@dataclass(frozen=True, slots=True)
class Clipped:
    """Another distribution, whose numbers below ``low`` are made so large, and those above ``high`` so small."""

    inner: Distribution
    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.low <= self.high <= MAX_VALUE:
            raise InputError(f"min is {self.low} and max is {self.high}; 0 ≤ min ≤ max ≤ {MAX_VALUE:g} must hold")

    def block(self, rng: np.random.Generator, count: int) -> Reals:
        """So many numbers."""
        return self.inner.block(rng, count).clip(self.low, self.high)


def draws(distribution: Distribution, rng: np.random.Generator) -> Iterator[float]:
    """Numbers without end."""
    while True:
        yield from distribution.block(rng, BLOCK).tolist()


def _require(name: str, value: float) -> None:
    if not 0.0 <= value <= MAX_VALUE:
        raise InputError(f"{name} is {value}; it must be between 0 and {MAX_VALUE:g}")
