"""Which waiting requests are sent next: decision functions that the simulator and the live executor both call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from mmpredict.errors import InputError
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.workload.request import Request, Workload


def assign(plan: Plan, workload: Workload) -> dict[str, str]:
    """Instance of every request: the one that serves its model (the first, should several do).

    Returns:
        request id → instance name.

    Raises:
        InputError: a request asks for a model that no instance serves.
    """
    serving: dict[str, str] = {}
    for instance in plan.instances:
        serving.setdefault(instance.model, instance.name)
    for request in workload.requests:
        if request.model not in serving:
            raise InputError(
                f"request {request.id!r} asks for {request.model!r}, which no instance of plan {plan.strategy!r} serves"
            )
    return {request.id: serving[request.model] for request in workload.requests}


def check_context(plan: Plan, workload: Workload, instance_of: Mapping[str, str]) -> None:
    """Make sure that requests fit: each into a slot's own cache, or those in flight together into the cache that all share.

    Raises:
        InputError: they do not.
    """
    for stage in plan.stages:
        for name in stage.instances:
            instance = plan.instance(name)
            sizes = sorted(
                (request.prompt_tokens + request.output_tokens for request in workload.requests if instance_of[request.id] == name),
                reverse=True,
            )
            together = min(instance.slots, stage.concurrency or instance.slots) if instance.unified else 1
            holds, what = (instance.context_tokens, "context that its slots share")
            if not instance.unified:
                holds, what = (instance.cache.slot_cells, "part of the context that is each slot's own")
            if sum(sizes[:together]) > holds:
                raise InputError(
                    f"{name}: the {min(together, len(sizes))} largest requests in flight together need {sum(sizes[:together])} "
                    f"tokens, the {what} holds {holds}; raise server.context_tokens"
                )


def largest_batch(instance: InstancePlan, prompt_tokens: Sequence[int]) -> int:
    """Largest physical batch that these prompts can make on an instance: those of all slots at once, at least a token [tokens]."""
    together = sum(sorted(prompt_tokens, reverse=True)[: instance.slots])
    return max(1, min(instance.ubatch_tokens, together))


def stage_requests(stage: Stage, workload: Workload, instance_of: dict[str, str]) -> list[Request]:
    """The requests of a stage, in the order in which they are sent: by instance as the stage lists them when they are
    sent one at a time (so that a model finishes before the next begins), by arrival otherwise."""
    mine = [request for request in workload.requests if instance_of[request.id] in stage.instances]
    if stage.concurrency == 1:
        mine.sort(key=lambda request: stage.instances.index(instance_of[request.id]))
    return mine


class Arriving(Protocol):
    """Something that comes at a time."""

    @property
    def arrival_s(self) -> float:
        """When it comes [s]."""


def sendable(waiting: Sequence[Arriving], in_flight: int, concurrency: int | None, now_s: float) -> int:
    """How many requests at the head of ``waiting`` may be sent now: first come first served, none overtakes."""
    room = len(waiting) if concurrency is None else max(0, concurrency - in_flight)
    count = 0
    while count < min(room, len(waiting)) and waiting[count].arrival_s <= now_s:
        count += 1
    return count
