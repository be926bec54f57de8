"""Spans of time, asked which of them touch another."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

Span = tuple[float, float]
"""Beginning and end [s]; a span that ends before it begins is empty."""


class Spans:
    """Many spans; each answer takes the logarithm of their number, so that a long log of overlapping requests is no trap."""

    def __init__(self, spans: Iterable[Span]) -> None:
        filled = [(start, end) for start, end in spans if start < end]
        self._starts = sorted(start for start, _ in filled)
        self._ends = sorted(end for _, end in filled)

    def touching(self, span: Span) -> int:
        """How many spans share some time with this one, itself included if it is one of them."""
        start, end = span
        return bisect_left(self._starts, end) - bisect_right(self._ends, start) if start < end else 0
