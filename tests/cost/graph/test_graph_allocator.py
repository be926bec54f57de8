"""The allocator hands out blocks as ggml does: the smallest that fits, joined with their neighbours when they come back."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mmpredict.cost.graph.allocator import Allocator

ALIGNMENT = 32


def test_the_smallest_block_that_fits_is_taken() -> None:
    allocator = Allocator(ALIGNMENT)
    starts = [allocator.take(size) for size in (96, 32, 64, 32, 160, 32)]
    for start, size in ((starts[0], 96), (starts[2], 64), (starts[4], 160)):
        allocator.give(start, size)
    assert allocator.take(64) == starts[2]
    assert allocator.take(65) == starts[0]  # rounded up to 96
    assert allocator.peak_bytes == 96 + 32 + 64 + 32 + 160 + 32


def test_of_blocks_of_one_size_the_last_is_taken() -> None:
    allocator = Allocator(ALIGNMENT)
    starts = [allocator.take(32) for _ in range(5)]
    allocator.give(starts[0], 32)
    allocator.give(starts[2], 32)
    assert allocator.take(32) == starts[2]
    assert allocator.take(32) == starts[0]


def test_the_endless_block_is_the_last_resort() -> None:
    allocator = Allocator(ALIGNMENT)
    first, _ = allocator.take(64), allocator.take(32)
    allocator.give(first, 64)
    assert allocator.take(96) == 96  # does not fit into the hole of 64
    assert allocator.take(32) == first
    assert allocator.peak_bytes == 192


def test_neighbours_are_joined() -> None:
    allocator = Allocator(ALIGNMENT)
    starts = [allocator.take(32) for _ in range(4)]
    allocator.give(starts[0], 32)
    allocator.give(starts[2], 32)
    assert allocator.free_blocks == ((0, 32), (64, 32))
    allocator.give(starts[1], 32)
    assert allocator.free_blocks == ((0, 96),)
    allocator.give(starts[3], 32)
    assert allocator.free_blocks == ()
    assert allocator.take(1) == 0
    assert allocator.peak_bytes == 128


@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 10)), max_size=200), st.sampled_from((16, 32, 128)))
def test_blocks_never_overlap_and_nothing_is_lost(steps: list[tuple[int, int]], alignment: int) -> None:
    allocator = Allocator(alignment)
    taken: list[tuple[int, int]] = []
    for size, choice in steps:
        if choice < 5 and taken:
            allocator.give(*taken.pop(choice % len(taken)))
        else:
            taken.append((allocator.take(size), size))
        ends = [(start, start + -(-length // alignment) * alignment) for start, length in taken]
        spans = sorted([*ends, *((start, start + length) for start, length in allocator.free_blocks)])
        assert all(start % alignment == 0 for start, _ in spans)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
        assert sum(end - start for start, end in spans) == max((end for _, end in spans), default=0)  # no gap is forgotten
        free = allocator.free_blocks
        assert all(start + length < following for (start, length), (following, _) in pairwise(free))
        assert allocator.peak_bytes >= max((end for _, end in ends), default=0)
    for start, size in taken:
        allocator.give(start, size)
    assert allocator.free_blocks == ()
    assert allocator.take(1) == 0
