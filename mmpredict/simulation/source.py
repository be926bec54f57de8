"""Requests as they come into being: at their time, or some time after those that they follow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import simpy

from mmpredict.errors import InputError
from mmpredict.workload.followers import Followers
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
        self._followers = Followers() if follow else None
        self._coming = 0
        self.arrived = 0
        self._schedule()

    @property
    def waiting(self) -> int:
        """Requests that wait for others to finish [1]."""
        return self._followers.waiting if self._followers else 0

    @property
    def exhausted(self) -> bool:
        """Whether every request has arrived."""
        return self._next is None and not self.waiting and not self._coming

    def finished(self, request: str) -> None:
        """A request has finished; those that waited for it alone come, after their delay."""
        if self._followers is not None:
            for follower, arrival_s in self._followers.finished(request, self._env.now):
                self._come(follower, arrival_s)

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
        if self._followers is None:
            raise InputError(f"request {request.id!r} waits for others; say that requests of the stream follow each other")
        arrival_s = self._followers.add(request)
        if arrival_s is not None:
            self._come(request, arrival_s)

    def _come(self, request: Request, arrival_s: float) -> None:
        self._coming += 1
        self._env.timeout(max(0.0, arrival_s - self._env.now)).callbacks.append(lambda _: self._came(request))

    def _came(self, request: Request) -> None:
        self._coming -= 1
        self._hand_over(request, self._env.now)

    def _hand_over(self, request: Request, arrival_s: float) -> None:
        self.arrived += 1
        self._arrive(request, arrival_s)
