"""What a running llama-server tells of itself, held against the instance of a plan that it is to stand for.

Pure reading of answers that somebody else fetched. Sources: llama.cpp ``tools/server/server-context.cpp`` (``/props``, ``/slots``,
``/metrics``).
"""

from __future__ import annotations

from typing import Any

from mmpredict.models.servers import ServedModel
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import InstancePlan
from mmpredict.units import format_bytes

SAME_SIZE_FRAC = 0.02
METRIC_PREFIX = "llamacpp:"


def slot_tokens(instance: InstancePlan) -> int:
    """Context that one sequence of an instance has room for [tokens]."""
    return instance.context_tokens if instance.unified else instance.context_tokens // instance.slots


def busy_slots(slots: object) -> int:
    """Slots that work at the moment, by the answer to ``/slots``; 0 where it tells nothing."""
    listed: list[Any] = slots if isinstance(slots, list) else []
    return sum(1 for slot in listed if isinstance(slot, dict) and slot.get("is_processing") is True)


def metric(text: str, name: str) -> float:
    """A figure of ``/metrics``, such as ``requests_deferred``; ``nan`` if it is not there."""
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == METRIC_PREFIX + name:
            try:
                return float(value)
            except ValueError:
                break
    return float("nan")


def differences(served: ServedModel, instance: InstancePlan, spec: ModelSpec) -> list[str]:
    """In what a server differs from what the plan says of it, in words."""
    found = []
    if served.slots != instance.slots:
        found.append(f"it has {served.slots} slots, the plan {instance.slots}")
    if served.context_tokens != slot_tokens(instance):
        found.append(f"a slot has a context of {served.context_tokens} tokens, the plan's of {slot_tokens(instance)}")
    if served.n_vocab and served.n_vocab != spec.shape.n_vocab:
        found.append(f"it serves a model with a vocabulary of {served.n_vocab}, the plan's has {spec.shape.n_vocab}")
    elif served.size_bytes and abs(served.size_bytes - spec.weight_bytes) > SAME_SIZE_FRAC * spec.weight_bytes:
        found.append(
            f"its model's weights take {format_bytes(served.size_bytes)}, those of the plan's {format_bytes(spec.weight_bytes)}"
        )
    return found
