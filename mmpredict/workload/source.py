"""What all requests of one generated load have in common."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmpredict.errors import InputError
from mmpredict.workload.arrivals import Arrivals
from mmpredict.workload.seeds import generator

if TYPE_CHECKING:
    import numpy as np

MAX_COUNT = 1_000_000_000
MAX_DURATION_S = 1e10


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The common part of a load's requests.

    Attributes:
        name: beginning of the ids of requests and sessions; loads of one workload have different ones.
        seed: of everything that is drawn; loads of different names draw independently.
        start_s: when the load begins, from the start of the workload [s].
        priority: of every request [1].
        deadline_s: of every request; ``None`` for none [s].

    Raises:
        InputError: the start is out of range.
    """

    name: str = "load"
    seed: int = 0
    start_s: float = 0.0
    priority: int = 0
    deadline_s: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.start_s <= MAX_DURATION_S:
            raise InputError(f"load {self.name!r}: start_s is {self.start_s}; it must be between 0 and {MAX_DURATION_S:g} seconds")

    def rng(self, what: str) -> np.random.Generator:
        """The random stream of one thing that is drawn."""
        return generator(self.seed, f"{self.name} {what}")


@dataclass(frozen=True, slots=True)
class Starts:
    """Arrivals with an end.

    Attributes:
        arrivals: the process.
        count: at most so many; ``None`` for any number [1].
        duration_s: none from so long after the start on; ``None`` for ever [s].

    Raises:
        InputError: there is no end, or one that is out of range.
    """

    arrivals: Arrivals
    count: int | None = None
    duration_s: float | None = None

    def __post_init__(self) -> None:
        if self.count is None and self.duration_s is None:
            raise InputError("a load needs an end: give the number of its arrivals, or duration_s")
        if self.count is not None and not 1 <= self.count <= MAX_COUNT:
            raise InputError(f"the number of arrivals is {self.count}; it must be between 1 and {MAX_COUNT}")
        if self.duration_s is not None and not 0.0 < self.duration_s <= MAX_DURATION_S:
            raise InputError(f"duration_s is {self.duration_s}; it must be more than 0 and at most {MAX_DURATION_S:g} seconds")

    def times_s(self, source: Source) -> Iterator[float]:
        """Times from the start of the workload, in order [s]."""
        times_s: Iterator[float] = itertools.islice(self.arrivals.times_s(source.rng("arrivals")), self.count)
        if self.duration_s is not None:
            end_s = self.duration_s
            times_s = itertools.takewhile(lambda time_s: time_s < end_s, times_s)
        return (source.start_s + time_s for time_s in times_s)
