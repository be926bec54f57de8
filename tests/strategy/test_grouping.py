"""Groups: the best partition is the best of all, and no group is larger than memory allows."""

from __future__ import annotations

import math
from random import Random

import pytest

from mmpredict.errors import DoesNotFitError, InputError
from mmpredict.strategy.batched import batched_best
from mmpredict.strategy.grouping import EXACT_MODELS, best_partition, duration_s, fits, partitions
from mmpredict.strategy.options import ServerOptions
from mmpredict.strategy.sequential import leanest_first, sequential_lean, sequential_shortest, shortest_first
from mmpredict.strategy.split import split
from mmpredict.strategy.table import AUTO, LOOKING, make_plan
from mmpredict.strategy.task import Need, Task


def task(seed: int, models: int, cores: int = 4, gpu_layers: int = 0) -> Task:
    random = Random(seed)
    names = tuple("abcdefghijkl"[:models])
    own = {name: (random.uniform(0.1, 2), random.uniform(0.5, 20), random.uniform(1, 4)) for name in names}

    def need(model: str, threads: int) -> Need:
        load_s, work_s, memory = own[model]
        return Need(load_s, work_s / threads**0.8, memory, 100)

    layers = dict.fromkeys(names, gpu_layers) if gpu_layers else {}
    return Task(names, cores, ServerOptions(), need, 7.0, layers)


def total_s(on: Task, partition: tuple[tuple[str, ...], ...], yielding: bool = False) -> float:
    return sum(duration_s(on, group, yielding) if fits(on, group) else math.inf for group in partition)


def test_all_partitions_are_there_once() -> None:
    for models, count in enumerate((1, 1, 2, 5, 15, 52, 203)):
        found = list(partitions("abcdef"[:models]))
        assert len(found) == len({frozenset(map(frozenset, partition)) for partition in found}) == count
        assert all(sorted("".join(map("".join, partition))) == sorted("abcdef"[:models]) for partition in found)


@pytest.mark.parametrize("yielding", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_the_best_partition_is_the_best_of_all(seed: int, yielding: bool) -> None:
    on = task(seed, models=2 + seed % 5, cores=1 + seed % 6)
    found = best_partition(on, yielding)
    least_s = min(total_s(on, partition, yielding) for partition in partitions(on.models))
    assert total_s(on, found, yielding) == pytest.approx(least_s)
    assert [duration_s(on, group, yielding) for group in found] == sorted(duration_s(on, group, yielding) for group in found)


@pytest.mark.parametrize("seed", range(6))
def test_beyond_what_is_exact_a_partition_is_found_that_is_no_worse_than_one_after_another(seed: int) -> None:
    on = task(seed, models=EXACT_MODELS + 3)
    found = best_partition(on)
    assert sorted(model for group in found for model in group) == sorted(on.models)
    assert all(fits(on, group) for group in found)
    assert total_s(on, found) <= total_s(on, tuple((model,) for model in on.models)) + 1e-9
    few = Task(on.models[:7], on.cores, on.options, on.need, on.memory_bytes)
    assert total_s(few, best_partition(few)) < 1.3 * total_s(on, found)


def test_a_model_that_does_not_fit_alone_is_named() -> None:
    on = task(0, 2)
    with pytest.raises(DoesNotFitError, match=r"a alone needs .* are usable"):
        best_partition(Task(on.models, 4, on.options, lambda model, threads: Need(1, 1, 8.0 if model == "a" else 1.0), 7.0))


def test_orders() -> None:
    on = task(3, 5)
    work_s = [on.alone(model).load_s + on.alone(model).work_s for model in shortest_first(on)]
    memory = [on.alone(model).memory_bytes for model in leanest_first(on)]
    assert work_s == sorted(work_s) and memory == sorted(memory)
    assert [stage.instances for stage in sequential_shortest(on).stages] == [(model,) for model in shortest_first(on)]
    assert [stage.instances for stage in sequential_lean(on).stages] == [(model,) for model in leanest_first(on)]


def test_split_leaves_the_least_work_to_the_cpu() -> None:
    on = task(4, 3, gpu_layers=25)
    plan = split(on)
    least = min(on.models, key=lambda model: on.alone(model).work_s)
    assert {one.model: one.gpu_layers for one in plan.instances} == {m: 0 if m == least else None for m in on.models}
    assert len(plan.stages) == 1
    (alone,) = split(task(4, 1, gpu_layers=25)).instances
    assert alone.gpu_layers == 12
    with pytest.raises(InputError, match="split needs a GPU that models can use"):
        split(task(4, 3))


def test_strategies_that_look_before_they_plan_are_told_what_models_cost() -> None:
    on = task(5, 4, gpu_layers=25)
    for name in LOOKING:
        assert make_plan(name, on.models, 4, task=lambda: on).strategy == name
        with pytest.raises(InputError, match=f"strategy {name!r} depends on what the models cost"):
            make_plan(name, on.models, 4)
    with pytest.raises(InputError, match="depends on what the models cost"):
        make_plan(AUTO, on.models, 4, task=lambda: on)
    assert make_plan("swap", on.models, 4).on_demand
    assert [stage.instances for stage in batched_best(on).stages] == list(best_partition(on))
