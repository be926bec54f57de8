"""Requests are possible, and a workload is in order."""

from __future__ import annotations

from random import Random

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
