"""Which waiting requests are sent next: decision functions that the simulator and the live executor both call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappush, heapreplace
from typing import Protocol

from mmpredict.errors import InputError
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.workload.request import Request, Workload


def serving(plan: Plan) -> dict[str, str]:
    """Instance that serves each model: the first, should several do."""
    found: dict[str, str] = {}
    for instance in plan.instances:
        found.setdefault(instance.model, instance.name)
    return found


def assign(plan: Plan, workload: Workload) -> dict[str, str]:
    """Instance of every request.

    Returns:
        request id → instance name.

    Raises:
        InputError: a request asks for a model that no instance serves.
    """
    of_model = serving(plan)
    return {request.id: instance_for(request, of_model, plan.strategy) for request in workload.requests}


def instance_for(request: Request, of_model: Mapping[str, str], strategy: str) -> str:
    """Instance of a request.

    Raises:
        InputError: it asks for a model that no instance serves.
    """
    name = of_model.get(request.model)
    if name is None:
        raise InputError(f"request {request.id!r} asks for {request.model!r}, which no instance of plan {strategy!r} serves")
    return name


class ContextCheck:
    """Makes sure that requests fit: each into a slot's own cache, or those in flight together into the cache that all share.

    Args:
        plan: instances and stages.
    """

    def __init__(self, plan: Plan) -> None:
        self._instances = {instance.name: instance for instance in plan.instances}
        self._together = {
            name: min(self._instances[name].slots, stage.concurrency or self._instances[name].slots)
            for stage in plan.stages
            for name in stage.instances
        }
        self._largest: dict[str, list[int]] = {name: [] for name in self._instances}

    def add(self, request: Request, name: str) -> None:
        """A request more for an instance.

        Raises:
            InputError: it does not fit.
        """
        instance, largest = self._instances[name], self._largest[name]
        size = request.prompt_tokens + request.output_tokens
        together = self._together.get(name, instance.slots) if instance.unified else 1
        if len(largest) < together:
            heappush(largest, size)
        elif size > largest[0]:
            heapreplace(largest, size)
        else:
            return
        holds, what = (instance.context_tokens, "context that its slots share")
        if not instance.unified:
            holds, what = (instance.cache.slot_cells, "part of the context that is each slot's own")
        if (needed := sum(largest)) > holds:
            raise InputError(
                f"{name}: the {len(largest)} largest requests in flight together need {needed} "
                f"tokens, the {what} holds {holds}; raise server.context_tokens"
            )


def check_context(plan: Plan, workload: Workload, instance_of: Mapping[str, str]) -> None:
    """Make sure that all requests of a workload fit into the contexts of their instances (see ``ContextCheck``).

    Raises:
        InputError: they do not.
    """
    check = ContextCheck(plan)
    for request in workload.requests:
        check.add(request, instance_of[request.id])


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
