"""Requests as they come into being: at their time, or some time after those that they follow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import simpy

from mmpredict.errors import InputError
from mmpredict.workload.request import Request


class Source:
    """Hands requests over at the moment of their arrival.

    Args:
        env: SimPy environment.
        requests: in order of arrival; read one ahead, so that a stream is never held in memory.
        arrive: called with every request and its arrival [s].
        follow: whether requests may follow others; when each finished is remembered then.

    Raises:
        InputError: a request follows another although none may; raised when it is read.
    """

    def __init__(
        self, env: simpy.Environment, requests: Iterable[Request], arrive: Callable[[Request, float], None], follow: bool
    ) -> None:
        self._env = env
        self._arrive = arrive
        self._requests = iter(requests)
        self._next: Request | None = next(self._requests, None)
        self._blocked: dict[str, int] = {}
        self._followers: dict[str, list[Request]] = {}
        self._done: dict[str, float] = {}  # when requests finished [s]
        self._follow_others = follow
        self.arrived = 0
        self._schedule()

    @property
    def waiting(self) -> int:
        """Requests that wait for others to finish [1]."""
        return len(self._blocked)

    def finished(self, request: str) -> None:
        """A request has finished; those that waited for it alone come, after their delay."""
        if not self._follow_others:
            return
        self._done[request] = self._env.now
        for follower in self._followers.pop(request, ()):
            self._blocked[follower.id] -= 1
            if not self._blocked[follower.id]:
                del self._blocked[follower.id]
                self._come(follower, max(self._env.now + follower.delay_s, follower.arrival_s))

    def _schedule(self) -> None:
        if self._next is not None:
            self._env.timeout(max(0.0, self._next.arrival_s - self._env.now)).callbacks.append(self._due)

    def _due(self, _: Any) -> None:
        now_s = self._env.now
        request = self._next
        while request is not None and request.arrival_s <= now_s:
            if request.after:
                self._follow(request)
            else:
                self._hand_over(request, request.arrival_s)
            request = self._next = next(self._requests, None)
        self._schedule()

    def _follow(self, request: Request) -> None:
        if not self._follow_others:
            raise InputError(f"request {request.id!r} waits for others; say that requests of the stream follow each other")
        open_ones = [name for name in request.after if name not in self._done]
        if not open_ones:
            last_s = max(self._done[name] for name in request.after)
            self._come(request, max(last_s + request.delay_s, request.arrival_s))
            return
        self._blocked[request.id] = len(open_ones)
        for name in open_ones:
            self._followers.setdefault(name, []).append(request)

    def _come(self, request: Request, arrival_s: float) -> None:
        self._env.timeout(max(0.0, arrival_s - self._env.now)).callbacks.append(lambda _: self._hand_over(request, self._env.now))

    def _hand_over(self, request: Request, arrival_s: float) -> None:
        self.arrived += 1
        self._arrive(request, arrival_s)
