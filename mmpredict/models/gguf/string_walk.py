"""Passing over many strings quickly: a vocabulary and its merges are hundreds of thousands, and none of them is wanted.

A string's end is known only from its length, so the walk is sequential. Most lengths are below 256, though, and text holds
no zeros: the seven zero bytes of such a length are seen from afar. They are collected for a whole window at once, and where
each string ends exactly where the next one was seen, the walk jumps. Nothing is believed that the lengths do not confirm.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_LENGTH = struct.Struct("<Q")
_FEW = 4096  # strings that are walked before anything is collected
_STEPS = 64  # strings that are walked where the collection does not help


def walk_strings(window: bytes, position: int, most: int) -> tuple[int, int]:
    """Pass over strings, each of them preceded by its length in 8 bytes (little-endian).

    Args:
        window: what was read.
        position: where the first string's length begins in it; the length is within the window.
        most: strings to pass at most [1].

    Returns:
        Strings passed [1], and where the last one ends, which may be far beyond the window [bytes].
    """
    limit = len(window) - _LENGTH.size
    walked = 0
    seen: _Seen | None = None
    while walked < most and position <= limit:
        if most > _FEW:
            seen = seen or _Seen(window)
            jumped, end = seen.jump(position, most - walked)
            if jumped:
                walked, position = walked + jumped, end
                continue
        for _ in range(min(_STEPS, most - walked)):
            if position > limit:
                break
            position += _LENGTH.size + _LENGTH.unpack_from(window, position)[0]
            walked += 1
    return walked, position


@dataclass(frozen=True)
class _Seen:
    """Lengths from 1 to 255 that are seen in a window: where they begin, and where their strings would end."""

    window: bytes

    @cached_property
    def _places(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Beginnings, ends, and the numbers of those strings whose end is not the next beginning."""
        import numpy as np

        words = np.frombuffer(self.window, "<u4", len(self.window) // 4)
        zero = np.flatnonzero(words[1:-1] == 0) + 1  # seven zero bytes always fill one aligned word of four
        before = words[zero - 1]
        zero, before = zero[before != 0], before[before != 0]
        zeros_before = (before < 1 << 24).astype(np.int64) + (before < 1 << 16) + (before < 1 << 8)
        zeros_after = np.array([0xFFFFFF, 0xFFFF, 0xFF, 0], np.uint32)[zeros_before]
        real = words[zero + 1] & zeros_after == 0
        starts = 4 * zero[real] - 1 - zeros_before[real]
        ends = starts + _LENGTH.size + np.frombuffer(self.window, np.uint8)[starts]
        breaks = np.append(np.flatnonzero(starts[1:] != ends[:-1]), len(starts) - 1)
        return starts, ends, breaks

    def jump(self, position: int, most: int) -> tuple[int, int]:
        """How many strings from ``position`` on follow each other, ``most`` at most [1], and where the last of them ends."""
        starts, ends, breaks = self._places
        first = int(starts.searchsorted(position))
        if first == len(starts) or starts[first] != position:
            return 0, position
        last = int(breaks[breaks.searchsorted(first)])
        jumped = min(last + 1 - first, most)
        return jumped, int(ends[first + jumped - 1])
