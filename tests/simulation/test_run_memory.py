"""Memory over a simulated run: what is resident adds up, is shared, and is given back."""

from __future__ import annotations

import pytest
from small_plans import AT_ONCE, BUSY, MODELS, SPECS, predict, run

from mmpredict.cost.chain import CostModel
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.memory import MemoryParts
from mmpredict.cost.overhead import EMBEDDED
from mmpredict.errors import DoesNotFitError
from mmpredict.models.cache import CacheOptions
from mmpredict.results.metrics import summarize
from mmpredict.simulation.dispatch import touched_by
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.workload.request import Request, Workload


def memory_of(coefficients: Coefficients, name: str, workload: Workload, threads: int = 4) -> MemoryParts:
    """Memory of a model's server once it has seen the workload's prompts."""
    prompts = [request.prompt_tokens for request in workload.requests if request.model == name]
    touched = touched_by(InstancePlan(name, name, threads), prompts)
    return CostModel(coefficients).instance(SPECS[name], threads, None, CacheOptions(4096, 4, 512), touched).memory


def test_stages_release_their_memory(coefficients: Coefficients) -> None:
    records = run(coefficients, "sequential", BUSY)
    memory = [row.used for row in records.states if row.resource == "memory"]
    own = [memory_of(coefficients, name, BUSY).total for name in MODELS]
    assert memory == pytest.approx([own[0], 0, own[1], 0, own[2], 0])


def test_memory_of_parallel_models_adds_up(coefficients: Coefficients) -> None:
    together = summarize(run(coefficients, "parallel", BUSY)).memory_peak_bytes
    pairs = summarize(run(coefficients, "batched", BUSY)).memory_peak_bytes
    alone = summarize(run(coefficients, "sequential", BUSY)).memory_peak_bytes
    own = [memory_of(coefficients, name, BUSY).total for name in MODELS]
    # a program's pages count once
    assert together == pytest.approx(sum(own) - 2 * EMBEDDED.shared_bytes)
    assert pairs == pytest.approx(max(own[0] + own[1] - EMBEDDED.shared_bytes, own[2]))
    assert alone == pytest.approx(max(own))


def test_two_servers_of_one_file_share_its_pages(coefficients: Coefficients) -> None:
    instances = tuple(InstancePlan(name, "small", 2) for name in ("one", "two"))
    twice = Plan("twins", instances, (Stage(("one", "two")),))
    work = Workload((Request("r", "small", 10, 2),))
    others = Workload((Request("r", "another model", 1, 1),))
    one, idle = memory_of(coefficients, "small", work, 2), memory_of(coefficients, "small", others, 2)
    peak = summarize(run(coefficients, twice, work)).memory_peak_bytes
    assert peak == pytest.approx(one.mapped + one.private + idle.private - EMBEDDED.shared_bytes)


def test_a_plan_that_does_not_fit_is_refused_with_both_sizes(coefficients: Coefficients) -> None:
    needed = sum(memory_of(coefficients, name, AT_ONCE).total for name in MODELS) - 2 * EMBEDDED.shared_bytes
    assert predict(coefficients, "parallel", memory_bytes=needed * 1.001, draws=1).metrics["memory_peak_bytes"].value > 0
    with pytest.raises(DoesNotFitError, match=r"'parallel' needs? .* of memory, .* are usable; run fewer models at once"):
        predict(coefficients, "parallel", memory_bytes=needed * 0.999)
    assert predict(coefficients, "sequential", memory_bytes=needed * 0.999, draws=1)
