"""Rules by which requests reach servers, and what follows from them."""

from __future__ import annotations

import math

import pytest

from mmpredict.errors import InputError
from mmpredict.simulation.dispatch import StageQueue, assign, check_order, largest_batch
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.workload.request import Request, Workload


def test_the_largest_batch_is_that_of_all_slots_at_once() -> None:
    instance = InstancePlan("a", "m", 1, slots=2, ubatch_tokens=100)
    assert largest_batch(instance, [10, 30, 20]) == 50
    assert largest_batch(instance, [90, 80]) == 100
    assert largest_batch(instance, [7]) == 7
    assert largest_batch(instance, []) == 1


def request(name: str, model: str, arrival_s: float = 0.0, after: tuple[str, ...] = ()) -> Request:
    return Request(name, model, 1, 1, arrival_s, after=after)


def taken(queue: StageQueue[Request], in_flight: int, now_s: float) -> list[str]:
    return [one.id for one, _ in queue.take(in_flight, now_s)]


def test_without_a_limit_all_that_have_come_are_sent_in_order_of_arrival() -> None:
    queue: StageQueue[Request] = StageQueue(Stage(("a", "b")), {"a": 2, "b": 1})
    for one, name in ((request("r1", "a", 1.0), "a"), (request("r3", "b", 3.0), "b"), (request("r2", "a", 2.0), "a")):
        queue.add(one, name)
    assert queue.next_s == 1.0
    assert taken(queue, 0, 2.5) == ["r1", "r2"]
    assert (queue.unsent, queue.next_s) == (1, 3.0)
    assert taken(queue, 9, 3.0) == ["r3"]
    assert (queue.unsent, queue.next_s) == (0, math.inf)


def test_no_more_are_in_flight_than_a_stage_allows() -> None:
    queue: StageQueue[Request] = StageQueue(Stage(("a",), 2), {"a": 4})
    for number in range(4):
        queue.add(request(f"r{number}", "a"), "a")
    assert taken(queue, 0, 0.0) == ["r0", "r1"]
    assert taken(queue, 2, 0.0) == []
    assert taken(queue, 1, 0.0) == ["r2"]


def test_one_at_a_time_a_model_finishes_before_the_next_begins() -> None:
    queue: StageQueue[Request] = StageQueue(Stage(("a", "b"), 1), {"a": 2, "b": 1})
    queue.add(request("b1", "b"), "b")
    assert taken(queue, 0, 0.0) == [], "requests for a are still to come"
    queue.add(request("a1", "a"), "a")
    queue.add(request("a2", "a", 5.0), "a")
    assert taken(queue, 0, 1.0) == ["a1"]
    assert taken(queue, 0, 2.0) == []
    assert taken(queue, 0, 5.0) == ["a2"]
    assert taken(queue, 1, 5.0) == []
    assert taken(queue, 0, 6.0) == ["b1"]


def test_waiting_for_what_comes_later_is_refused() -> None:
    instances = (InstancePlan("a", "a", 1), InstancePlan("b", "b", 1))
    one_by_one, together = (
        Plan("sequential", instances, (Stage(("a",), 1), Stage(("b",), 1))),
        Plan("x", instances, (Stage(("a", "b")),)),
    )
    back = Workload((request("r1", "a"), request("r2", "b", after=("r1",)), request("r3", "a", after=("r2",))))
    check_order(together, back, assign(together, back))
    with pytest.raises(InputError, match="serves 'r3' before 'r2', for which it waits"):
        check_order(one_by_one, back, assign(one_by_one, back))
    forth = Workload((request("r1", "a"), request("r2", "b", after=("r1",))))
    check_order(one_by_one, forth, assign(one_by_one, forth))


def test_of_those_that_have_come_the_highest_priority_goes_first() -> None:
    queue: StageQueue[Request] = StageQueue(Stage(("a",), 1), {"a": 4})
    for name, arrival_s, priority in (("low", 0.0, -1), ("usual", 0.0, 0), ("high", 1.0, 5), ("later", 1.0, 5)):
        queue.add(Request(name, "a", 1, 1, arrival_s, priority=priority), "a")
    assert taken(queue, 0, 0.0) == ["usual"]
    assert taken(queue, 0, 1.0) == ["high"]
    assert taken(queue, 0, 1.0) == ["later"]
    assert taken(queue, 0, 1.0) == ["low"]
