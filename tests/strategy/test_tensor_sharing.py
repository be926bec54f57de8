"""What plans share physically: pages of one file on a CPU, nothing on a GPU, and beginnings of prompts that are cached."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from mmpredict.cost.draw import Draw
from mmpredict.cost.overhead import LLAMA_SERVER
from mmpredict.cost.server_cost import MachineCosts
from mmpredict.hardware.library import find_profile
from mmpredict.models.resolve import resolve
from mmpredict.models.spec import ModelSpec
from mmpredict.results.records import Records
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.simulation.run import simulate
from mmpredict.sizing.costs import PlannedServer, UncalibratedMachine
from mmpredict.strategy.tensor_sharing import TensorSharing, tensor_sharing
from mmpredict.workload.request import Request, Workload

MIB = 2**20


def company(platform: str, names: dict[str, str], stages: list[list[str]]) -> tuple[Plan, dict[str, ModelSpec], MachineCosts]:
    """A plan of servers (instance → model), its models and its costs."""
    instances = tuple(InstancePlan(name, name, 4) for name in names)
    plan = Plan("test", instances, tuple(Stage(tuple(stage)) for stage in stages))
    specs = {name: resolve(model) for name, model in names.items()}
    source = UncalibratedMachine(find_profile(platform)).source(
        [[PlannedServer(specs[name], 4, plan.instance(name).cache) for name in stage] for stage in stages]
    )
    return plan, specs, source.costs(Draw())


def shared(platform: str, names: dict[str, str], *stages: list[str]) -> TensorSharing:
    return tensor_sharing(*company(platform, names, list(stages) or [list(names)]))


def test_two_processes_map_one_file_once() -> None:
    q8 = "qwen2.5-0.5b@Q8_0"
    alone, both = shared("cpu", {"a": q8}), shared("cpu", {"a": q8, "b": q8})
    assert alone.memory_ratio == 1.0 and alone.pairs == ()
    [pair] = both.pairs
    assert (pair.first, pair.second) == ("a", "b")
    assert pair.size_bytes == pytest.approx(resolve(q8).weight_bytes, rel=0.01)
    assert both.memory_bytes == pytest.approx(2 * alone.memory_bytes - pair.size_bytes - LLAMA_SERVER.shared_bytes)
    # measured as proportional set size with a small context: 509 MiB alone, 291 MiB for each of two
    assert 2 * 291 / 509 < both.memory_bytes / alone.memory_bytes < 1.25


def test_what_the_cpu_copies_is_not_shared() -> None:
    q4, q8 = (dict.fromkeys("ab", f"qwen2.5-0.5b@{kind}") for kind in ("Q4_0", "Q8_0"))
    assert shared("cpu", q4).memory_ratio > shared("cpu", q8).memory_ratio


def test_a_gpu_holds_everything_for_every_process() -> None:
    found = shared("cuda", dict.fromkeys("ab", "vit-base-patch16-224"))
    assert 0.95 < found.memory_ratio < 1.0  # but for the engine's program
    assert not found.pairs and "own copy of the weights" in found.reasons[0]


def test_different_models_share_the_program_alone() -> None:
    found = shared("cpu", {"a": "bert-base-uncased", "b": "vit-base-patch16-224"})
    assert found.pairs == () and found.reasons == ()
    assert 0 < found.unshared_bytes - found.memory_bytes < 20 * MIB


def test_nobody_shares_with_whom_is_gone() -> None:
    q8 = dict.fromkeys("ab", "qwen2.5-0.5b@Q8_0")
    found = shared("cpu", q8, ["a"], ["b"])
    assert found.pairs == () and found.memory_ratio == 1.0


def test_order_does_not_matter() -> None:
    names = {"a": "qwen2.5-0.5b@Q8_0", "b": "qwen2.5-0.5b@Q8_0", "c": "bert-base-uncased"}
    found = [shared("cpu", {name: names[name] for name in order}) for order in permutations(names)]
    assert {one.pairs for one in found} == {found[0].pairs}
    for one in found:
        assert (one.memory_bytes, one.unshared_bytes) == pytest.approx((found[0].memory_bytes, found[0].unshared_bytes))


def test_a_beginning_that_is_cached_is_not_evaluated_again() -> None:
    plan, specs, costs = company("cpu", {"a": "qwen2.5-0.5b@Q8_0"}, [["a"]])
    first = Request("1", "a", 400, 10, session="s")
    second = Request("2", "a", 500, 10, session="s", shared_tokens=400, after=("1",))

    def run(*requests: Request) -> Records:
        return simulate(plan, Workload(requests), specs, costs, 1e12)

    reused = tensor_sharing(plan, specs, costs, run(first, second)).compute_ratio
    assert 0.5 < reused < 0.65  # 400 + 100 of 400 + 500 tokens
    fresh = tensor_sharing(plan, specs, costs, run(first, replace(second, session="", shared_tokens=0)))
    assert fresh.compute_ratio == 1.0
