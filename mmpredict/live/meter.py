"""Counting tokens while they come, for the people who wait."""

from __future__ import annotations

import threading
from collections import deque

WINDOW_S = 2.0


class TokenMeter:
    """Tokens of all streams, and how many a second came lately."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, int] = {}
        self._closed = 0
        self._seen: deque[tuple[float, int]] = deque()

    def begin(self, stream: str) -> None:
        """A stream begins; it alone calls ``count`` with its name."""
        with self._lock:
            self._open[stream] = 0

    def count(self, stream: str) -> None:
        """A token of a stream came; no lock, as no other thread writes its number."""
        self._open[stream] += 1

    def end(self, stream: str) -> None:
        """A stream ended."""
        with self._lock:
            self._closed += self._open.pop(stream)

    @property
    def streams(self) -> int:
        """Streams that go on [1]."""
        return len(self._open)

    def rate_tokens_per_s(self, now_s: float) -> float:
        """Tokens a second since about ``WINDOW_S`` ago, or since it was first asked; 0 at first [tokens/s].

        Args:
            now_s: a clock that only goes forward; called by one thread [s].
        """
        with self._lock:
            tokens = self._closed + sum(self._open.values())
        self._seen.append((now_s, tokens))
        while len(self._seen) > 2 and self._seen[1][0] <= now_s - WINDOW_S:
            self._seen.popleft()
        since_s, before = self._seen[0]
        return (tokens - before) / (now_s - since_s) if now_s > since_s else 0.0
