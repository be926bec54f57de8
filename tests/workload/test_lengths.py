"""Lengths and times keep to their bounds, and to the distribution that was asked for."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.errors import InputError
from mmpredict.workload.assignment import Assignment
from mmpredict.workload.distributions import Clipped, Distribution, Exponential, Fixed, Lognormal, Uniform, Values, draws
from mmpredict.workload.lengths import Lengths
from mmpredict.workload.request import MAX_TOKENS
from mmpredict.workload.seeds import fraction, generator

COUNT = 20_000
numbers = st.floats(0, 1e6)
distributions = st.one_of(
    st.builds(Fixed, numbers),
    st.tuples(numbers, numbers).map(lambda pair: Uniform(min(pair), max(pair))),
    st.builds(Exponential, numbers),
    st.builds(Lognormal, st.floats(1e-3, 1e6), st.floats(0, 5)),
    st.lists(numbers, min_size=1, max_size=20).map(lambda values: Values(tuple(values))),
)


def taken(distribution: Distribution, count: int = COUNT) -> list[float]:
    return list(itertools.islice(draws(distribution, generator(1, "x")), count))


@given(distributions, st.integers(0, MAX_TOKENS), st.integers(0, MAX_TOKENS), st.integers(0, 2**32))
def test_lengths_are_whole_within_bounds_and_the_same_for_a_seed(
    distribution: Distribution, one: int, other: int, seed: int
) -> None:
    lengths = Lengths(distribution, min(one, other), max(one, other))
    first, second = (list(itertools.islice(lengths.draws(generator(seed, "x")), 1100)) for _ in range(2))
    assert first == second
    assert all(type(tokens) is int and lengths.low <= tokens <= lengths.high for tokens in first)


@given(distributions)
def test_numbers_are_never_negative_and_always_finite(distribution: Distribution) -> None:
    assert all(0.0 <= number < float("inf") for number in taken(distribution, 50))


def test_a_lognormal_has_the_percentiles_that_were_asked_for() -> None:
    found = sorted(taken(Lognormal.of_percentiles(300.0, 2000.0)))
    assert found[COUNT // 2] == pytest.approx(300, rel=0.04)
    assert found[int(COUNT * 0.95)] == pytest.approx(2000, rel=0.06)
    assert Lognormal.of_percentiles(5.0, 5.0).sigma == 0.0


def test_means_are_what_they_should_be() -> None:
    assert statistics.fmean(taken(Uniform(10.0, 30.0))) == pytest.approx(20.0, rel=0.01)
    assert statistics.fmean(taken(Exponential(7.0))) == pytest.approx(7.0, rel=0.03)
    assert set(taken(Fixed(3.5), 10)) == {3.5}


def test_of_listed_values_each_is_as_likely_as_the_next() -> None:
    found = taken(Values((1.0, 2.0, 2.0, 7.0)))
    assert [found.count(value) / COUNT for value in (1.0, 2.0, 7.0)] == pytest.approx([0.25, 0.5, 0.25], abs=0.015)


def test_clipping_sets_what_is_beyond_to_the_bound() -> None:
    found = taken(Clipped(Exponential(10.0), 5.0, 20.0))
    assert min(found) == 5.0 and max(found) == 20.0
    assert found.count(20.0) / COUNT == pytest.approx(0.1353, abs=0.01)


def test_fixed_lengths_may_be_none_at_all() -> None:
    assert [next(Lengths.fixed(tokens).draws(generator(0, "x"))) for tokens in (0, 1, 512)] == [0, 1, 512]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Lengths(Fixed(1), 5, 4), "lengths between 5 and 4 tokens"),
        (lambda: Lengths(Fixed(1), 0, MAX_TOKENS + 1), "must hold"),
        (lambda: Lengths.fixed(-1), "a length of -1 tokens"),
        (lambda: Uniform(2.0, 1.0), r"low is 2.0, more than high \(1.0\)"),
        (lambda: Uniform(-1.0, 1.0), "low is -1.0"),
        (lambda: Exponential(float("inf")), "mean is inf"),
        (lambda: Lognormal(0.0, 1.0), "median is 0"),
        (lambda: Lognormal(1.0, -1.0), "sigma is -1.0"),
        (lambda: Lognormal.of_percentiles(10.0, 9.0), r"p95 is 9.0; it must be the median \(10.0\) or more"),
        (lambda: Lognormal.of_percentiles(0.0, 9.0), "the median more than 0"),
        (lambda: Values(()), "there are 0 values"),
        (lambda: Values((1.0, float("nan"))), "a value is nan"),
        (lambda: Clipped(Fixed(1), 3.0, 2.0), "min is 3.0 and max is 2.0"),
        (lambda: Assignment({}), "0 models are given"),
        (lambda: Assignment({"m": 0.0}), "the weight of model 'm' is 0.0"),
        (lambda: Assignment({"m": float("nan")}), "weight of model 'm' is nan"),
    ],
)
def test_impossible_distributions_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_models_are_asked_by_their_weight() -> None:
    assignment = Assignment({"often": 3.0, "seldom": 1.0})
    found = list(itertools.islice(assignment.draws(generator(1, "x")), COUNT))
    assert found.count("often") / COUNT == pytest.approx(0.75, abs=0.013)
    named = [assignment.of(1, f"session {number}") for number in range(COUNT)]
    assert named.count("often") / COUNT == pytest.approx(0.75, abs=0.013)
    assert assignment.of(1, "one") == assignment.of(1, "one")
    assert set(itertools.islice(Assignment({"only": 0.1}).draws(generator(1, "x")), 3000)) == {"only"}


@given(st.integers(0, 2**63 - 1), st.text())
def test_a_fraction_of_a_name_is_one(seed: int, name: str) -> None:
    assert 0.0 <= fraction(seed, name) < 1.0
