"""Every strategy places every model once, within its own promise about threads."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.cost.contention import is_yielding
from mmpredict.errors import InputError, UnknownNameError
from mmpredict.strategy.options import ServerOptions, divide_threads
from mmpredict.strategy.table import OF_THE_CORES, STRATEGIES, make_plan

model_lists = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=12)
cores_counts = st.integers(1, 32)
names = st.sampled_from(sorted(STRATEGIES))


@given(names, model_lists, cores_counts)
def test_every_model_is_placed_once_with_the_options_given(name: str, models: list[str], cores: int) -> None:
    options = ServerOptions(context_tokens=1234, slots=3, batch_tokens=99, ubatch_tokens=77)
    plan = make_plan(name, models, cores, options)
    assert plan.strategy == name
    assert [instance.model for instance in plan.instances] == list(dict.fromkeys(models))
    assert [instance for stage in plan.stages for instance in stage.instances] == [instance.name for instance in plan.instances]
    for instance in plan.instances:
        assert 1 <= instance.threads <= cores
        assert (instance.context_tokens, instance.slots, instance.batch_tokens, instance.ubatch_tokens) == (1234, 3, 99, 77)


@given(model_lists, cores_counts)
def test_promises(models: list[str], cores: int) -> None:
    count = len(set(models))
    plans = {name: make_plan(name, models, cores) for name in STRATEGIES}
    assert [(stage.instances.__len__(), stage.concurrency) for stage in plans["sequential"].stages] == [(1, 1)] * count
    assert [len(stage.instances) for stage in plans["batched"].stages] == [2] * (count // 2) + [1] * (count % 2)
    for name in ("parallel", "parallel-divided", "parallel-yielding"):
        assert [(len(stage.instances), stage.concurrency) for stage in plans[name].stages] == [(count, None)]
    for name in ("sequential", "parallel", "parallel-yielding"):
        assert {instance.threads for instance in plans[name].instances} == {cores}
    for name, plan in plans.items():
        assert {is_yielding(instance.spincount) for instance in plan.instances} == {name == "parallel-yielding"}
    for name in ("parallel-divided", "batched"):
        for stage in plans[name].stages:
            threads = sum(plans[name].instance(instance).threads for instance in stage.instances)
            assert threads == max(cores, len(stage.instances)), "all cores, and no more while there is one for each"


@given(st.integers(1, 64), st.integers(1, 64))
def test_divided_threads_are_as_equal_as_possible(cores: int, instances: int) -> None:
    threads = divide_threads(cores, instances)
    assert len(threads) == instances
    assert sum(threads) == max(cores, instances)
    assert max(threads) - min(threads) <= 1
    assert threads == sorted(threads, reverse=True)


@pytest.mark.parametrize(("cores", "instances"), [(0, 1), (1, 0), (-2, 3)])
def test_impossible_divisions_are_refused(cores: int, instances: int) -> None:
    with pytest.raises(InputError, match=f"cannot divide {cores} cores among {instances} instances"):
        divide_threads(cores, instances)


@pytest.mark.parametrize("name", STRATEGIES)
def test_no_model_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="at least one model"):
        make_plan(name, [], 4)


def test_an_unknown_strategy_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown strategy 'parallel-devided'; did you mean parallel-divided"):
        make_plan("parallel-devided", ["a"], 4)
    with pytest.raises(UnknownNameError, match="known: auto, batched, batched-best, parallel, "):
        make_plan("", ["a"], 4)


def test_impossible_options_are_refused() -> None:
    with pytest.raises(InputError, match="instance 'a': slots is -1; it must be between 1 and 256"):
        make_plan("parallel", ["a"], 4, ServerOptions(slots=-1))


@pytest.mark.parametrize(("name", "same"), OF_THE_CORES.items())
def test_strategies_of_the_cores_differ_from_another_in_threads_and_waiting_alone(name: str, same: str) -> None:
    def without_cores(strategy: str) -> tuple[object, ...]:
        plan = make_plan(strategy, ["a", "b", "c"], 8)
        return tuple(replace(instance, threads=1, spincount=None) for instance in plan.instances), plan.stages

    assert make_plan(name, ["a", "b", "c"], 8).instances != make_plan(same, ["a", "b", "c"], 8).instances
    assert without_cores(name) == without_cores(same)
