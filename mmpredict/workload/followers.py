"""Requests that wait for others: when they come into being, for the simulator and the live executor alike."""

from __future__ import annotations

from mmpredict.workload.request import Request


class Followers:
    """Requests that wait, and when those that they may wait for finished."""

    def __init__(self) -> None:
        self._finished_s: dict[str, float] = {}
        self._open: dict[str, int] = {}  # waiting request → how many it still waits for
        self._followers: dict[str, list[Request]] = {}

    @property
    def waiting(self) -> int:
        """Requests that wait for others to finish [1]."""
        return len(self._open)

    def add(self, request: Request) -> float | None:
        """A request is known.

        Returns:
            When it comes into being: ``delay_s`` after the last of those that it waits for, not before ``arrival_s`` [s];
            ``None`` while one of them has not finished.
        """
        still_open = [name for name in request.after if name not in self._finished_s]
        if not still_open:
            return self._arrival_s(request)
        self._open[request.id] = len(still_open)
        for name in still_open:
            self._followers.setdefault(name, []).append(request)
        return None

    def finished(self, name: str, now_s: float) -> list[tuple[Request, float]]:
        """A request has finished, well or not: those that waited for it alone, and when they come into being [s]."""
        self._finished_s[name] = now_s
        free = []
        for follower in self._followers.pop(name, ()):
            self._open[follower.id] -= 1
            if not self._open[follower.id]:
                del self._open[follower.id]
                free.append((follower, self._arrival_s(follower)))
        return free

    def _arrival_s(self, request: Request) -> float:
        last_s = max((self._finished_s[name] for name in request.after), default=0.0)
        return max(last_s + request.delay_s, request.arrival_s)
