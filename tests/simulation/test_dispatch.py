"""Rules by which requests reach servers, and what follows from them."""

from __future__ import annotations

from mmpredict.simulation.dispatch import largest_batch
from mmpredict.simulation.plan import InstancePlan


def test_the_largest_batch_is_that_of_all_slots_at_once() -> None:
    instance = InstancePlan("a", "m", 1, slots=2, ubatch_tokens=100)
    assert largest_batch(instance, [10, 30, 20]) == 50
    assert largest_batch(instance, [90, 80]) == 100
    assert largest_batch(instance, [7]) == 7
    assert largest_batch(instance, []) == 1
