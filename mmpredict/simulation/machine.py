"""The machine as a shared resource: activities progress at rates that change only with the company."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import simpy

from mmpredict.cost.contention import Demand, Sharing

_DONE_FRACTION = 1e-12  # of an activity's work; below it what is left is rounding
_CLOCK_STEPS = 4  # steps of the clock's last digit; what is left of the work below that cannot move the clock

Watch = Callable[[float, Sequence[Demand], Sequence[float]], None]
"""(simulated time [s], what runs from now on, its speeds relative to alone [1])."""


class Activity:
    """Work in progress.

    Attributes:
        demand: what it asks of the machine; ``solo_s`` is the whole work alone [s].
        ended: called when the work is done.
        done_s: work done, in seconds alone [s].
        target_s: work after which it counts as done [s]; at most ``demand.solo_s``.
        rate: present speed relative to alone [1].
        started_s: simulated time of its begin [s].
    """

    __slots__ = ("demand", "done_s", "ended", "rate", "started_s", "target_s")

    def __init__(self, demand: Demand, ended: Callable[[Activity], None], started_s: float) -> None:
        self.demand = demand
        self.ended = ended
        self.done_s = 0.0
        self.target_s = demand.solo_s
        self.rate = 1.0
        self.started_s = started_s


class Use(NamedTuple):
    """What activities use of a machine.

    Attributes:
        cores: that are busy [1].
        gpu: part of its time that the GPU works [1].
        bandwidth: part of the memory's bandwidth, where the cost model knows it [1].
    """

    cores: float
    gpu: float
    bandwidth: float


class Machine:
    """Processors, memory and disks shared by activities.

    Work between two changes of company is closed-form: nothing is scheduled but the next completion.

    Args:
        env: SimPy environment.
        sharing: how activities slow each other.
        log: whether what is in use is kept, for the records.
        watch: told of every change of company.

    Attributes:
        use_log: (time [s], what is in use from then on).
    """

    def __init__(self, env: simpy.Environment, sharing: Sharing, log: bool = True, watch: Watch | None = None) -> None:
        self._env = env
        self._sharing = sharing
        self._log = log
        self._watch = watch
        self._running: list[Activity] = []
        self._settled_s = 0.0
        self._generation = 0
        self._completing = False
        self.use_log: list[tuple[float, Use]] = []

    @property
    def cores(self) -> int:
        """Cores of the machine [1]."""
        return self._sharing.cores

    @property
    def threads(self) -> int:
        """Threads that work now [1]."""
        return sum(activity.demand.threads for activity in self._running)

    def start(self, demand: Demand, ended: Callable[[Activity], None]) -> Activity:
        """Begin an activity; ``ended`` is called with it when it is complete."""
        self._settle()
        activity = Activity(demand, ended, self._env.now)
        self._running.append(activity)
        if not self._completing:
            self._rerate()
        return activity

    def progress_s(self, activity: Activity) -> float:
        """Work done so far, in seconds alone [s]."""
        self._settle()
        return activity.done_s

    def end_at(self, activity: Activity, target_s: float) -> None:
        """Let an activity end earlier, after ``target_s`` of its work."""
        self._settle()
        activity.target_s = min(activity.demand.solo_s, max(target_s, activity.done_s))
        if not self._completing:
            self._schedule()

    def cancel(self, activity: Activity) -> None:
        """Take an activity away before its end; ``ended`` is not called."""
        self._settle()
        self._running.remove(activity)
        if not self._completing:
            self._rerate()

    def _settle(self) -> None:
        now_s = self._env.now
        elapsed_s = now_s - self._settled_s
        if elapsed_s > 0:
            for activity in self._running:
                activity.done_s += activity.rate * elapsed_s
            self._settled_s = now_s

    def _rerate(self) -> None:
        running = self._running
        if len(running) == 1:
            running[0].rate = 1.0
        elif running:
            rates = self._sharing.rates([activity.demand for activity in running])
            for activity, rate in zip(running, rates, strict=True):
                activity.rate = rate
        if self._log:
            self._note_use()
        if self._watch is not None:
            self._watch(self._env.now, [activity.demand for activity in running], [activity.rate for activity in running])
        self._schedule()

    def _note_use(self) -> None:
        running = self._running
        use = Use(
            min(self.cores, self.threads),
            sum(activity.rate * activity.demand.gpu for activity in running),
            sum(activity.rate * activity.demand.bandwidth for activity in running),
        )
        if self.use_log and self.use_log[-1][0] == self._env.now:
            self.use_log.pop()
        self.use_log.append((self._env.now, use))

    def _schedule(self) -> None:
        self._generation += 1
        running = self._running
        if not running:
            return
        if len(running) == 1:
            wait_s = (running[0].target_s - running[0].done_s) / running[0].rate
        else:
            wait_s = min((activity.target_s - activity.done_s) / activity.rate for activity in running)
        event = self._env.timeout(wait_s if wait_s > 0.0 else 0.0, self._generation)
        event.callbacks.append(self._complete)

    def _complete(self, event: Any) -> None:
        if event.value != self._generation:
            return  # the company has changed since; a newer event waits
        self._settle()
        running = self._running
        if len(running) == 1:
            finished, self._running = running, []
        else:
            rounding_s = _CLOCK_STEPS * math.ulp(self._env.now)
            finished = [a for a in running if a.target_s - a.done_s <= _DONE_FRACTION * a.target_s + rounding_s]
            self._running = [activity for activity in running if activity not in finished]
        self._completing = True  # what ends now may begin anew: the company is looked at once, when all have
        for activity in finished:
            activity.done_s = activity.target_s
            activity.ended(activity)
        self._completing = False
        self._rerate()
