"""Laws of sharing: what no fitted number may break."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.cost.contention import YIELDING_SPINCOUNT_LIMIT, Contention, Demand, is_yielding

fractions = st.floats(0.02, 1.0)
demands = st.builds(
    Demand,
    phase=st.sampled_from(["load", "prefill", "decode"]),
    threads=st.integers(1, 8),
    yielding=st.booleans(),
    solo_s=st.floats(1e-3, 100.0),
    layers=st.floats(0.0, 5000.0),
    stacked=st.booleans(),
    bandwidth=st.floats(0.0, 1.0),
)
companies = st.lists(demands, min_size=1, max_size=6)


@st.composite
def contentions(draw: st.DrawFn) -> Contention:
    yielding = draw(fractions)
    return Contention(
        cores=draw(st.integers(1, 16)),
        within_efficiency=draw(fractions),
        yielding_efficiency=yielding,
        spinning_efficiency_prefill=yielding * draw(fractions),
        spinning_efficiency_decode=yielding * draw(fractions),
        stacked_layer_s=draw(st.floats(0.0, 0.2)),
        crowding=draw(st.floats(0.0, 3.0)),
    )


NEARLY = 1 + 1e-12  # the last digits of a sum depend on its order


@given(contentions(), demands)
def test_alone_is_full_speed(contention: Contention, demand: Demand) -> None:
    assert contention.rates([demand]) == [1.0]


@given(contentions(), companies)
def test_company_never_makes_faster_than_alone_nor_stops_anybody(contention: Contention, company: list[Demand]) -> None:
    assert all(0.0 < rate <= 1.0 for rate in contention.rates(company))


@given(contentions(), companies, demands)
def test_one_more_activity_speeds_nobody_up(contention: Contention, company: list[Demand], another: Demand) -> None:
    before = contention.rates(company)
    after = contention.rates([*company, another])
    assert all(late <= early * NEARLY for early, late in zip(before, after, strict=False))


def test_one_more_thread_than_cores_speeds_nobody_up_where_full_cores_are_slow() -> None:
    # Eight servers of one thread on eight cores share the memory's bandwidth; a ninth gives them none of it back.
    contention = Contention(8, 0.6, 0.9, 0.7, 0.4, 0.1)
    single = Demand("decode", 1, False, 1.0, 100.0, False)
    assert contention.rates([single] * 9)[0] <= contention.rates([single] * 8)[0] == 0.6


def test_full_cores_stay_slow_beyond_them() -> None:
    """Five servers of one thread on two cores get as much of their fair share as two do; loads have an efficiency of their own."""
    contention = Contention(2, 0.96, 0.9, 0.7, 0.4, 0.1, load_within_efficiency=0.9, load_beyond_efficiency=0.8)
    single, load = (Demand(phase, 1, False, 1.0, 24.0, False) for phase in ("decode", "load"))
    assert contention.rates([single] * 2) == [0.96] * 2
    assert contention.rates([single] * 5) == pytest.approx([0.96 * 2 / 5] * 5)
    assert contention.rates([single, load]) == [0.96, 0.9]
    assert contention.rates([single, load, load]) == pytest.approx([0.96 * 2 / 3, 0.8 * 2 / 3, 0.8 * 2 / 3])


@given(contentions(), companies, st.randoms(use_true_random=False))
def test_the_order_of_activities_does_not_matter(contention: Contention, company: list[Demand], random: Random) -> None:
    order = list(range(len(company)))
    random.shuffle(order)
    shuffled = contention.rates([company[index] for index in order])
    assert shuffled == [contention.rates(company)[index] for index in order]


@given(contentions(), companies)
def test_no_more_core_time_is_given_out_than_there_is(contention: Contention, company: list[Demand]) -> None:
    if len(company) > 1:
        used = sum(rate * demand.threads for rate, demand in zip(contention.rates(company), company, strict=True))
        assert used <= contention.cores * NEARLY


@given(contentions(), companies, st.integers(1, 8))
def test_more_cores_are_never_slower(contention: Contention, company: list[Demand], more: int) -> None:
    larger = replace(contention, cores=contention.cores + more)
    assert all(fast * NEARLY >= slow for slow, fast in zip(contention.rates(company), larger.rates(company), strict=True))


@pytest.mark.parametrize(("cores", "servers"), [(2, 3), (2, 4), (1, 2), (4, 7)])
def test_servers_of_one_thread_get_exactly_a_fair_share(cores: int, servers: int) -> None:
    contention = Contention(cores, 1.0, 0.8, 0.6, 0.3, 0.1)
    company = [Demand("decode", 1, False, 1.0, 100.0, False)] * servers
    assert contention.rates(company) == [pytest.approx(cores / servers, rel=1e-12)] * servers


def test_shares_follow_threads_not_servers() -> None:
    contention = Contention(2, 1.0, 1.0, 1.0, 1.0, 0.0)
    company = [Demand("decode", threads, True, 1.0, 100.0, False) for threads in (1, 2, 2)]
    assert contention.rates(company) == [pytest.approx(2 / 5)] * 3


@given(contentions(), companies, demands)
def test_spinning_is_at_most_yielding_is_at_most_a_fair_share(
    contention: Contention, company: list[Demand], demand: Demand
) -> None:
    share = min(1.0, contention.cores / (demand.threads + sum(other.threads for other in company)))
    spinning, yielding = (contention.rates([replace(demand, yielding=rule), *company])[0] for rule in (False, True))
    assert spinning <= yielding * NEARLY
    assert yielding <= share * NEARLY


@given(contentions(), companies, demands)
def test_stacked_threads_are_never_faster(contention: Contention, company: list[Demand], demand: Demand) -> None:
    free, stacked = (contention.rates([replace(demand, stacked=state), *company])[0] for state in (False, True))
    assert stacked <= free * NEARLY


def test_a_long_prompt_gains_nothing_from_stacked_threads() -> None:
    # Few barriers in much work: the stalls are short, but the time slices lost by spinning remain.
    contention = Contention(2, 1.0, 0.9, 0.6, 0.3, 0.1)
    company = [Demand("prefill", 2, False, 10.0, 24.0, state) for state in (True, False)]
    stacked, free = contention.rates(company)
    assert stacked <= free


def test_stalls_of_stacked_threads_do_not_depend_on_the_work() -> None:
    # 24 layers, 0.1 s each: 2.4 s more per token than a fair half, whether the token takes 10 or 40 ms alone.
    contention = Contention(2, 1.0, 0.9, 0.6, 0.3, 0.1)
    other = Demand("decode", 2, False, 1.0, 24.0, True)
    for solo_s in (0.010, 0.040):
        rate = contention.rates([Demand("decode", 2, False, solo_s, 24.0, True), other])[0]
        assert solo_s / rate == pytest.approx(2 * solo_s + 2.4, rel=1e-12)


def test_within_the_cores_everybody_has_the_measured_efficiency() -> None:
    contention = Contention(4, 0.93, 0.9, 0.6, 0.3, 0.1)
    company = [Demand("decode", 2, False, 1.0, 24.0, True), Demand("prefill", 2, True, 1.0, 24.0, False)]
    assert contention.rates(company) == [0.93, 0.93]


@pytest.mark.parametrize(
    ("spincount", "yields"), [(None, False), (0, True), (1000, True), (YIELDING_SPINCOUNT_LIMIT, True), (300_000, False)]
)
def test_waiting_rules(spincount: int | None, yields: bool) -> None:
    assert is_yielding(spincount) is yields


def test_loads_that_read_from_storage_share_it() -> None:
    contention = Contention(8, 1.0, 1.0, 1.0, 1.0, 0.0)

    def load(disk: float) -> Demand:
        return Demand("load", 1, False, 1.0, 0.0, False, disk=disk)

    assert contention.rates([load(1.0)]) == [1.0]
    assert contention.rates([load(0.4), load(0.5)]) == [1.0, 1.0], "both are read in time"
    assert contention.rates([load(1.0), load(1.0)]) == [0.5, 0.5]
    # the modest one gets what it needs, the greedy one the rest
    assert contention.rates([load(0.2), load(1.0), load(0.0)]) == pytest.approx([1.0, 0.8, 1.0])


@given(contentions(), companies)
def test_no_more_bandwidth_is_given_out_than_there_is(contention: Contention, company: list[Demand]) -> None:
    if len(company) > 1:
        assert sum(rate * demand.bandwidth for rate, demand in zip(contention.rates(company), company, strict=True)) <= NEARLY


def test_who_needs_little_of_the_memory_is_hardly_slowed() -> None:
    """A prompt beside a server that decodes, and two that decode: 24 and 26 of 44 GB/s, as measured on two cores of an EPYC."""
    contention = Contention(2, 0.96, 0.9, 0.7, 0.4, 0.1, crowding=0.6)
    prompt = Demand("prefill", 1, False, 1.0, 100.0, False, bandwidth=1.5 / 44)
    first = Demand("decode", 1, False, 1.0, 100.0, False, bandwidth=24 / 44)
    second = Demand("decode", 1, False, 1.0, 100.0, False, bandwidth=26 / 44)
    assert contention.rates([prompt, second]) == pytest.approx([0.96, 0.96], abs=0.02)
    assert contention.rates([first, second]) == pytest.approx([0.80, 0.80], abs=0.02)
    assert contention.rates([first] * 4) == pytest.approx([44 / 24 / 4] * 4), "the memory is exhausted"
