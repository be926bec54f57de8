"""What fronts that load on demand have in common: requests are sent or refused, servers started and stopped, and rows say why."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from mmpredict.results.columns import ActivityRow
from mmpredict.simulation.dispatch import serving
from mmpredict.simulation.fronts.setting import Setting
from mmpredict.simulation.job import Job

QUEUE_FULL = "queue full"  # HTTP 503
TOO_MANY = "too many requests"  # HTTP 429
OUT_OF_MEMORY = "out of memory"
STARVED = "starved"  # waits for something that never comes
_ROUNDING_S = 1e-9  # a server that is ready at the very moment of a poll is seen by it


class Desk:
    """Hands of a front.

    Args:
        setting: the run.
    """

    def __init__(self, setting: Setting) -> None:
        self.env = setting.env
        self.fleet = setting.fleet
        self.closed = False
        self._setting = setting
        self._instance_of = serving(setting.plan)

    def take(self, job: Job) -> str:
        """A request comes in; returns the server that it needs."""
        name = job.row.instance = self._instance_of[job.row.model]
        return name

    def blame(self, jobs: Iterable[Job], cause: str) -> None:
        """From now on these requests wait for ``cause``."""
        if not self._setting.detail:
            return
        for job in jobs:
            if job.blamed is None:
                job.blamed = []
            if not job.blamed or job.blamed[-1][1] != cause:
                job.blamed.append((self.env.now, cause))

    def grant(self, job: Job) -> None:
        """The server of a request is ready for it: its waiting for a load is over."""
        job.row.load_wait_s = max(0.0, self.env.now - job.row.arrival_s)

    def send(self, job: Job) -> None:
        """Send a request to its server."""
        self._explain(job)
        self.fleet.send(job, job.row.instance)

    def refuse(self, job: Job, status: str) -> None:
        """A request will not be served."""
        job.row.status = status
        self._explain(job)
        self._setting.refused(job)

    def load(self, name: str, cause: str, first_poll_s: float, poll_s: float, done: Callable[[bool], None]) -> None:
        """Load a server.

        Args:
            name: server.
            cause: why.
            first_poll_s: when it is first asked whether it is ready, after its start [s].
            poll_s: interval of the further times; 0: it says so itself [s].
            done: called when it is seen to be ready, with whether memory suffices; where it does not, the newcomer is killed.
        """
        start_s = self.env.now
        ready = self.fleet.load(name, cause=cause)

        def seen(_: Any) -> None:
            fits = self._memory_suffices()
            if fits:
                done(True)
            else:
                self.fleet.unload(name, cause=OUT_OF_MEMORY).callbacks.append(lambda _: done(False))

        def loaded(_: Any) -> None:
            wait_s = max(0.0, polled_s(self.env.now - start_s, first_poll_s, poll_s) - (self.env.now - start_s))
            self.env.timeout(wait_s).callbacks.append(seen)

        ready.callbacks.append(loaded)

    def _memory_suffices(self) -> bool:
        site = self._setting.site
        swap_bytes = site.swap_bytes if site.swap_bytes_per_s else 0.0
        return self.fleet.used_bytes <= site.usable_bytes + swap_bytes

    def _explain(self, job: Job) -> None:
        if job.blamed:
            ends_s = [since_s for since_s, _ in job.blamed[1:]] + [self.env.now]
            self._setting.records.activities += (
                ActivityRow(job.row.instance, "queue", since_s, end_s, job.row.request, cause=cause)
                for (since_s, cause), end_s in zip(job.blamed, ends_s, strict=True)
                if end_s > since_s
            )
        job.blamed = None


def polled_s(ready_s: float, first_poll_s: float, poll_s: float) -> float:
    """When a server that is ready ``ready_s`` after its start is seen to be, after its start [s]."""
    if not poll_s:
        return max(ready_s, first_poll_s)
    late_s = max(0.0, ready_s - first_poll_s)
    polls = int(late_s / poll_s)
    while first_poll_s + polls * poll_s < ready_s - _ROUNDING_S:
        polls += 1
    return first_poll_s + polls * poll_s
