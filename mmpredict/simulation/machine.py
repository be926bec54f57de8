"""The machine as a shared resource of the simulation: activities progress at rates that change only with the company."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import simpy

from mmpredict.cost.contention import Contention, Demand

_DONE_FRACTION = 1e-12  # of an activity's work; below it what is left is rounding
_CLOCK_STEPS = 4  # steps of the clock's last digit; what is left of the work below that cannot move the clock


@dataclass(slots=True, eq=False)
class Activity:
    """Work in progress.

    Attributes:
        demand: what it asks of the machine; ``solo_s`` is the whole work alone [s].
        done: fires when the work is done.
        done_s: work done, in seconds alone [s].
        target_s: work after which it counts as done [s]; at most ``demand.solo_s``.
        rate: present speed relative to alone [1].
        started_s: simulated time of its begin [s].
    """

    demand: Demand
    done: Any
    done_s: float
    target_s: float
    rate: float
    started_s: float


class Machine:
    """Cores shared by activities under a contention model.

    Work between two changes of company is closed-form: nothing is scheduled but the next completion.

    Args:
        env: SimPy environment.
        contention: how activities slow each other.
    """

    def __init__(self, env: simpy.Environment, contention: Contention) -> None:
        self._env = env
        self._contention = contention
        self._running: list[Activity] = []
        self._settled_s = 0.0
        self._generation = 0
        self.cores_log: list[tuple[float, float]] = []

    @property
    def cores(self) -> int:
        """Cores of the machine [1]."""
        return self._contention.cores

    def start(self, demand: Demand) -> Activity:
        """Begin an activity; its ``done`` event fires when it is complete."""
        self._settle()
        activity = Activity(demand, self._env.event(), 0.0, demand.solo_s, 1.0, self._env.now)
        self._running.append(activity)
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
        self._rerate()

    def _settle(self) -> None:
        elapsed_s = self._env.now - self._settled_s
        if elapsed_s > 0:
            for activity in self._running:
                activity.done_s += activity.rate * elapsed_s
        self._settled_s = self._env.now

    def _rerate(self) -> None:
        rates = self._contention.rates([activity.demand for activity in self._running]) if self._running else []
        for activity, rate in zip(self._running, rates, strict=True):
            activity.rate = rate
        busy = min(self.cores, sum(activity.demand.threads for activity in self._running))
        if self.cores_log and self.cores_log[-1][0] == self._env.now:
            self.cores_log[-1] = (self._env.now, busy)
        else:
            self.cores_log.append((self._env.now, busy))
        self._generation += 1
        if self._running:
            wait_s = min((activity.target_s - activity.done_s) / activity.rate for activity in self._running)
            self._env.process(self._complete_after(max(0.0, wait_s), self._generation))

    def _complete_after(self, wait_s: float, generation: int) -> Any:
        yield self._env.timeout(wait_s)
        if generation != self._generation:
            return  # the company has changed since; a newer process waits
        self._settle()
        rounding_s = _CLOCK_STEPS * math.ulp(self._env.now)
        finished = [a for a in self._running if a.target_s - a.done_s <= _DONE_FRACTION * a.target_s + rounding_s]
        self._running = [activity for activity in self._running if activity not in finished]
        for activity in finished:
            activity.done_s = activity.target_s
            activity.done.succeed()
        self._rerate()
