"""The best mixes are what trying everything finds, and nothing can be added to any of them."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpredict.errors import InputError
from mmpredict.planning.capacity import Kind, Mix, best_mixes, used_mib

sizes = st.integers(0, 40)
kind_sizes = st.lists(st.tuples(st.integers(1, 40), sizes, st.integers(0, 9)), min_size=1, max_size=3)


def within(used: tuple[int, ...], budget: tuple[int, ...]) -> bool:
    return all(size <= there for size, there in zip(used, budget, strict=True))


def by_trying(
    kinds: list[Kind], budget: tuple[int, ...], base: tuple[int, ...], top: int, limit: int | None = None
) -> list[tuple[int, ...]]:
    """Every mix that fits and cannot be added to, best first."""
    bounds = [kind.most if kind.most is not None else 1000 for kind in kinds]
    reach = [range(kind.least, min(bound, max(budget)) + 1) for kind, bound in zip(kinds, bounds, strict=True)]

    def allowed(counts: tuple[int, ...]) -> bool:
        inside = all(count <= bound for count, bound in zip(counts, bounds, strict=True))
        return inside and (limit is None or sum(counts) <= limit) and within(used_mib(kinds, counts, base), budget)

    found = []
    for counts in product(*reach):
        if not any(counts) or not allowed(counts):
            continue
        more = [tuple(count + (place == index) for place, count in enumerate(counts)) for index in range(len(kinds))]
        if not any(allowed(bigger) for bigger in more):
            value = sum(kind.value * count for kind, count in zip(kinds, counts, strict=True))
            found.append((-value, sum(used_mib(kinds, counts, base)), tuple(-count for count in counts)))
    return [tuple(-count for count in rank[2]) for rank in sorted(found)[:top]]


@settings(max_examples=10)
@given(kind_sizes, st.integers(1, 120), st.integers(0, 10))
def test_one_memory(listed: list[tuple[int, int, int]], budget: int, base: int) -> None:
    kinds = [Kind(str(index), (own,), (shared,), value) for index, (own, shared, value) in enumerate(listed)]
    if any(own < 6 for own, _, _ in listed):
        kinds = [Kind(kind.name, kind.own_mib, kind.shared_mib, kind.value, most=6) for kind in kinds]
    mixes = best_mixes(kinds, (budget,), (base,), top=4)
    assert [mix.counts for mix in mixes] == by_trying(kinds, (budget,), (base,), 4)


@settings(max_examples=8)
@given(
    st.lists(st.tuples(st.integers(1, 30), sizes, sizes, sizes, st.integers(0, 9), st.integers(0, 1)), min_size=1, max_size=3),
    st.tuples(st.integers(20, 120), st.integers(20, 120)),
    st.none() | st.integers(1, 5),
)
def test_two_memories_limits_and_requirements(
    listed: list[tuple[int, int, int, int, int, int]], budget: tuple[int, int], limit: int | None
) -> None:
    kinds = [
        Kind(str(index), (own, other), (shared, also), value, least, 4)
        for index, (own, other, shared, also, value, least) in enumerate(listed)
    ]
    mixes = best_mixes(kinds, budget, (1, 2), top=3, limit=limit)
    assert [mix.counts for mix in mixes] == by_trying(kinds, budget, (1, 2), 3, limit)


def test_shared_pages_are_counted_once() -> None:
    kind = Kind("model", (100,), (900,), 1)
    assert best_mixes([kind], (1400,), (0,), 1) == (Mix((5,), 5.0, (1400,)),)


def test_what_is_worth_more_wins_although_less_of_it_fits() -> None:
    small, large = Kind("small", (10,), (0,), 1), Kind("large", (60,), (0,), 7)
    first, second = best_mixes([small, large], (100,), (0,), 2)
    assert (first.counts, first.value) == ((4, 1), 11.0)
    assert (second.counts, second.value) == ((10, 0), 10.0)


def test_equal_values_are_ordered_by_memory_then_by_what_was_named_first() -> None:
    first, second, third = (Kind(name, (size,), (0,), 1, most=1) for name, size in (("a", 30), ("b", 30), ("c", 20)))
    mixes = best_mixes([first, second, third], (55,), (0,), 3)
    assert [mix.counts for mix in mixes] == [(1, 0, 1), (0, 1, 1)]


def test_nothing_fits() -> None:
    assert best_mixes([Kind("model", (100,), (1,), 1)], (100,), (0,), 1) == ()
    assert best_mixes([Kind("model", (10,), (0,), 1, least=11)], (100,), (0,), 1) == ()


def test_many_instances_of_real_sizes() -> None:
    kinds = [Kind("0.5b", (400,), (500,), 494), Kind("7b", (700,), (4500,), 7616), Kind("70b", (3000,), (40000,), 70554)]
    (best,) = best_mixes(kinds, (122_880,), (14,), 1)
    assert within(best.used_mib, (122_880,))
    # 27 of the largest share one file, and what they leave is too little for the file of the next
    assert best.counts[2] == 27
    assert best.counts[0] == (122_880 - 14 - 40_000 - 27 * 3000 - 500) // 400


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ([], "no models"),
        ([Kind("a", (0,), (5,), 1)], "must need some memory"),
        ([Kind("a", (1,), (-5,), 1)], "less than nothing"),
        ([Kind("a", (1, 2), (5, 5), 1)], "2 memories"),
        ([Kind("a", (1,), (5,), -1)], "value -1"),
        ([Kind("a", (1,), (5,), 1, 3, 2)], "at least 3 and at most 2"),
    ],
)
def test_contradictions_are_named(kinds: list[Kind], words: str) -> None:
    with pytest.raises(InputError, match=words):
        best_mixes(kinds, (100,), (0,))
