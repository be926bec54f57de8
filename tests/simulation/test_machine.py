"""Processor sharing: closed forms, conservation of work, and an independent simulator as oracle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

import ciw
import numpy as np
import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.cost.contention import Contention, Demand
from mmpredict.cost.sharing import MachineSharing
from mmpredict.simulation.machine import Activity, Machine, Use

FAIR = Contention(
    cores=1,
    within_efficiency=1.0,
    yielding_efficiency=1.0,
    spinning_efficiency_prefill=1.0,
    spinning_efficiency_decode=1.0,
    stacked_layer_s=0.0,
)


def work(solo_s: float, threads: int = 1, yielding: bool = True) -> Demand:
    return Demand("decode", threads, yielding, solo_s, 10.0, False)


def done_event(env: simpy.Environment, machine: Machine, demand: Demand) -> Any:
    event = env.event()
    machine.start(demand, lambda _: event.succeed())
    return event


def finish_times(contention: Any, jobs: Sequence[tuple[float, Demand]]) -> list[float]:
    """When each of (arrival, demand) is done."""
    env = simpy.Environment()
    machine = Machine(env, contention)
    finished = [float("nan")] * len(jobs)

    def job(number: int, arrival_s: float, demand: Demand) -> Iterator[Any]:
        yield env.timeout(arrival_s)
        yield done_event(env, machine, demand)
        finished[number] = env.now

    for number, (arrival_s, demand) in enumerate(jobs):
        env.process(job(number, arrival_s, demand))
    run_to_the_end(env)
    return finished


def run_to_the_end(env: simpy.Environment, limit: int = 1_000_000) -> None:
    """Like ``env.run()``, but events without end fail the test."""
    for _ in range(limit):
        if env.peek() == float("inf"):
            return
        env.step()
    pytest.fail(f"events without end at {env.now}")


def test_alone_work_takes_its_own_time() -> None:
    assert finish_times(FAIR, [(3.0, work(2.5))]) == [5.5]


def test_two_equal_jobs_on_one_core_take_twice_as_long() -> None:
    assert finish_times(FAIR, [(0.0, work(4.0)), (0.0, work(4.0))]) == [8.0, 8.0]


def test_a_late_job_slows_the_first_only_while_it_is_there() -> None:
    # 4 s alone, then shared until the short one has its 2 s (at 8), then 4 s alone
    assert finish_times(FAIR, [(0.0, work(10.0)), (4.0, work(2.0))]) == [pytest.approx(12.0), pytest.approx(8.0)]


def test_jobs_of_different_length_leave_one_after_the_other() -> None:
    # with n equal jobs of 1, 2, 3 s: 3 s, then 2 more for the second, then 1 more
    assert finish_times(FAIR, [(0.0, work(length)) for length in (1.0, 2.0, 3.0)]) == pytest.approx([3.0, 5.0, 6.0])


def test_two_cores_share_between_three_jobs_only_what_is_missing() -> None:
    # rate 2/3 until the first is done at 3, then both others alone on their cores
    found = finish_times(replace(FAIR, cores=2), [(0.0, work(length)) for length in (2.0, 4.0, 5.0)])
    assert found == pytest.approx([3.0, 5.0, 6.0])


def test_shares_go_by_threads() -> None:
    # 3 threads on 2 cores: both at 2/3; after the first only one with 2 threads on 2 cores
    found = finish_times(replace(FAIR, cores=2), [(0.0, work(2.0)), (0.0, work(4.0, threads=2))])
    assert found == pytest.approx([3.0, 5.0])


def test_an_arrival_at_the_moment_of_a_departure_does_not_meet_it() -> None:
    assert finish_times(FAIR, [(0.0, work(2.0)), (2.0, work(3.0))]) == [2.0, 5.0]


def test_work_of_no_length_is_done_at_once() -> None:
    assert finish_times(FAIR, [(1.0, work(0.0)), (0.0, work(2.0))]) == [1.0, 2.0]


@pytest.mark.parametrize("start_s", [1e3, 1e4, 1e6, 1e9, 1e15])
def test_late_in_a_long_simulation_work_still_ends(start_s: float) -> None:
    jobs = [(start_s + 0.1 * number, work(0.1 + 0.01 * number)) for number in range(20)]
    total_s = sum(demand.solo_s for _, demand in jobs)
    assert max(finish_times(FAIR, jobs)) == pytest.approx(start_s + total_s, rel=1e-9)


def started(env: simpy.Environment, machine: Machine, demand: Demand, ends: list[float]) -> Activity:
    return machine.start(demand, lambda _: ends.append(env.now))


@pytest.mark.parametrize(
    ("target_s", "end_s"),
    [(6.0, 8.0), (4.0, 4.0), (3.0, 4.0), (-1.0, 4.0), (9.0, 11.0), (10.0, 12.0), (50.0, 12.0)],
    ids=["earlier", "now", "already past", "negative", "within the rest", "unchanged", "beyond"],
)
def test_work_can_be_ended_earlier_but_not_prolonged(target_s: float, end_s: float) -> None:
    env = simpy.Environment()
    machine = Machine(env, FAIR)
    ends: list[float] = []
    activity = started(env, machine, work(10.0), ends)
    env.run(until=4.0)
    other: list[float] = []
    started(env, machine, work(2.0), other)
    assert machine.progress_s(activity) == pytest.approx(4.0)
    machine.end_at(activity, target_s)
    run_to_the_end(env)
    assert ends == [pytest.approx(end_s)]
    shared_s = min(end_s - 4.0, 4.0)
    assert other == [pytest.approx(6.0 + shared_s / 2)], "the other is alone afterwards"


def test_progress_is_seen_at_any_time() -> None:
    env = simpy.Environment()
    machine = Machine(env, FAIR)
    first = machine.start(work(10.0), lambda _: None)
    env.run(until=3.0)
    second = machine.start(work(10.0), lambda _: None)
    env.run(until=7.0)
    assert machine.progress_s(first) == pytest.approx(5.0)
    assert machine.progress_s(second) == pytest.approx(2.0)


class Recording(Machine):
    """Remembers the rates of every company."""

    def __init__(self, env: simpy.Environment, sharing: Contention) -> None:
        super().__init__(env, sharing)
        self.log: list[tuple[float, dict[int, float]]] = []

    def _rerate(self) -> None:
        super()._rerate()
        self.log.append((self._env.now, {id(activity.demand): activity.rate for activity in self._running}))


jobs_of_any_kind = st.lists(
    st.tuples(
        st.floats(0, 20),
        st.builds(
            Demand,
            phase=st.sampled_from(["load", "prefill", "decode"]),
            threads=st.integers(1, 4),
            yielding=st.booleans(),
            solo_s=st.floats(0.01, 10),
            layers=st.floats(0, 100),
            stacked=st.booleans(),
        ),
    ),
    min_size=1,
    max_size=8,
)
REAL = Contention(2, 0.9, 0.8, 0.6, 0.3, 0.05)


@given(jobs_of_any_kind, st.sampled_from([FAIR, REAL, replace(REAL, cores=4)]))
def test_work_is_conserved(jobs: list[tuple[float, Demand]], contention: Contention) -> None:
    env = simpy.Environment()
    machine = Recording(env, contention)
    own = [(arrival_s, replace(demand)) for arrival_s, demand in jobs]  # told apart by identity
    spans: dict[int, tuple[float, float]] = {}

    def job(arrival_s: float, demand: Demand) -> Iterator[Any]:
        yield env.timeout(arrival_s)
        activity = machine.start(demand, ended)
        assert activity.demand is demand

    def ended(activity: Activity) -> None:
        spans[id(activity.demand)] = (activity.started_s, env.now)
        assert activity.done_s == activity.demand.solo_s

    for arrival_s, demand in own:
        env.process(job(arrival_s, demand))
    run_to_the_end(env)
    done = dict.fromkeys(spans, 0.0)
    for (begin_s, rates), (end_s, _) in pairwise([*machine.log, (env.now, {})]):
        for key, rate in rates.items():
            done[key] += rate * max(0.0, min(end_s, spans[key][1]) - begin_s)
    for _, demand in own:
        begin_s, end_s = spans[id(demand)]
        assert done[id(demand)] == pytest.approx(demand.solo_s, rel=1e-9)
        assert end_s - begin_s >= demand.solo_s * (1 - 1e-9)


@given(jobs_of_any_kind)
def test_a_fair_single_core_is_never_idle_while_there_is_work(jobs: list[tuple[float, Demand]]) -> None:
    single = sorted(((arrival_s, replace(demand, threads=1)) for arrival_s, demand in jobs), key=lambda job: job[0])
    free_s = 0.0
    for arrival_s, demand in single:
        free_s = max(free_s, arrival_s) + demand.solo_s
    assert max(finish_times(FAIR, single)) == pytest.approx(free_s, rel=1e-9)


@given(jobs_of_any_kind)
def test_more_cores_never_end_later(jobs: list[tuple[float, Demand]]) -> None:
    single = [(arrival_s, replace(demand, threads=1)) for arrival_s, demand in jobs]
    few, many = (finish_times(replace(FAIR, cores=cores), single) for cores in (1, 2))
    assert all(late >= early * (1 - 1e-9) for late, early in zip(few, many, strict=True))


@given(jobs_of_any_kind, st.integers(1, 6))
def test_busy_cores_are_logged(jobs: list[tuple[float, Demand]], cores: int) -> None:
    env = simpy.Environment()
    machine = Machine(env, replace(REAL, cores=cores))
    for _, demand in jobs:
        machine.start(demand, lambda _: None)
    run_to_the_end(env)
    assert machine.use_log[0] == (0.0, Use(min(cores, sum(demand.threads for _, demand in jobs)), 0.0, 0.0))
    assert machine.use_log[-1] == (env.now, Use(0, 0.0, 0.0))
    assert all(0 <= use.cores <= cores for _, use in machine.use_log)
    assert all(early < late for (early, _), (late, _) in pairwise(machine.use_log))


def test_the_gpus_time_and_the_memorys_bandwidth_are_logged_as_they_are_shared() -> None:
    """Two readers of a memory that one of them could fill get half each; the GPU then works for half of its time."""
    env = simpy.Environment()
    machine = Machine(env, MachineSharing(FAIR, slice_s=0.01, gpu_efficiency=1.0, unified=True))
    machine.start(replace(work(1.0, threads=0), gpu=1.0, quantum_s=0.1, bandwidth=1.0), lambda _: None)
    machine.start(replace(work(1.0), bandwidth=1.0), lambda _: None)
    run_to_the_end(env)
    assert machine.use_log[0] == (0.0, Use(1, 0.5, 1.0))


CUSTOMERS = 4000


@pytest.mark.parametrize("cores", [1, 2])
def test_an_independent_simulator_agrees_on_every_customer(cores: int) -> None:
    random = np.random.default_rng(7)
    gaps_s = list(map(float, random.exponential(1.0, CUSTOMERS)))
    services_s = list(map(float, random.exponential(0.7 * cores, CUSTOMERS)))
    jobs = [(arrival_s, work(service_s)) for arrival_s, service_s in zip(accumulate(gaps_s), services_s, strict=True)]
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Sequential([*gaps_s, 1e9])],
        service_distributions=[ciw.dists.Sequential(services_s)],
        number_of_servers=[float("inf")],
        ps_thresholds=[cores],
    )
    simulation = ciw.Simulation(network, node_class=ciw.PSNode)
    simulation.simulate_until_max_time(1e8)
    theirs = sorted((record.id_number, record.exit_date) for record in simulation.get_all_records())
    assert len(theirs) == CUSTOMERS
    assert finish_times(replace(FAIR, cores=cores), jobs) == pytest.approx([exit_s for _, exit_s in theirs], rel=1e-9)


@pytest.mark.parametrize("kind", ["deterministic", "exponential", "hyperexponential"])
def test_mean_time_in_a_shared_processor_does_not_depend_on_the_distribution(kind: str) -> None:
    # M/G/1 with processor sharing: E[T] = E[S] / (1 - rho), whatever the distribution of S
    random, rho, count = np.random.default_rng(3), 0.5, 15_000
    services_s = {
        "deterministic": np.ones(count),
        "exponential": random.exponential(1.0, count),
        "hyperexponential": np.where(random.random(count) < 0.5, random.exponential(0.2, count), random.exponential(1.8, count)),
    }[kind]
    arrivals_s = np.cumsum(random.exponential(1.0 / rho, count))
    finished_s = finish_times(FAIR, [(float(a), work(float(s))) for a, s in zip(arrivals_s, services_s, strict=True)])
    assert float(np.mean(np.array(finished_s) - arrivals_s)) == pytest.approx(1.0 / (1.0 - rho), rel=0.06)
