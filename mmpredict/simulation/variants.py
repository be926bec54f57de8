"""Every form in which the servers of a plan may be loaded: what must be known of them before a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mmpredict.cost.admission import ollama
from mmpredict.models.shape import Shape
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import InstancePlan, Plan
from mmpredict.simulation.serving import OllamaServing
from mmpredict.workload.request import Workload


def variants(plan: Plan, specs: Mapping[str, ModelSpec], workload: Workload) -> list[InstancePlan]:
    """Instances of a plan with each context that requests may make a program load them with.

    Args:
        plan: instances, and by whose rules they are loaded.
        specs: model name → model.
        workload: requests.
    """
    if not isinstance(plan.serving, OllamaServing):
        return list(plan.instances)
    asked: dict[str, dict[int | None, None]] = {}
    for request in workload.requests:
        asked.setdefault(request.model, {})[request.context_tokens] = None
    return list(
        dict.fromkeys(
            ollama_variant(one, specs[one.model].shape, tokens) for one in plan.instances for tokens in asked.get(one.model, {})
        )
    )


def ollama_variant(instance: InstancePlan, shape: Shape, asked_tokens: int | None) -> InstancePlan:
    """An instance as Ollama loads it.

    Args:
        instance: with the context that it has when none is asked for, and the slots that ``num_parallel`` gives it.
        shape: of its model.
        asked_tokens: context of a slot that a request asks for; ``None`` when it does not say [tokens].
    """
    wanted = instance.context_tokens // instance.slots if asked_tokens is None else asked_tokens
    slots = ollama.slots(instance.slots, shape)
    return replace(instance, context_tokens=slots * ollama.context_tokens(wanted, shape), slots=slots)
