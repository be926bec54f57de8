"""How many instances of which models fit together: the best mixes, exactly.

Every kind of model has memory that each instance needs and memory that all its instances share, which is there once as soon as
there is one of them. The best mix is the solution of an integer linear program (``scipy.optimize.milp``); further ones come from
dividing what is left (E. L. Lawler, A procedure for computing the k best solutions to discrete optimization problems, 1972). Only
mixes to which nothing can be added are counted, so an alternative is never just a smaller version of a better mix.

Sizes are in whole mebibytes, needs rounded up and budgets down: then all numbers are integers and the answer is exact.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mmpredict.errors import InputError, MmpredictError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

MAX_COUNT = 1000
"""Instances of one model beyond which nobody asks."""
VALUE_SCALE = 1000
"""Values keep three decimals."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One model that instances can be made of.

    Attributes:
        name: for people.
        own_mib: what each instance needs, per memory [MiB].
        shared_mib: what there is once for all of its instances, per memory [MiB].
        value: of one instance, in the unit of the goal; 0 or more.
        least, most: instances that there must and may be; ``most`` is None for no limit [1].
    """

    name: str
    own_mib: tuple[int, ...]
    shared_mib: tuple[int, ...]
    value: float
    least: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Mix:
    """So many instances of each kind.

    Attributes:
        counts: instances, in the order of the kinds [1].
        value: of all of them.
        used_mib: of each memory [MiB].
    """

    counts: tuple[int, ...]
    value: float
    used_mib: tuple[int, ...]


def used_mib(kinds: Sequence[Kind], counts: Sequence[int], base_mib: Sequence[int]) -> tuple[int, ...]:
    """What a mix takes of each memory [MiB]; ``base_mib`` is there once for all kinds."""
    pairs = [(kind, count) for kind, count in zip(kinds, counts, strict=True) if count]
    return tuple(
        base + sum(count * kind.own_mib[memory] + kind.shared_mib[memory] for kind, count in pairs)
        for memory, base in enumerate(base_mib)
    )


def best_mixes(
    kinds: Sequence[Kind], budget_mib: Sequence[int], base_mib: Sequence[int], top: int = 5, limit: int | None = None
) -> tuple[Mix, ...]:
    """The best mixes that fit and to which nothing can be added, best first; none if not even one instance fits.

    Equal values are ordered by the memory they need, then by how many there are of the kinds that were named first.

    Args:
        kinds: what instances can be made of.
        budget_mib: what there is of each memory [MiB].
        base_mib: what any mix takes of each memory once [MiB].
        top: how many mixes are wanted [1].
        limit: instances that there may be in all; None for no limit [1].

    Raises:
        InputError: a kind that needs no memory, or whose numbers contradict each other.
    """
    _check(kinds, budget_mib, base_mib, top)
    program = _Program(tuple(kinds), tuple(budget_mib), tuple(base_mib), limit)
    waiting: list[tuple[tuple[int, int, tuple[int, ...]], tuple[int, ...], tuple[int, ...]]] = []

    def consider(low: tuple[int, ...], high: tuple[int, ...]) -> None:
        counts = program.best(low, high)
        if counts is not None:
            heapq.heappush(waiting, (program.rank(counts), low, high))

    consider(program.least, program.most)
    found: list[Mix] = []
    while waiting and len(found) < top:
        rank, low, high = heapq.heappop(waiting)
        counts = tuple(-count for count in rank[2])
        found.append(Mix(counts, -rank[0] / VALUE_SCALE, used_mib(kinds, counts, base_mib)))
        if len(found) < top:
            for parts in _divided(counts, low, high):
                consider(*parts)
    return tuple(found)


def _divided(
    counts: tuple[int, ...], low: tuple[int, ...], high: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Boxes that cover everything between the bounds but these counts, each point once."""
    for kind, count in enumerate(counts):
        if low[kind] < count:
            yield (*counts[:kind], *low[kind:]), (*counts[:kind], count - 1, *high[kind + 1 :])
        if count < high[kind]:
            yield (*counts[:kind], count + 1, *low[kind + 1 :]), (*counts[:kind], *high[kind:])


@dataclass(frozen=True)
class _Program:
    """The integer linear program.

    Its variables, for ``k`` kinds and ``m`` memories: the counts; whether there is any of a kind; whether a kind is at its limit;
    whether one more of a kind would be too much for a memory; whether the number of instances is at its limit.
    """

    kinds: tuple[Kind, ...]
    budget_mib: tuple[int, ...]
    base_mib: tuple[int, ...]
    limit: int | None

    @cached_property
    def least(self) -> tuple[int, ...]:
        return tuple(kind.least for kind in self.kinds)

    @cached_property
    def most(self) -> tuple[int, ...]:
        """The most of each kind that can fit at all."""
        bounds = []
        for kind in self.kinds:
            rooms = zip(self.budget_mib, self.base_mib, kind.own_mib, kind.shared_mib, strict=True)
            fitting = min((budget - base - shared) // own for budget, base, own, shared in rooms if own)
            bounds.append(max(kind.least, min(fitting, MAX_COUNT if kind.most is None else kind.most)))
        return tuple(bounds)

    @cached_property
    def values(self) -> tuple[int, ...]:
        return tuple(round(kind.value * VALUE_SCALE) for kind in self.kinds)

    def rank(self, counts: tuple[int, ...]) -> tuple[int, int, tuple[int, ...]]:
        """What mixes are ordered by: smaller is better."""
        value = sum(value * count for value, count in zip(self.values, counts, strict=True))
        return -value, sum(used_mib(self.kinds, counts, self.base_mib)), tuple(-count for count in counts)

    def best(self, low: tuple[int, ...], high: tuple[int, ...]) -> tuple[int, ...] | None:
        """The best counts between bounds; None if there are none."""
        import numpy as np

        kinds, extra = len(self.kinds), self._width - len(self.kinds)
        value = np.array([*(-value for value in self.values), *[0] * extra])
        counts = self._solve(value, low, high, [])
        if counts is None:
            return None
        rows = [(value, self.rank(counts)[0])]
        counts = self._solve(self._memory, low, high, rows) or counts
        rows.append((self._memory, self.rank(counts)[1] - sum(self.base_mib)))
        for kind in range(kinds - 1):  # the last one follows from the others
            if low[kind] < high[kind]:
                unit = np.zeros(self._width)
                unit[kind] = -1
                counts = self._solve(unit, low, high, rows) or counts
                low = (*low[:kind], counts[kind], *low[kind + 1 :])
                high = (*high[:kind], counts[kind], *high[kind + 1 :])
        return counts

    @cached_property
    def _width(self) -> int:
        return len(self.kinds) * (3 + len(self.budget_mib)) + 1

    @cached_property
    def _memory(self) -> Array:
        """Memory of a mix beside its base, all memories together, as an objective."""
        import numpy as np

        row = np.zeros(self._width)
        for index, kind in enumerate(self.kinds):
            row[index], row[len(self.kinds) + index] = sum(kind.own_mib), sum(kind.shared_mib)
        return row

    @cached_property
    def _rows(self) -> tuple[Array, Array]:
        """Rows of the program with their lower bounds: row · variables ≥ bound."""
        import numpy as np

        kinds, memories = len(self.kinds), len(self.budget_mib)
        any_, full, over, all_ = kinds, 2 * kinds, 3 * kinds, self._width - 1
        rows, bounds = [], []

        def add(bound: float, entries: Mapping[int, float]) -> None:
            row = np.zeros(self._width)
            for column, factor in entries.items():
                row[column] += factor
            rows.append(row)
            bounds.append(bound)

        used = [
            {column: factor for index, kind in enumerate(self.kinds) for column, factor in
             ((index, kind.own_mib[memory]), (any_ + index, kind.shared_mib[memory]))}
            for memory in range(memories)
        ]  # fmt: skip
        for memory in range(memories):
            add(self.base_mib[memory] - self.budget_mib[memory], {column: -size for column, size in used[memory].items()})
        everything = dict.fromkeys(range(kinds), 1.0)
        add(1, everything)
        if self.limit is not None:
            add(-self.limit, dict.fromkeys(range(kinds), -1.0))
            add(0, {**everything, all_: -self.limit})
        for index, kind in enumerate(self.kinds):
            add(0, {any_ + index: max(self.most[index], 1), index: -1})
            add(0, {index: 1, any_ + index: -1})
            if kind.most is not None:
                add(0, {index: 1, full + index: -kind.most})
            for memory in range(memories):
                # What one more would lead to is more than there is, or the variable is 0.
                row = dict(used[memory])
                row[any_ + index] -= kind.shared_mib[memory]
                row[over + index * memories + memory] = -(self.budget_mib[memory] + 1)
                add(-(self.base_mib[memory] + kind.own_mib[memory] + kind.shared_mib[memory]), row)
            nothing_more = {over + index * memories + memory: 1.0 for memory in range(memories)}
            add(1, {**nothing_more, full + index: 1, all_: 1})
        return np.array(rows), np.array(bounds)

    def _solve(
        self, objective: Array, low: tuple[int, ...], high: tuple[int, ...], at_most: list[tuple[Array, int]]
    ) -> tuple[int, ...] | None:
        """Minimise within bounds on the counts, and further rows that must not exceed a number."""
        import numpy as np
        from scipy.optimize import Bounds, LinearConstraint, milp

        kinds = len(self.kinds)
        if any(least > most for least, most in zip(low, high, strict=True)):
            return None
        upper = np.ones(self._width)
        lower = np.zeros(self._width)
        lower[:kinds], upper[:kinds] = low, high
        for index, kind in enumerate(self.kinds):
            upper[2 * kinds + index] = kind.most is not None
        upper[-1] = self.limit is not None
        rows, bounds = self._rows
        constraints = [LinearConstraint(rows, bounds, np.inf)]
        constraints += [LinearConstraint(row, -np.inf, most) for row, most in at_most]
        result = milp(
            objective,
            constraints=constraints,
            bounds=Bounds(lower, upper),
            integrality=np.ones(self._width),
            options={"mip_rel_gap": 0.0},
        )
        if result.x is None:
            return None
        counts = tuple(round(float(count)) for count in result.x[:kinds])
        used = used_mib(self.kinds, counts, self.base_mib)
        if any(size > budget for size, budget in zip(used, self.budget_mib, strict=True)):
            raise MmpredictError(f"the solver's mix {counts} needs {used} MiB of {self.budget_mib}; please report this")
        return counts


def _check(kinds: Sequence[Kind], budget_mib: Sequence[int], base_mib: Sequence[int], top: int) -> None:
    if not kinds:
        raise InputError("no models to choose from")
    if top < 1:
        raise InputError(f"{top} mixes are wanted; it must be at least 1")
    for kind in kinds:
        if not len(kind.own_mib) == len(kind.shared_mib) == len(budget_mib) == len(base_mib):
            raise InputError(f"{kind.name}: needs of {len(kind.own_mib)} memories, budgets of {len(budget_mib)}")
        if not any(kind.own_mib) or min(*kind.own_mib, *kind.shared_mib) < 0:
            raise InputError(f"{kind.name}: an instance must need some memory, and no memory less than nothing")
        if not 0 <= kind.value <= 1e9:
            raise InputError(f"{kind.name}: its value {kind.value:g} is not between 0 and 10^9")
        if kind.least < 0 or (kind.most is not None and kind.most < kind.least):
            raise InputError(f"{kind.name}: at least {kind.least} and at most {kind.most} instances contradict each other")
