"""Stages one after another: their servers are loaded at once, serve their requests, and are unloaded; what strategies plan."""

from __future__ import annotations

import math
from typing import Any

from mmpredict.cost.contention import is_yielding
from mmpredict.simulation.dispatch import StageQueue, serving
from mmpredict.simulation.fleet import Instance
from mmpredict.simulation.fronts.setting import Setting
from mmpredict.simulation.job import Job


class Stages:
    """Walks the stages of a plan.

    Args:
        setting: the run. A stage of whose instances none is expected to get a request is left out; where nobody knows what comes,
            there is one stage, which never ends.
    """

    def __init__(self, setting: Setting) -> None:
        plan, expected = setting.plan, setting.expected
        self._env = setting.env
        self._fleet = setting.fleet
        self._plan = plan
        self._costs = setting.costs
        endless = {instance.name: math.inf for instance in plan.instances}
        self._queues: list[StageQueue[Job]] = [
            StageQueue(stage, endless if expected is None else expected) for stage in plan.stages
        ]
        self._queue_of = {name: queue for stage, queue in zip(plan.stages, self._queues, strict=True) for name in stage.instances}
        self._instance_of = serving(plan)
        self._queue: StageQueue[Job] | None = None  # of the stage that is open
        self._opened_s = 0.0
        self._in_flight = 0
        self._left = 0.0
        self._over: Any = None

    def open(self) -> None:
        """See ``Front``."""
        self._env.process(self._walk())

    def arrive(self, job: Job) -> None:
        """See ``Front``."""
        name = self._instance_of[job.row.model]
        queue = self._queue_of[name]
        queue.add(job, name)
        if queue is self._queue:
            self._send(queue)

    def finished(self, job: Job, instance: Instance) -> None:
        """See ``Front``."""
        self._in_flight -= 1
        self._left -= 1
        if not self._left:
            self._over.succeed()
        elif self._queue is not None:
            self._send(self._queue)

    def close(self) -> None:
        """See ``Front``: the last stage unloads its servers."""

    def _walk(self) -> Any:
        for stage, queue in zip(self._plan.stages, self._queues, strict=True):
            if not queue.unsent:
                continue
            opened_s = self._env.now
            spinning = [i for i in map(self._plan.instance, stage.instances) if i.threads > 1 and not is_yielding(i.spincount)]
            stacked = self._costs.stacked([instance.name for instance in spinning])
            yield self._env.all_of([self._fleet.load(name, name in stacked) for name in stage.instances])
            self._queue, self._opened_s, self._left = queue, opened_s, queue.unsent
            self._over = self._env.event()
            self._send(queue)
            yield self._over
            self._queue = None
            for name in stage.instances:
                yield self._fleet.unload(name, self._fleet.cost(name).unload_s)

    def _send(self, queue: StageQueue[Job]) -> None:
        for job, name in queue.take(self._in_flight, self._env.now):
            ready_s = self._fleet.instances[name].ready_s
            job.row.load_wait_s = max(0.0, ready_s - max(self._opened_s, job.row.arrival_s))
            self._in_flight += 1
            self._fleet.send(job, name)
