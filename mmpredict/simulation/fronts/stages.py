"""Stages one after another: their servers are loaded at once, serve their requests, and are unloaded; what strategies plan."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import simpy

from mmpredict.cost.contention import is_yielding
from mmpredict.cost.server_cost import MachineCosts
from mmpredict.simulation.dispatch import sendable, serving
from mmpredict.simulation.fleet import Fleet, Instance
from mmpredict.simulation.job import Job
from mmpredict.simulation.plan import Plan, Stage


class Stages:
    """Walks the stages of a plan.

    Args:
        env: SimPy environment.
        fleet: servers.
        plan: stages.
        costs: of the machine.
        expected: instance → requests that it will have served when its stage is over [1]; a stage without any is left out.
            None where nobody knows: then there is one stage, which never ends.
    """

    def __init__(
        self,
        env: simpy.Environment,
        fleet: Fleet,
        plan: Plan,
        costs: MachineCosts,
        expected: Mapping[str, int] | None,
    ) -> None:
        self._env = env
        self._fleet = fleet
        self._plan = plan
        self._costs = costs
        endless = {instance.name: math.inf for instance in plan.instances}
        self._unsent: dict[str, float] = dict(endless if expected is None else expected)
        self._instance_of = serving(plan)
        self._stage: Stage | None = None
        self._opened_s = 0.0
        self._in_flight = 0
        self._left = 0.0
        self._over: Any = None
        # One at a time, a model finishes before the next begins; otherwise requests are sent as they arrive.
        self._waiting: dict[str, deque[Job]] = {}  # by instance; those of one queue share it
        self._queues: dict[Stage, list[tuple[str, deque[Job]]]] = {}
        for stage in plan.stages:
            one: deque[Job] = deque()
            self._waiting |= {name: deque() if stage.concurrency == 1 else one for name in stage.instances}
            names = stage.instances if stage.concurrency == 1 else stage.instances[:1]
            self._queues[stage] = [(name, self._waiting[name]) for name in names]

    def open(self) -> None:
        """See ``Front``."""
        self._env.process(self._walk())

    def arrive(self, job: Job) -> None:
        """See ``Front``."""
        name = job.row.instance = self._instance_of[job.row.model]
        self._waiting[name].append(job)
        if self._stage is not None and name in self._stage.instances:
            self._send()

    def finished(self, job: Job, instance: Instance) -> None:
        """See ``Front``."""
        self._in_flight -= 1
        self._left -= 1
        if not self._left:
            self._over.succeed()
        elif self._waiting[job.row.instance]:
            self._send()

    def _walk(self) -> Any:
        for stage in self._plan.stages:
            left = sum(self._unsent.get(name, 0) for name in stage.instances)
            if not left:
                continue
            opened_s = self._env.now
            spinning = [i for i in map(self._plan.instance, stage.instances) if i.threads > 1 and not is_yielding(i.spincount)]
            stacked = self._costs.stacked([instance.name for instance in spinning])
            yield self._env.all_of([self._fleet.load(name, name in stacked) for name in stage.instances])
            self._stage, self._opened_s, self._left = stage, opened_s, left
            self._over = self._env.event()
            self._send()
            yield self._over
            self._stage = None
            for name in stage.instances:
                yield self._fleet.unload(name)

    def _send(self) -> None:
        stage = self._stage
        assert stage is not None
        for head, waiting in self._queues[stage]:
            for _ in range(sendable(waiting, self._in_flight, stage.concurrency, self._env.now)):
                job = waiting.popleft()
                name = job.row.instance
                ready_s = self._fleet.instances[name].ready_s
                job.row.load_wait_s = max(0.0, ready_s - max(self._opened_s, job.row.arrival_s))
                self._in_flight += 1
                self._unsent[name] -= 1
                self._fleet.send(job, name)
            if stage.concurrency == 1 and self._unsent.get(head, 0):
                return
