"""Arrivals come in order, the same for a seed, and as often and as evenly as they should."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.errors import InputError
from mmpredict.workload.arrivals import Arrivals, Bursts, Constant, Gamma, Poisson
from mmpredict.workload.seeds import generator
from mmpredict.workload.source import Source, Starts

COUNT = 20_000
rates = st.floats(1e-3, 1e4)
processes = st.one_of(
    st.builds(Constant, rates),
    st.builds(Poisson, rates),
    st.builds(Gamma, rates, st.floats(0.1, 10)),
    st.integers(1, 50).flatmap(
        lambda size: st.floats(0.01, 100).flatmap(
            lambda gap_s: st.builds(Bursts, st.just(size), st.just(gap_s), st.floats(0, gap_s))
        )
    ),
)


def taken(arrivals: Arrivals, count: int, seed: int = 1) -> list[float]:
    return list(itertools.islice(arrivals.times_s(generator(seed, "arrivals")), count))


@given(processes, st.integers(0, 2**63 - 1))
def test_times_are_in_order_and_the_same_for_a_seed(arrivals: Arrivals, seed: int) -> None:
    times_s = taken(arrivals, 1500, seed)
    assert times_s == sorted(times_s) == taken(arrivals, 1500, seed)
    assert times_s[0] >= 0.0


def gaps(arrivals: Arrivals) -> list[float]:
    times_s = [0.0, *taken(arrivals, COUNT)]
    return [later - earlier for earlier, later in itertools.pairwise(times_s)]


@pytest.mark.parametrize(("arrivals", "cv"), [(Poisson(4.0), 1.0), (Gamma(4.0, 0.5), 0.5), (Gamma(4.0, 3.0), 3.0)])
def test_gaps_have_the_mean_and_the_variation_that_was_asked_for(arrivals: Arrivals, cv: float) -> None:
    found = gaps(arrivals)
    mean_s = statistics.fmean(found)
    assert mean_s == pytest.approx(0.25, abs=4 * 0.25 * cv / COUNT**0.5)
    assert statistics.stdev(found) / mean_s == pytest.approx(cv, rel=0.08)


def test_poisson_arrivals_are_memoryless() -> None:
    found = gaps(Poisson(1.0))
    beyond = [sum(1 for gap_s in found if gap_s > limit_s) / COUNT for limit_s in (0.5, 1.0, 2.0)]
    assert beyond == pytest.approx([0.6065, 0.3679, 0.1353], abs=0.012)


def test_constant_arrivals_are_where_they_should_be_after_very_many() -> None:
    assert taken(Constant(10.0), 4) == [0.0, 0.1, 0.2, 0.3]
    assert next(itertools.islice(Constant(3.0).times_s(generator(0, "x")), 300_000, None)) == 100_000.0


def test_bursts_come_together() -> None:
    assert taken(Bursts(3, 10.0), 7) == [0.0, 0.0, 0.0, 10.0, 10.0, 10.0, 20.0]
    spread = taken(Bursts(100, 10.0, 2.0), 200)
    assert all(0 <= time_s < 2 for time_s in spread[:100]) and all(10 <= time_s < 12 for time_s in spread[100:])
    assert statistics.fmean(spread[:100]) == pytest.approx(1.0, abs=0.25)


def test_an_end_is_a_number_or_a_time() -> None:
    source = Source(start_s=5.0)
    assert list(Starts(Constant(1.0), 3).times_s(source)) == [5.0, 6.0, 7.0]
    assert list(Starts(Constant(1.0), None, 2.5).times_s(source)) == [5.0, 6.0, 7.0]
    assert list(Starts(Constant(1.0), 2, 100.0).times_s(source)) == [5.0, 6.0]


def test_loads_of_different_names_or_seeds_do_not_come_together() -> None:
    found = {tuple(Starts(Poisson(1.0), 3).times_s(Source(name=name, seed=seed))) for name in "ab" for seed in (0, 1)}
    assert len(found) == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Poisson(0.0), "rate_per_s is 0.0; it must be more than 0"),
        (lambda: Constant(float("nan")), "rate_per_s is nan"),
        (lambda: Constant(5e-324), "rate_per_s"),
        (lambda: Gamma(1.0, 0.0), "cv is 0.0; it must be between 0.01 and 100"),
        (lambda: Bursts(0, 1.0), "burst_size is 0"),
        (lambda: Bursts(1, 0.0), "gap_s is 0.0"),
        (lambda: Bursts(1, 1.0, 2.0), r"spread_s is 2.0; it must be between 0 and gap_s \(1.0\)"),
        (lambda: Starts(Poisson(1.0)), "a load needs an end"),
        (lambda: Starts(Poisson(1.0), 0), "the number of arrivals is 0"),
        (lambda: Starts(Poisson(1.0), None, float("inf")), "duration_s is inf"),
        (lambda: Source(start_s=-1.0), "load 'load': start_s is -1.0"),
        (lambda: generator(-1, "x"), "seed is -1"),
    ],
)
def test_impossible_arrivals_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
