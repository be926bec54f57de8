"""The search leaves out nothing that matters, and does not depend on who does the work."""

from __future__ import annotations

import dataclasses
import math
from random import Random

import pytest
from questions import calibrated, ground, plans, rated, scenario

from mmpredict.cost.coefficients import Coefficients
from mmpredict.planning.evaluate import Evaluator
from mmpredict.planning.explore import Search, search
from mmpredict.planning.goals import GOALS, Goal

TOP = 3


def best(found: Search, goal: Goal) -> list[tuple[str, float]]:
    return [(one.candidate.name, one.outcome.metrics[goal.metric]) for one in found.ranked[:TOP]]


def front(found: Search, goal: Goal) -> list[tuple[float, float]]:
    """Values of the goal and memory of plans that no other one beats in both."""
    pairs = [(goal.worth(one.outcome.metrics[goal.metric]), one.outcome.metrics["memory_bytes"]) for one in found.ranked]
    return sorted(pair for pair in set(pairs) if not any(a <= pair[0] and b <= pair[1] for a, b in set(pairs) - {pair}))


@pytest.mark.parametrize("seed", range(16))
def test_the_pruned_search_finds_what_the_whole_one_finds(coefficients: Coefficients, seed: int) -> None:
    random = Random(seed)
    question, costing = scenario(seed, models=random.choice((2, 3, 3, 4))), calibrated(coefficients)
    goal = GOALS[random.choice([name for name in GOALS if name != "energy"])]
    on = ground(question, costing, max_memory=random.choice((6e9, 1.5e9)))
    candidates = plans(question, costing, on, thorough=True)
    pruned, whole = (search(on, candidates, goal, TOP, prune, workers=1) for prune in (True, False))
    assert best(pruned, goal) == best(whole, goal)
    assert front(pruned, goal) == front(whole, goal)
    assert pruned.simulated <= whole.simulated


def test_pruning_saves_work(coefficients: Coefficients) -> None:
    question, costing = scenario(2, models=4, requests=16), calibrated(coefficients)
    on = ground(question, costing)
    candidates = plans(question, costing, on, thorough=True)
    simulated = {name: search(on, candidates, GOALS[name], TOP, workers=1).simulated for name in ("makespan", "memory")}
    assert len(candidates) > 200
    assert simulated["makespan"] < len(candidates)
    assert simulated["memory"] < 0.3 * len(candidates), "what a plan needs of memory is known without simulating it"


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("machine", ["calibrated", "ms-s1-max", "jetson-orin-nano-super"])
def test_no_plan_is_better_than_its_best_case(coefficients: Coefficients, machine: str, seed: int) -> None:
    question = scenario(seed, requests=6)
    costing = calibrated(coefficients) if machine == "calibrated" else rated(machine)
    on = ground(question, costing)
    evaluator = Evaluator(on)
    looked_at = 0
    for candidate in plans(question, costing, on, thorough=True)[::7]:
        look = evaluator.look(candidate)
        if look.best is None or look.reason:
            continue
        outcome = evaluator.outcome(candidate)
        for goal in GOALS.values():
            reached = outcome.metrics.get(goal.metric, math.nan)
            bound = goal.worth(look.best.value(goal, look.memory_bytes))
            assert math.isnan(reached) or bound <= goal.worth(reached) * (1 + 1e-9 * math.copysign(1, goal.worth(reached))), (
                candidate.name,
                goal.name,
            )
        if not candidate.plan.on_demand:
            assert look.memory_bytes == pytest.approx(outcome.metrics["memory_bytes"], rel=1e-12)
        looked_at += 1
    assert looked_at > 5


def test_plans_that_need_too_much_are_left_out_with_their_reason(coefficients: Coefficients) -> None:
    question, costing = scenario(3), calibrated(coefficients)
    on = ground(question, costing, max_memory="900MB")
    candidates = plans(question, costing, on)
    found = search(on, candidates, GOALS["makespan"], TOP, workers=1)
    assert found.ranked and found.too_large
    assert all(one.outcome.metrics["memory_bytes"] <= 900e6 for one in found.ranked)
    reasons = {candidate.name: reason for candidate, reason in found.infeasible}
    assert all("of memory, 858 MiB are allowed" in reasons[candidate.name] for candidate in found.too_large)


def test_processes_change_nothing(coefficients: Coefficients) -> None:
    question, costing = scenario(5), calibrated(coefficients)
    on = ground(question, costing)
    candidates = plans(question, costing, on)
    one, two = (search(on, candidates, GOALS["latency"], TOP, workers=workers) for workers in (1, 2))
    assert [dataclasses.astuple(found.outcome) for found in one.ranked] == [
        dataclasses.astuple(found.outcome) for found in two.ranked
    ]
    assert (one.simulated, one.infeasible) == (two.simulated, two.infeasible)


def test_a_plan_with_other_weights_is_another_plan() -> None:
    question, costing = scenario(2), rated("jetson-orin-nano-super")
    on = ground(question, costing, quantizations=["Q2_K"])
    evaluator = Evaluator(on)
    (plain, *_) = plans(question, costing, on, ("sequential",))
    small = dataclasses.replace(plain, quantization="Q2_K")
    assert small.plan is plain.plan
    reached = [evaluator.outcome(one).metrics for one in (plain, small)]
    assert reached[1]["memory_bytes"] != reached[0]["memory_bytes"]
    assert reached[1]["makespan_s"] != reached[0]["makespan_s"]
    assert Evaluator(on).outcome(small).metrics == reached[1]
