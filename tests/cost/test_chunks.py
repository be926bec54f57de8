"""Rows in chunks: what llama.cpp's threads take, imitated one by one, and steps of matrices that do not come out even."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.cost.chunks import CHUNK, COPIED_TYPES, LEAST_CHUNKS, SINGLE_CHUNK, busiest_share
from mmpredict.cost.step import batch_features, decode_features
from mmpredict.models.catalog import uniform_spec
from mmpredict.models.quantization.weight_types import weight_type


def rows_of_the_busiest(rows: int, size: int, threads: int) -> int:
    """Threads of one speed take one chunk after another."""
    chunks = -(-rows // size)
    size = -(-rows // (threads if chunks < LEAST_CHUNKS * threads else chunks))
    own = [0] * threads
    for start in range(0, rows, size):
        own[own.index(min(own))] += min(size, rows - start)
    return max(own)


@given(st.integers(1, 40).map(lambda number: 32 * number), st.integers(2, 24), st.sampled_from([1, 2, 7]))
def test_the_busiest_thread_is_the_one_that_taking_turns_leaves_with_most(rows: int, threads: int, tokens: int) -> None:
    found = busiest_share(rows, tokens, threads, "q6_k") * rows / threads
    assert found == pytest.approx(rows_of_the_busiest(rows, SINGLE_CHUNK if tokens == 1 else CHUNK, threads))


def test_nine_chunks_take_two_threads_as_long_as_ten() -> None:
    assert busiest_share(576, 1, 2, "q8_0") == pytest.approx(10 / 9)
    assert busiest_share(640, 1, 2, "q8_0") == 1.0
    assert busiest_share(192, 1, 2, "q8_0") == 1.0  # too few chunks: a half each


@pytest.mark.parametrize("name", sorted(COPIED_TYPES))
def test_types_of_their_own_layout_and_single_threads_come_out_even(name: str) -> None:
    assert busiest_share(576, 1, 2, name) == busiest_share(577, 1, 1, "q6_k") == 1.0


@given(st.integers(1, 200_000), st.integers(1, 128), st.sampled_from([1, 3]))
def test_nobody_has_less_than_an_even_part_nor_more_than_all(rows: int, threads: int, tokens: int) -> None:
    share = busiest_share(rows, tokens, threads, "q6_k")
    assert 1.0 - 1e-12 <= share <= threads + 1e-12


def test_a_token_passes_uneven_matrices_as_if_there_were_more_of_them() -> None:
    # per layer 576 rows in q, o and down, 1536 in gate and up, 192 in k and v; 49152 rows of output come out even
    spec = uniform_spec("smollm2-135m", weight_type("q8_0"))
    uneven = 30 * (2 * 576 * 576 + 576 * 1536)
    even = decode_features(spec, [0], 1).weights["q8_0", 1]
    assert decode_features(spec, [0], 1, threads=2).weights["q8_0", 1] == pytest.approx(even + uneven / 9)
    assert decode_features(spec, [0, 0], 1, threads=2) == decode_features(spec, [0, 0], 1)
    assert math.isclose(sum(batch_features(spec, [0], [], 512, threads=2).weights.values()), even + uneven / 9)
