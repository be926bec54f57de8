"""The block table against the gguf package's, and llama.cpp's fallback for short rows."""

from __future__ import annotations

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.models.quantization.weight_types import (
    WEIGHT_TYPES,
    WEIGHT_TYPES_BY_ID,
    WeightType,
    storable_type,
    tensor_bytes,
    weight_type,
)

# ggml's block_q8_1 has two halves since 2024 (ggml-common.h); the package still counts two floats. No file contains the type.
OUTDATED_IN_GGUF = {"q8_1"}


@pytest.mark.parametrize("theirs", list(gguf.GGMLQuantizationType), ids=lambda theirs: theirs.name)
def test_block_table_agrees_with_the_gguf_package(theirs: gguf.GGMLQuantizationType) -> None:
    ours = WEIGHT_TYPES_BY_ID[int(theirs)]
    assert ours.name == theirs.name.lower()
    if ours.name not in OUTDATED_IN_GGUF:
        assert (ours.block_weights, ours.block_bytes) == gguf.GGML_QUANT_SIZES[theirs]


def test_names_and_numbers_are_unique() -> None:
    assert len(WEIGHT_TYPES) == len(WEIGHT_TYPES_BY_ID)


@pytest.mark.parametrize(("name", "bits"), [("f16", 16), ("q8_0", 8.5), ("q4_0", 4.5), ("q4_k", 4.5), ("q6_k", 6.5625)])
def test_bits_per_weight(name: str, bits: float) -> None:
    assert weight_type(name.upper()).bits_per_weight == bits


@pytest.mark.parametrize(
    ("wanted", "row_weights", "stored"),
    [
        ("q4_k", 256, "q4_k"),
        ("q4_k", 896, "q5_0"),
        ("q5_k", 896, "q5_1"),
        ("q6_k", 896, "q8_0"),
        ("q2_k", 896, "q4_0"),
        ("q3_k", 896, "q4_0"),
        ("iq3_xxs", 896, "iq4_nl"),
        ("iq4_xs", 896, "iq4_nl"),
        ("tq2_0", 896, "q4_0"),
        ("q2_0", 96, "q4_0"),
        ("q4_k", 100, "f16"),
        ("q8_0", 896, "q8_0"),
        ("f16", 7, "f16"),
    ],
)
def test_short_rows_are_stored_as_llama_cpp_does(wanted: str, row_weights: int, stored: str) -> None:
    assert storable_type(weight_type(wanted), row_weights).name == stored


@given(st.sampled_from(list(WEIGHT_TYPES.values())), st.integers(1, 10**5), st.lists(st.integers(1, 1000), max_size=3))
def test_every_row_can_be_stored(wanted: WeightType, row_weights: int, more: list[int]) -> None:
    stored = storable_type(wanted, row_weights)
    size_bytes = tensor_bytes(stored, (row_weights, *more))
    rows = 1
    for extent in more:
        rows *= extent
    assert size_bytes * 8 == pytest.approx(row_weights * rows * stored.bits_per_weight)


def test_broken_blocks_are_refused() -> None:
    with pytest.raises(InputError, match="a row of 33 weights cannot be stored as q8_0: not a multiple of 32"):
        tensor_bytes(weight_type("q8_0"), (33, 2))


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown quantization 'q4_k_m'; did you mean .*q4_k"):
        weight_type("q4_k_m")
