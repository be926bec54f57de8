"""Loads made by a rule: in order, the same every time, one at a time, and as they were asked for."""

from __future__ import annotations

import itertools
import statistics
import tracemalloc
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.errors import InputError
from mmpredict.workload.arrivals import Poisson
from mmpredict.workload.assignment import Assignment
from mmpredict.workload.closed_loop import ClosedLoop
from mmpredict.workload.distributions import Exponential, Lognormal, Uniform
from mmpredict.workload.interleave import interleave
from mmpredict.workload.lengths import Lengths
from mmpredict.workload.open_loop import OpenLoop
from mmpredict.workload.request import Request, Workload
from mmpredict.workload.source import Source, Starts

LENGTHS = Lengths(Lognormal(300.0, 1.0), 16, 4096)
TWO = Assignment({"large": 1.0, "small": 3.0})


def open_loop(seed: int = 0, count: int | None = 200, duration_s: float | None = None, name: str = "load") -> OpenLoop:
    starts = Starts(Poisson(5.0), count, duration_s)
    return OpenLoop(Source(name=name, seed=seed, priority=2, deadline_s=9.0), starts, TWO, LENGTHS, Lengths.fixed(64))


def closed_loop(users: int, each: int, seed: int = 0, ramp_s: float = 0.0, mean_s: float = 3.0) -> ClosedLoop:
    return ClosedLoop(Source(seed=seed), users, each, TWO, LENGTHS, LENGTHS, Exponential(mean_s), ramp_s)


@given(st.integers(0, 2**32))
def test_an_open_loop_is_in_order_and_the_same_every_time(seed: int) -> None:
    load = open_loop(seed, 60)
    requests = list(load.stream())
    assert requests == list(load.stream())
    assert Workload(tuple(requests)).requests == tuple(requests), "in order, and with unique ids"
    assert [request.id for request in requests] == [f"load.{number}" for number in range(1, 61)]
    assert all(16 <= request.prompt_tokens <= 4096 for request in requests)
    assert {(one.priority, one.deadline_s, one.output_tokens, one.session, one.after) for one in requests} == {(2, 9.0, 64, "", ())}


def test_an_open_loop_asks_as_often_and_whom_it_should() -> None:
    requests = list(open_loop(count=None, duration_s=1000.0).stream())
    assert len(requests) == pytest.approx(5000, rel=0.05)
    assert requests[-1].arrival_s < 1000.0
    assert Counter(request.model for request in requests)["small"] / len(requests) == pytest.approx(0.75, abs=0.02)
    assert statistics.median(request.prompt_tokens for request in requests) == pytest.approx(300, rel=0.06)


def test_other_lengths_leave_arrivals_and_models_as_they_were() -> None:
    load = open_loop()
    other = OpenLoop(load.source, load.starts, load.models, Lengths(Uniform(1.0, 9.0)), load.outputs)
    pairs = list(zip(load.stream(), other.stream(), strict=True))
    assert all(one.arrival_s == two.arrival_s and one.model == two.model for one, two in pairs)
    assert any(one.prompt_tokens != two.prompt_tokens for one, two in pairs)


def peak_bytes(requests: Iterator[Request], count: int) -> int:
    next(requests)
    tracemalloc.start()
    try:
        for _ in itertools.islice(requests, count):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_load_without_end_takes_no_memory() -> None:
    assert peak_bytes(open_loop(count=1_000_000_000).stream(), 20_000) < 1_000_000
    assert peak_bytes(closed_loop(10, 1_000_000).stream(), 20_000) < 1_000_000


@given(st.integers(1, 8), st.integers(1, 8), st.floats(0, 100), st.integers(0, 2**32))
def test_users_of_a_closed_loop_wait_for_their_own_requests(users: int, each: int, ramp_s: float, seed: int) -> None:
    load = closed_loop(users, each, seed, ramp_s)
    requests = list(load.stream())
    assert requests == list(load.stream())
    assert Workload(tuple(requests)).requests == tuple(requests), "arrival_s is already the earliest possible time"
    assert {request.id for request in requests} == {f"load.{u}.{n}" for u in range(1, users + 1) for n in range(1, each + 1)}
    for request in requests:
        _, user, number = request.id.split(".")
        assert request.after == ((f"load.{user}.{int(number) - 1}",) if number != "1" else ())
        assert number != "1" or request.arrival_s == pytest.approx(ramp_s * (int(user) - 1) / users)


def test_users_think_as_long_as_they_should() -> None:
    times_s = [request.delay_s for request in closed_loop(20, 500).stream() if request.after]
    assert statistics.fmean(times_s) == pytest.approx(3.0, rel=0.05)


def test_users_who_do_not_think_take_turns() -> None:
    assert [request.id for request in closed_loop(2, 2, mean_s=0.0).stream()] == ["load.1.1", "load.2.1", "load.1.2", "load.2.2"]


@pytest.mark.parametrize(
    ("users", "each", "ramp_s", "message"),
    [
        (0, 1, 0.0, "users is 0; it must be between 1 and 1000000"),
        (1, 0, 0.0, "requests_per_user is 0"),
        (1, 1, -1.0, "ramp_s is -1.0"),
    ],
)
def test_impossible_users_are_refused(users: int, each: int, ramp_s: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        closed_loop(users, each, ramp_s=ramp_s)


@given(st.lists(st.lists(st.floats(0, 10), max_size=6), max_size=6))
def test_interleaved_sequences_are_one_in_order(steps: list[list[float]]) -> None:
    sequences = []
    for number, gaps_s in enumerate(steps):
        times_s = list(itertools.accumulate(gaps_s, initial=float(number)))
        sequences.append([Request(f"{number}.{place}", "m", 1, 1, time_s) for place, time_s in enumerate(times_s)])
    found = list(interleave((float(number), iter(requests)) for number, requests in enumerate(sequences)))
    assert [request.arrival_s for request in found] == sorted(request.arrival_s for request in found)
    for number, requests in enumerate(sequences):
        assert [request for request in found if request.id.startswith(f"{number}.")] == requests


def test_a_sequence_is_not_begun_before_its_time() -> None:
    begun: list[int] = []

    def sequence(number: int) -> Iterator[Request]:
        begun.append(number)
        yield Request(str(number), "m", 1, 1, float(number))

    found = interleave((float(number), sequence(number)) for number in range(1_000_000))
    assert next(found).id == "0" and len(begun) <= 2
