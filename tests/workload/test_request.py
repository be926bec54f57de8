"""Requests are possible, and a workload is in order."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.errors import InputError
from mmpredict.workload.request import MAX_TOKENS, Request, Workload


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 1, 0.0), "request 'r': prompt_tokens is 0; it must be between 1 and 10000000"),
        ((-5, 1, 0.0), "prompt_tokens is -5"),
        ((1, 0, 0.0), "output_tokens is 0"),
        ((1, MAX_TOKENS + 1, 0.0), "output_tokens is 10000001"),
        ((1, 1, -0.1), "arrival_s is -0.1; it must be 0 or more seconds"),
        ((1, 1, float("nan")), "arrival_s is nan"),
        ((1, 1, float("inf")), "arrival_s is inf"),
    ],
)
def test_impossible_requests_are_refused(values: tuple[int, int, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Request("r", "m", *values)


def test_the_largest_and_smallest_requests_are_possible() -> None:
    assert Request("r", "m", 1, MAX_TOKENS).arrival_s == 0.0


arrivals = st.lists(st.floats(0, 1e6), min_size=1, max_size=20)


@given(arrivals, st.randoms(use_true_random=False))
def test_a_workload_is_in_order_of_arrival_however_it_was_given(arrivals_s: list[float], random: Random) -> None:
    requests = [Request(f"{number:02d}", "m", 1, 1, arrival_s) for number, arrival_s in enumerate(arrivals_s)]
    shuffled = list(requests)
    random.shuffle(shuffled)
    workload = Workload(tuple(shuffled))
    assert [request.arrival_s for request in workload.requests] == sorted(arrivals_s)
    assert sorted(request.id for request in workload.requests) == [request.id for request in requests]


def test_requests_at_the_same_time_keep_the_order_in_which_they_were_given() -> None:
    given_order = [Request(name, "m", 1, 1) for name in ("r9", "r10", "a")]
    assert [request.id for request in Workload(tuple(given_order)).requests] == ["r9", "r10", "a"]


def test_models_are_in_order_of_their_first_arrival() -> None:
    requests = (
        Request("1", "late", 1, 1, 5.0),
        Request("2", "first", 1, 1, 0.0),
        Request("3", "late", 1, 1, 9.0),
        Request("4", "mid", 1, 1, 1.0),
    )
    assert Workload(requests).models == ("first", "mid", "late")


def test_an_empty_workload_is_refused() -> None:
    with pytest.raises(InputError, match="holds no request"):
        Workload(())


def test_two_requests_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="two requests are called 'twice'; ids must be unique"):
        Workload((Request("twice", "m", 1, 1), Request("once", "m", 1, 1), Request("twice", "m", 2, 2)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"priority": 1_000_001}, "request 'r': priority is 1000001; it must be between -1000000 and 1000000"),
        ({"session": "s", "shared_tokens": 10}, r"shared_tokens is 10; it must be 0 or more and below prompt_tokens \(10\)"),
        ({"session": "s", "shared_tokens": -1}, "shared_tokens is -1"),
        ({"shared_tokens": 1}, "nothing is shared without a session"),
        ({"after": ("a",), "delay_s": -1.0}, "delay_s is -1.0; it must be 0 or more seconds"),
        ({"after": ("a",), "delay_s": float("nan")}, "delay_s is nan"),
        ({"delay_s": 1.0}, "it waits for no other request; name them in after"),
        ({"deadline_s": 0.0}, "deadline_s is 0.0; it must be more than 0 seconds, or left out"),
        ({"deadline_s": float("inf")}, "deadline_s is inf"),
        ({"after": ("a",) * 10_001}, "after names 10001 requests; at most 10000"),
    ],
)
def test_impossible_fields_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Request("r", "m", 10, 1, **fields)


def test_whoever_waits_stands_behind_those_waited_for() -> None:
    late = Request("late", "m", 1, 1, 10.0)
    second = Request("second", "m", 1, 1, after=("late",), delay_s=2.0)
    third = Request("third", "m", 1, 1, 5.0, after=("second", "late"), delay_s=0.5)
    free = Request("free", "m", 1, 1, 12.0, after=("late",))
    found = Workload((third, second, free, late)).requests
    assert [(one.id, one.arrival_s) for one in found] == [("late", 10.0), ("second", 12.0), ("free", 12.0), ("third", 12.5)]
    assert found[0] is late and found[2] is free, "what is possible already stays as it is"


def test_of_requests_at_the_same_time_those_waited_for_come_first() -> None:
    chain = [Request(str(number), "m", 1, 1, after=(str(number + 1),)) for number in range(5)] + [Request("5", "m", 1, 1)]
    assert [one.id for one in Workload(tuple(chain)).requests] == ["5", "4", "3", "2", "1", "0"]


@pytest.mark.parametrize(
    ("after", "message"),
    [
        ({"a": ("b",), "b": ("c",), "c": ("a",), "d": ()}, "requests wait for one another in a circle: . → . → . → ."),
        ({"a": ("a",)}, "requests wait for one another in a circle: a → a"),
        ({"chat.1": (), "b": ("chat1",)}, r"request 'b': after names 'chat1', which is no request; did you mean 'chat\.1'\?"),
        ({"b": ("zzz",)}, "after names 'zzz', which is no request; name the id of another request"),
    ],
)
def test_impossible_waiting_is_refused(after: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Workload(tuple(Request(name, "m", 1, 1, after=names) for name, names in after.items()))


def test_a_circle_names_who_waits_for_whom() -> None:
    with pytest.raises(InputError) as caught:
        Workload(
            (Request("a", "m", 1, 1, after=("b",)), Request("b", "m", 1, 1, after=("c",)), Request("c", "m", 1, 1, after=("a",)))
        )
    circle = str(caught.value).partition(": ")[2].split(" → ")
    waits = {"a": "b", "b": "c", "c": "a"}
    assert [waits[name] for name in circle[:-1]] == circle[1:]


@given(st.integers(1, 40), st.randoms(use_true_random=False))
def test_no_request_comes_before_those_that_it_waits_for(count: int, random: Random) -> None:
    requests = []
    for number in range(count):
        after = tuple(str(one) for one in random.sample(range(number), random.randint(0, min(3, number))))
        delay_s = random.random() * 10 if after else 0.0
        requests.append(Request(str(number), "m", 1, 1, random.random() * 20, after=after, delay_s=delay_s))
    random.shuffle(requests)
    found = Workload(tuple(requests)).requests
    place = {one.id: number for number, one in enumerate(found)}
    times = {one.id: one.arrival_s for one in found}
    assert [one.arrival_s for one in found] == sorted(times.values())
    for one in found:
        assert all(place[name] < place[one.id] and times[name] + one.delay_s <= one.arrival_s for name in one.after)


def test_a_large_workload_is_checked_quickly() -> None:
    requests = [Request(str(number), "m", 1, 1, after=(str(number - 1),) if number else ()) for number in range(20_000)]
    assert len(Workload(tuple(requests)).requests) == 20_000
    with pytest.raises(InputError, match="two requests are called '19999'"):
        Workload((*requests, requests[-1]))
