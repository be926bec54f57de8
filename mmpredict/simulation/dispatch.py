"""Which waiting requests are sent next: decision functions that the simulator and the live executor both call."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from heapq import heappush, heapreplace
from typing import Generic, Protocol, TypeVar

from mmpredict.cost.memory import Touched
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
        if request.context_tokens is not None:
            if size > request.context_tokens:
                raise InputError(f"request {request.id!r} has {size} tokens, and asks for a context of {request.context_tokens}")
            return
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


def touched_by(instance: InstancePlan, prompt_tokens: Sequence[int]) -> Touched:
    """What requests with these prompts use of an instance's memory: one after another they take every slot."""
    return Touched(largest_batch(instance, prompt_tokens), max(1, min(instance.slots, len(prompt_tokens))))


def largest_batch(instance: InstancePlan, prompt_tokens: Sequence[int]) -> int:
    """Largest physical batch that these prompts can make on an instance: those of all slots at once, at least a token [tokens]."""
    together = sum(sorted(prompt_tokens, reverse=True)[: instance.slots])
    return max(1, min(instance.ubatch_tokens, together))


def check_order(plan: Plan, workload: Workload, instance_of: Mapping[str, str]) -> None:
    """Make sure that no request waits for one that is served after it.

    Raises:
        InputError: one does, and would wait forever.
    """
    if not any(request.after for request in workload.requests):
        return
    place: dict[str, tuple[int, int]] = {}  # by stage, and where requests go one at a time, by instance
    for number, stage in enumerate(plan.stages):
        for position, name in enumerate(stage.instances):
            place[name] = (number, position if stage.concurrency == 1 else 0)
    for request in workload.requests:
        for other in request.after:
            if place[instance_of[other]] > place[instance_of[request.id]]:
                raise InputError(
                    f"plan {plan.strategy!r} serves {request.id!r} before {other!r}, for which it waits; choose a strategy that "
                    "serves their models at the same time"
                )


class Arriving(Protocol):
    """Something that comes at a time, and matters more or less."""

    @property
    def arrival_s(self) -> float:
        """When it comes [s]."""

    @property
    def priority(self) -> int:
        """Higher ones are sent first [1]."""


Item = TypeVar("Item", bound=Arriving)


class StageQueue(Generic[Item]):
    """Requests of a stage on their way to its instances: of those that have come the highest priority first, then first come first
    served; or, where they go one at a time, one instance after the other, so that a model finishes before the next begins.

    Args:
        stage: the stage.
        expected: instance → requests that it will get; infinite where nobody knows [1].
    """

    def __init__(self, stage: Stage, expected: Mapping[str, float]) -> None:
        self._concurrency = stage.concurrency
        self._ranked = False  # whether any request has a priority
        self._unsent = {name: expected.get(name, 0) for name in stage.instances}
        one: deque[tuple[Item, str]] = deque()
        self._line = {name: deque() if stage.concurrency == 1 else one for name in stage.instances}
        self._lines = [(name, self._line[name]) for name in (stage.instances if stage.concurrency == 1 else stage.instances[:1])]

    @property
    def unsent(self) -> float:
        """Requests that are still to be sent, come or not [1]."""
        return sum(self._unsent.values())

    @property
    def next_s(self) -> float:
        """When the next of those that are known comes; infinite if there is none [s]."""
        return min((line[0][0].arrival_s for _, line in self._lines if line), default=math.inf)

    def add(self, item: Item, name: str) -> None:
        """A request for an instance is known."""
        line = self._line[name]
        position = len(line)
        while position and line[position - 1][0].arrival_s > item.arrival_s:
            position -= 1
        line.insert(position, (item, name))
        self._ranked = self._ranked or item.priority != 0

    def _first(self, line: deque[tuple[Item, str]], now_s: float) -> int | None:
        """Place of the request that is sent next, of those that have come."""
        if line[0][0].arrival_s > now_s:
            return None
        if not self._ranked:
            return 0
        best = 0
        for position, (item, _) in enumerate(line):
            if item.arrival_s > now_s:
                break
            if item.priority > line[best][0].priority:
                best = position
        return best

    def take(self, in_flight: int, now_s: float) -> list[tuple[Item, str]]:
        """Requests to be sent now, and their instances.

        Args:
            in_flight: requests of the stage that were sent and have not finished [1].
            now_s: moment [s].
        """
        taken: list[tuple[Item, str]] = []
        for head, line in self._lines:
            while line and (self._concurrency is None or in_flight + len(taken) < self._concurrency):
                position = self._first(line, now_s)
                if position is None:
                    break
                item, name = line[position]
                del line[position]
                self._unsent[name] -= 1
                taken.append((item, name))
            if self._concurrency == 1 and self._unsent[head]:
                break
        return taken
