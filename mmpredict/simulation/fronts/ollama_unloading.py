"""The loop of Ollama that notices the ends of requests and unloads models (``processCompleted`` in ``server/sched.go``)."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any

from mmpredict.simulation.fronts.desk import Desk
from mmpredict.simulation.job import Job
from mmpredict.simulation.policies import ollama as policy


class Loaded:
    """A loaded model.

    Attributes:
        name: of its server.
        context_tokens: of a slot [tokens].
        parallel: requests that it serves at a time [1].
        rank: its digest.
        keep_alive_s: infinite for ever [s].
        requests: granted and not seen to have ended [1].
        served: requests in its server [1].
        waiting: granted requests that wait for others to end.
        timer: number of its present timer; others that run out mean nothing.
    """

    __slots__ = ("context_tokens", "keep_alive_s", "name", "parallel", "rank", "requests", "served", "timer", "waiting")

    def __init__(self, name: str, context_tokens: int, parallel: int, rank: str, keep_alive_s: float) -> None:
        self.name = name
        self.context_tokens = context_tokens
        self.parallel = parallel
        self.rank = rank
        self.keep_alive_s = keep_alive_s
        self.requests = 0
        self.served = 0
        self.waiting: deque[Job] = deque()
        self.timer = 0

    def seen(self) -> policy.Runner:
        """What the rules look at."""
        return policy.Runner(self.name, self.context_tokens, self.keep_alive_s, self.rank, self.requests)


class Unloading:
    """Does one thing after another: while it kills a server and waits for its memory, it notices nothing else.

    Args:
        desk: hands of the front.
        loaded: the loaded models by name of their server; those that go are taken out.
        kill_s: from the signal to the end of a process [s].
        recovery_s: that memory is waited for after that [s].
        why: asked, with a server that goes, for the reason.
        unloaded: called when one is gone and its memory is back.
    """

    def __init__(
        self,
        desk: Desk,
        loaded: dict[str, Loaded],
        kill_s: float,
        recovery_s: float,
        why: Callable[[str], str],
        unloaded: Callable[[], None],
    ) -> None:
        self._desk = desk
        self._loaded = loaded
        self._kill_s = kill_s
        self._recovery_s = recovery_s
        self._why = why
        self._unloaded = unloaded
        self._events: deque[Callable[[], None]] = deque()
        self._locked: deque[Callable[[], None]] = deque()
        self._unloading = False
        self.killing = ""
        """The server whose process is being killed; while there is one, the list of loaded models is locked."""

    def ended(self, loaded: Loaded) -> None:
        """A request has ended."""
        self._notice(lambda: self._count(loaded))

    def expire(self, loaded: Loaded) -> None:
        """A model's time is up."""
        self._notice(lambda: self._expire(loaded))

    def unlocked(self, action: Callable[[], None]) -> None:
        """Do what needs the list of loaded models: at once, or when the process that is being killed has ended."""
        if self.killing:
            self._locked.append(action)
        else:
            action()

    def _notice(self, event: Callable[[], None]) -> None:
        self._events.append(event)
        if len(self._events) == 1:
            self._work()

    def _work(self) -> None:
        while self._events and not self._unloading:
            self._events[0]()  # it stays in the queue meanwhile, so that what it brings about comes after it
            self._events.popleft()

    def _count(self, loaded: Loaded) -> None:
        loaded.requests -= 1
        if loaded.requests:
            return
        if loaded.keep_alive_s <= 0:
            self.expire(loaded)
        elif not math.isinf(loaded.keep_alive_s):
            loaded.timer += 1
            number = loaded.timer
            self._desk.env.timeout(loaded.keep_alive_s).callbacks.append(lambda _: self._run_out(loaded, number))

    def _run_out(self, loaded: Loaded, number: int) -> None:
        if loaded.timer == number:
            self.expire(loaded)

    def _expire(self, loaded: Loaded) -> None:
        if self._loaded.get(loaded.name) is not loaded or self._desk.closed:
            return  # gone already, or nobody is left to see it
        if loaded.requests:
            self._desk.env.timeout(policy.RETRY_S).callbacks.append(lambda _: self.expire(loaded))
            return
        self._unloading, self.killing = True, loaded.name
        gone = self._desk.fleet.unload(loaded.name, self._kill_s, self._why(loaded.name))
        gone.callbacks.append(lambda _: self._killed(loaded))

    def _killed(self, loaded: Loaded) -> None:
        self.killing = ""
        del self._loaded[loaded.name]
        while self._locked:
            self._locked.popleft()()
        self._desk.env.timeout(self._recovery_s).callbacks.append(self._recovered)

    def _recovered(self, _: Any) -> None:
        self._unloading = False
        self._unloaded()
        self._work()
