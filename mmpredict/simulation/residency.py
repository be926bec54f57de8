"""Whether a plan's instances fit into memory, before anything is simulated, written or started."""

from __future__ import annotations

from collections.abc import Mapping

from mmpredict.cost.placement import repacked_bytes
from mmpredict.errors import DoesNotFitError
from mmpredict.models.cache import cache_bytes
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import InstancePlan, Plan
from mmpredict.units import format_bytes


def check_memory(plan: Plan, specs: Mapping[str, ModelSpec], memory_bytes: float) -> None:
    """Make sure that what is known exactly (weights and KV caches) of every stage fits; buffers and overhead come on top.

    Of servers that are loaded on demand nothing is asked: the rules that load them decide what becomes of what does not fit.

    Args:
        plan: instances and stages.
        specs: model name → model.
        memory_bytes: what the instances may use together [bytes].

    Raises:
        DoesNotFitError: a stage does not fit.
    """
    for stage in () if plan.on_demand else plan.stages:
        instances = [plan.instance(name) for name in stage.instances]
        mapped = {instance.model: specs[instance.model].weight_bytes for instance in instances}
        needed = sum(mapped.values()) + sum(_private_bytes(instance, specs[instance.model]) for instance in instances)
        if needed > memory_bytes:
            raise DoesNotFitError(
                f"plan {plan.strategy!r}: {', '.join(stage.instances)} need at least {format_bytes(needed)} of memory, "
                f"{format_bytes(memory_bytes)} are usable; run fewer models at once, or use smaller contexts or quantizations"
            )


def largest_private_bytes(plan: Plan, specs: Mapping[str, ModelSpec]) -> int:
    """Repacked weights and KV caches of the stage that has most of them [bytes]."""
    return max(
        sum(_private_bytes(instance, specs[instance.model]) for instance in map(plan.instance, stage.instances))
        for stage in plan.stages
    )


def _private_bytes(instance: InstancePlan, spec: ModelSpec) -> int:
    return repacked_bytes(spec) + cache_bytes(spec.shape, instance.cache)
