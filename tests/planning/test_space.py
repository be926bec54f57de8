"""Every plan of a space is another one, has a name of its own, and keeps to what can be seen from it."""

from __future__ import annotations

import pytest
from questions import calibrated, ground, plans, rated, scenario

from mmpredict.cost.coefficients import Coefficients
from mmpredict.errors import UnknownNameError
from mmpredict.planning.space import FAMILIES, Space, candidates, stays
from mmpredict.planning.task import task_of
from mmpredict.scenario import Scenario
from mmpredict.simulation.serving import LlamaSwapServing, OllamaServing


@pytest.mark.parametrize("models", [1, 2, 3, 4])
@pytest.mark.parametrize("thorough", [False, True])
def test_plans_and_names_are_unique(coefficients: Coefficients, models: int, thorough: bool) -> None:
    question, costing = scenario(1, models), calibrated(coefficients)
    found = plans(question, costing, ground(question, costing), thorough=thorough)
    assert len({one.name for one in found}) == len(found)
    assert len({(one.plan.instances, one.plan.stages, repr(one.plan.serving)) for one in found}) == len(found)
    assert {one.plan.strategy for one in found} == set(FAMILIES) - {"split"} - ({"batched"} if models == 1 else set())
    for one in found:
        assert sorted(instance.model for instance in one.plan.instances) == sorted(question.models())


def test_a_gpu_has_splits_and_no_plans_that_differ_in_cores_alone() -> None:
    question, costing = scenario(1), rated("ms-s1-max")
    found = plans(question, costing, ground(question, costing), thorough=True)
    layers = {
        tuple(one.gpu_layers for one in candidate.plan.instances) for candidate in found if candidate.plan.strategy == "split"
    }
    assert (0, 0, 0) in layers and (0, None, None) in layers
    assert any(count > 0 for placed in layers for count in placed if count is not None), "divided layers"
    assert [one.knobs["threads"] for one in found if one.plan.strategy == "parallel"][:1] == ["default"]
    assert not any("yielding" in one.name or "divided" in one.name for one in found if one.plan.strategy != "split")


def test_many_models_have_few_groupings(coefficients: Coefficients) -> None:
    question, costing = scenario(1, 4), calibrated(coefficients)
    names = [f"synthetic:smollm2-135m@{kind}" for kind in ("q8_0", "q4_0", "q4_k", "q5_0", "q6_k", "f16")]
    requests = tuple(question.requests[0].model_copy(update={"id": name, "model": name}) for name in names)
    question = Scenario(requests=requests)
    found = plans(question, costing, ground(question, costing), ("batched", "sequential"))
    assert 10 < len(found) < 60


def test_limits_that_can_be_seen_from_a_plan(coefficients: Coefficients) -> None:
    question, costing = scenario(1), calibrated(coefficients)
    model = question.models()[0]
    on = ground(question, costing, resident=[model], max_cores=3)
    task = task_of(on, question.models(), question.options(), {})
    assert task.cores == 3
    for one in candidates(Space(FAMILIES, True, (model,), 3), task):
        threads = max(sum(one.plan.instance(name).threads for name in stage.instances) for stage in one.plan.stages)
        if not stays(one.plan, model):
            assert one.infeasible == f"{model} must stay loaded, and is not by this plan"
        elif threads > 3:
            assert "threads may work at the same time, 3 are allowed" in one.infeasible
        else:
            assert not one.infeasible
    kept = LlamaSwapServing(ttl_s=60.0)
    assert not stays(type(one.plan)("x", one.plan.instances, one.plan.stages, kept), model)


def test_the_scenarios_own_rules_are_looked_at_too(coefficients: Coefficients) -> None:
    question, costing = scenario(1), calibrated(coefficients)
    task = task_of(ground(question, costing), question.models(), question.options(), {})
    found = candidates(Space(("parallel",)), task, OllamaServing(keep_alive_s=7.0))
    assert "ollama (as the scenario says)" in {one.name for one in found}
    assert any(one.plan.serving == OllamaServing(keep_alive_s=7.0) for one in found)


def test_an_unknown_family_is_named() -> None:
    with pytest.raises(UnknownNameError, match="unknown family of plans 'paralel'; did you mean parallel"):
        Space(("paralel",))
