"""llama-swap: groups of models that exclude one another, and swaps between them (``internal/router``, commit 0bdb372).

- A model that is ready is served at once, before all that wait; a swap that is under way is joined.
- Other requests begin a swap, unless it would get in the way of another or stop a model in use: then they wait, and are looked at
  again in their order whenever a swap is done or a model has become idle.
- It knows nothing of memory, and notices that a server is ready at 250 ms and every second after.

Left out: the time limit of a load (120 s), the matrix of models that may run together, and clients that go away.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from mmpredict.simulation.dispatch import serving
from mmpredict.simulation.fleet import Instance
from mmpredict.simulation.fronts.desk import OUT_OF_MEMORY, TOO_MANY, Desk
from mmpredict.simulation.fronts.setting import Setting
from mmpredict.simulation.job import Job
from mmpredict.simulation.policies import llama_swap as policy
from mmpredict.simulation.serving import LlamaSwapServing


class LlamaSwap:
    """See the module.

    Args:
        setting: the run; its plan is served by ``LlamaSwapServing``.
    """

    def __init__(self, setting: Setting) -> None:
        options = setting.plan.serving
        assert isinstance(options, LlamaSwapServing)
        self._options = options
        self._desk = Desk(setting)
        self._env = setting.env
        self._model_of = {instance.name: instance.model for instance in setting.plan.instances}
        self._name_of = serving(setting.plan)
        self._queue: list[Job] = []
        self._swaps: dict[str, frozenset[str]] = {}  # target → whom it stops
        self._joined: dict[str, list[Job]] = {}
        self._in_flight: Counter[str] = Counter()
        self._accepted: Counter[str] = Counter()
        self._stopping: dict[str, Any] = {}
        self._ready_s: dict[str, float] = {}  # those that are ready, and since when they are known to be
        self._idle: Counter[str] = Counter()

    def open(self) -> None:
        """See ``Front``."""

    def close(self) -> None:
        """See ``Front``."""
        self._desk.closed = True

    def arrive(self, job: Job) -> None:
        """See ``Front``."""
        name = self._desk.take(job)
        if self._accepted[name] >= self._options.concurrency_limit:
            self._desk.refuse(job, TOO_MANY)
            return
        self._accepted[name] += 1
        if not self._place(job):
            priority = self._priority(job)
            place = next((n for n, other in enumerate(self._queue) if self._priority(other) < priority), len(self._queue))
            self._queue.insert(place, job)

    def finished(self, job: Job, instance: Instance) -> None:
        """See ``Front``."""
        name = job.row.instance
        self._accepted[name] -= 1
        self._in_flight[name] -= 1
        if not self._in_flight[name]:
            self._watch(name)
            self._drain()

    def _place(self, job: Job) -> bool:
        """Serve a request, or let it join or begin a swap; False where it must wait."""
        name = job.row.instance
        running = {*self._ready_s, *self._stopping, *self._swaps} - {name}
        models = {self._model_of[other] for other in running}
        evicted = frozenset(self._name_of[model] for model in policy.evictions(self._model_of[name], models, self._options.groups))
        route = policy.route(name, name in self._ready_s, evicted, self._swaps, self._in_flight)
        if route == "queue":
            self._desk.blame((job,), self._obstacle(name, evicted))
            return False
        if route == "serve":
            self._serve(job)
        elif route == "join":
            self._joined[name].append(job)
            self._desk.blame((job,), f"load of {name}")
        else:
            self._swap(job, evicted)
        return True

    def _obstacle(self, name: str, evicted: frozenset[str]) -> str:
        busy = sorted(other for other in evicted if self._in_flight[other])
        blocking = [target for target in self._swaps if policy.collides(name, evicted, {target: self._swaps[target]})]
        return f"load of {blocking[0]}" if blocking else f"{busy[0]} in use"

    def _serve(self, job: Job) -> None:
        self._idle[job.row.instance] += 1
        self._in_flight[job.row.instance] += 1
        self._desk.grant(job)
        self._desk.send(job)

    def _swap(self, job: Job, evicted: frozenset[str]) -> None:
        name = job.row.instance
        self._swaps[name] = evicted
        self._joined[name] = [job]
        self._idle[name] += 1
        gone = [self._stop(other, f"room for {job.row.request}") for other in sorted(evicted)]
        if name in self._stopping:
            gone.append(self._stopping[name])
        if not gone:
            self._start(name, job.row.request)
            return
        self._desk.blame((job,), f"unload of {', '.join(sorted(evicted)) or name}")
        self._env.all_of(gone).callbacks.append(lambda _: self._start(name, job.row.request))

    def _stop(self, name: str, cause: str) -> Any:
        if name not in self._stopping:
            self._ready_s.pop(name, None)
            self._idle[name] += 1
            gone = self._stopping[name] = self._desk.fleet.unload(name, self._options.stop_s, cause)
            gone.callbacks.append(lambda _: self._stopping.pop(name))
        return self._stopping[name]

    def _start(self, name: str, cause: str) -> None:
        if name in self._ready_s:  # only others had to go
            self._swapped(name, True)
            return
        self._desk.blame(self._joined[name], f"load of {name}")
        self._desk.load(name, cause, policy.FIRST_POLL_S, policy.POLL_S, lambda fits: self._swapped(name, fits))

    def _swapped(self, name: str, fits: bool) -> None:
        del self._swaps[name]
        jobs = self._joined.pop(name)
        if fits:
            self._ready_s.setdefault(name, self._env.now)
        for job in jobs:
            if fits:
                self._serve(job)
            else:
                self._accepted[name] -= 1
                self._desk.refuse(job, OUT_OF_MEMORY)
        self._drain()

    def _drain(self) -> None:
        waiting, self._queue = self._queue, []
        self._queue = [job for job in waiting if not self._place(job)] + self._queue

    def _watch(self, name: str) -> None:
        """Stop an idle model at the first check after its time to live."""
        if not self._options.ttl_s or name not in self._ready_s:
            return
        self._idle[name] += 1
        mark, ready_s, now_s = self._idle[name], self._ready_s[name], self._env.now
        checks = math.floor((now_s + self._options.ttl_s - ready_s) / policy.TTL_CHECK_S) + 1
        at_s = ready_s + checks * policy.TTL_CHECK_S

        def expire(_: Any) -> None:
            if self._idle[name] == mark and not self._desk.closed:
                self._stop(name, "time to live")

        self._env.timeout(at_s - now_s).callbacks.append(expire)

    def _priority(self, job: Job) -> int:
        return self._options.priorities.get(job.row.model, 0)
