"""Lengths and times that are drawn: a number, or a table with the kind of a distribution."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Literal

from pydantic import Tag

from mmpredict.errors import InputError
from mmpredict.scenario.strict import Strict, by_kind, keys_by_tag
from mmpredict.workload.distributions import MAX_VALUE, Clipped, Distribution, Exponential, Fixed, Lognormal, Uniform, Values
from mmpredict.workload.lengths import Lengths
from mmpredict.workload.request import MAX_TOKENS


class BoundedSection(Strict):
    """A distribution; numbers beyond ``min`` and ``max`` are set to these."""

    min: float | None = None
    max: float | None = None

    @abstractmethod
    def unbounded(self) -> Distribution:
        """The distribution without its bounds."""

    def bounded(self) -> Distribution:
        """The distribution with its bounds, if it has any."""
        if self.min is None and self.max is None:
            return self.unbounded()
        return Clipped(self.unbounded(), self.min or 0.0, MAX_VALUE if self.max is None else self.max)


class UniformSection(BoundedSection):
    """``{ kind = "uniform", low = …, high = … }``."""

    kind: Literal["uniform"]
    low: float
    high: float

    def unbounded(self) -> Distribution:
        """Evenly between both."""
        return Uniform(self.low, self.high)


class ExponentialSection(BoundedSection):
    """``{ kind = "exponential", mean = … }``."""

    kind: Literal["exponential"]
    mean: float

    def unbounded(self) -> Distribution:
        """Around the mean."""
        return Exponential(self.mean)


class LognormalSection(BoundedSection):
    """``{ kind = "lognormal", median = …, p95 = … }``, or ``sigma`` instead of ``p95``."""

    kind: Literal["lognormal"]
    median: float
    p95: float | None = None
    sigma: float | None = None

    def unbounded(self) -> Distribution:
        """Around the median."""
        if (self.p95 is None) == (self.sigma is None):
            raise InputError("a lognormal distribution needs p95 or sigma beside its median, and not both")
        return (
            Lognormal(self.median, self.sigma) if self.sigma is not None else Lognormal.of_percentiles(self.median, self.p95 or 0)
        )


class ListSection(BoundedSection):
    """``{ kind = "list", values = […] }``."""

    kind: Literal["list"]
    values: tuple[float, ...]

    def unbounded(self) -> Distribution:
        """One of the values."""
        return Values(self.values)


FAMILY = "quantity"
SECTIONS: tuple[type[Strict], ...] = (UniformSection, ExponentialSection, LognormalSection, ListSection)
KEYS = keys_by_tag(FAMILY, *SECTIONS)

_Drawn = (
    Annotated[UniformSection, Tag("quantity.uniform")]
    | Annotated[ExponentialSection, Tag("quantity.exponential")]
    | Annotated[LognormalSection, Tag("quantity.lognormal")]
    | Annotated[ListSection, Tag("quantity.list")]
)
Length = Annotated[Annotated[int, Tag("quantity.number")] | _Drawn, by_kind(FAMILY, number=True)]
"""A number of tokens, or how it is drawn."""

Delay = Annotated[Annotated[float, Tag("quantity.number")] | _Drawn, by_kind(FAMILY, number=True)]
"""A number of seconds, or how it is drawn."""


def lengths_of(length: int | BoundedSection, what: str, low: int = 1, high: int = MAX_TOKENS) -> Lengths:
    """Lengths of at least ``low`` tokens, and at most ``high`` if nothing else is said.

    Raises:
        InputError: a parameter is out of range; ``what`` says of what.
    """
    try:
        if isinstance(length, int):
            if length < low:
                raise InputError(f"it is {length}; at least {low} is needed")
            return Lengths.fixed(length)
        lowest, highest = (low if length.min is None else length.min), (high if length.max is None else length.max)
        if lowest < low or lowest != int(lowest) or highest != int(highest):
            raise InputError(f"min is {lowest} and max is {highest}; whole numbers from {low} on are needed")
        return Lengths(length.unbounded(), int(lowest), int(highest))
    except (InputError, OverflowError, ValueError) as error:  # int(inf), int(nan)
        raise InputError(f"{what}: {error}") from error


def delays_of(delay: float | BoundedSection, what: str) -> Distribution:
    """Times [s].

    Raises:
        InputError: a parameter is out of range; ``what`` says of what.
    """
    try:
        return Fixed(delay) if isinstance(delay, (int, float)) else delay.bounded()
    except InputError as error:
        raise InputError(f"{what}: {error}") from error
