"""Weight types of GGUF files: block length, bytes per block, and what they become where a row fits no block.

Source: llama.cpp ``ggml/src/ggml.c`` (type traits) and ``src/llama-quant.cpp``.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmpredict.errors import InputError, UnknownNameError


@dataclass(frozen=True, slots=True)
class WeightType:
    """One storage type of a tensor.

    Attributes:
        name: lower-case name as llama.cpp prints it (``q4_k``).
        gguf_id: number of the type in a GGUF file.
        block_weights: weights per block [1].
        block_bytes: bytes per block [bytes].
    """

    name: str
    gguf_id: int
    block_weights: int
    block_bytes: int

    @property
    def bits_per_weight(self) -> float:
        """Storage of one weight [bit]."""
        return 8.0 * self.block_bytes / self.block_weights


_TYPES = (
    WeightType("f32", 0, 1, 4),
    WeightType("f16", 1, 1, 2),
    WeightType("q4_0", 2, 32, 18),
    WeightType("q4_1", 3, 32, 20),
    WeightType("q5_0", 6, 32, 22),
    WeightType("q5_1", 7, 32, 24),
    WeightType("q8_0", 8, 32, 34),
    WeightType("q8_1", 9, 32, 36),
    WeightType("q2_k", 10, 256, 84),
    WeightType("q3_k", 11, 256, 110),
    WeightType("q4_k", 12, 256, 144),
    WeightType("q5_k", 13, 256, 176),
    WeightType("q6_k", 14, 256, 210),
    WeightType("q8_k", 15, 256, 292),
    WeightType("iq2_xxs", 16, 256, 66),
    WeightType("iq2_xs", 17, 256, 74),
    WeightType("iq3_xxs", 18, 256, 98),
    WeightType("iq1_s", 19, 256, 50),
    WeightType("iq4_nl", 20, 32, 18),
    WeightType("iq3_s", 21, 256, 110),
    WeightType("iq2_s", 22, 256, 82),
    WeightType("iq4_xs", 23, 256, 136),
    WeightType("i8", 24, 1, 1),
    WeightType("i16", 25, 1, 2),
    WeightType("i32", 26, 1, 4),
    WeightType("i64", 27, 1, 8),
    WeightType("f64", 28, 1, 8),
    WeightType("iq1_m", 29, 256, 56),
    WeightType("bf16", 30, 1, 2),
    WeightType("tq1_0", 34, 256, 54),
    WeightType("tq2_0", 35, 256, 66),
    WeightType("mxfp4", 39, 32, 17),
    WeightType("nvfp4", 40, 64, 36),
    WeightType("q1_0", 41, 128, 18),
    WeightType("q2_0", 42, 64, 18),
)
WEIGHT_TYPES = {weight_type.name: weight_type for weight_type in _TYPES}
WEIGHT_TYPES_BY_ID = {weight_type.gguf_id: weight_type for weight_type in _TYPES}

# The type that llama.cpp takes for a row that no block of the wanted one divides (src/llama-quant.cpp, tensor_type_fallback).
SHORT_ROW_FALLBACK = {
    **dict.fromkeys(("tq1_0", "tq2_0", "q2_0", "q2_k", "q3_k"), "q4_0"),
    **dict.fromkeys(("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq4_xs"), "iq4_nl"),
    "q4_k": "q5_0",
    "q5_k": "q5_1",
    "q6_k": "q8_0",
}


def weight_type(name: str) -> WeightType:
    """Look up a weight type by name, case-insensitively.

    Raises:
        UnknownNameError: no such type.
    """
    try:
        return WEIGHT_TYPES[name.lower()]
    except KeyError:
        raise UnknownNameError("quantization", name, WEIGHT_TYPES) from None


def storable_type(wanted: WeightType, row_weights: int) -> WeightType:
    """The type in which llama.cpp stores a row of ``row_weights`` when ``wanted`` is asked for; ``f16`` fits every row."""
    if row_weights % wanted.block_weights == 0:
        return wanted
    fallback = WEIGHT_TYPES[SHORT_ROW_FALLBACK.get(wanted.name, "f16")]
    if row_weights % fallback.block_weights == 0:
        return fallback
    return WEIGHT_TYPES["f16"]


def tensor_bytes(weight: WeightType, shape: tuple[int, ...]) -> int:
    """Size of a tensor [bytes]; ``shape`` begins with the row length, as in GGUF.

    Raises:
        InputError: the row length is not a multiple of the type's block.
    """
    row = shape[0]
    if row % weight.block_weights:
        raise InputError(f"a row of {row} weights cannot be stored as {weight.name}: not a multiple of {weight.block_weights}")
    rows = 1
    for extent in shape[1:]:
        rows *= extent
    return row // weight.block_weights * weight.block_bytes * rows
