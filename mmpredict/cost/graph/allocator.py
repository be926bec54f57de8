"""The memory allocator that ggml replays a graph with to find how large its buffer must be.

Blocks are handed out from a list of free ones, sorted by address, of which the last has no end: the smallest that fits wins, and
the endless one is used only if no other fits. Source: ggml ``ggml/src/ggml-alloc.c`` (``ggml_dyn_tallocr``), for backends whose
buffers have no size limit, as on CPUs and with CUDA.
"""

from __future__ import annotations

ENDLESS = 1 << 62


class Allocator:
    """Free blocks of one buffer.

    Attributes:
        peak_bytes: how large the buffer has to be for everything taken so far [bytes].
    """

    __slots__ = ("_lengths", "_mask", "_starts", "peak_bytes")

    def __init__(self, alignment_bytes: int) -> None:
        self._mask = alignment_bytes - 1
        self._starts = [0]
        self._lengths = [ENDLESS]
        self.peak_bytes = 0

    @property
    def free_blocks(self) -> tuple[tuple[int, int], ...]:
        """Start and length of every free block, by address, but for the endless one [bytes]."""
        return tuple(zip(self._starts[:-1], self._lengths[:-1], strict=True))

    def take(self, size_bytes: int) -> int:
        """Reserve a block and return where it starts [bytes]."""
        size = (size_bytes + self._mask) & ~self._mask
        starts, lengths = self._starts, self._lengths
        best, best_length = len(lengths) - 1, ENDLESS + 1
        for index in range(best):
            if size <= lengths[index] <= best_length:
                best, best_length = index, lengths[index]
        start = starts[best]
        if best_length == size:
            del starts[best], lengths[best]
        else:
            starts[best] = start + size
            lengths[best] -= size
        if start + size > self.peak_bytes:
            self.peak_bytes = start + size
        return start

    def give(self, start: int, size_bytes: int) -> None:
        """Return a block that :meth:`take` reserved; it is joined with free neighbours."""
        size = (size_bytes + self._mask) & ~self._mask
        starts, lengths = self._starts, self._lengths
        index = 0
        while starts[index] < start:
            index += 1
        joins_next = start + size == starts[index]
        if index and starts[index - 1] + lengths[index - 1] == start:
            if joins_next:
                lengths[index - 1] += size + lengths[index]
                del starts[index], lengths[index]
            else:
                lengths[index - 1] += size
        elif joins_next:
            starts[index] = start
            lengths[index] += size
        else:
            starts.insert(index, start)
            lengths.insert(index, size)
