"""Random weights in any storage type: mean 0, and the spread of a freshly initialised transformer.

Weights with another mean make activations grow until attention computes with denormal numbers, at a fraction of the speed.
Block structures: llama.cpp ``ggml/src/ggml-common.h``; how they are read: ``dequantize_row_*`` in ``ggml/src/ggml-quants.c``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmpredict.errors import InputError
from mmpredict.models.quantization.weight_types import WeightType

if TYPE_CHECKING:  # names of types are asked for more often than weights
    import numpy as np

    Bytes = np.ndarray[Any, np.dtype[np.uint8]]

WEIGHT_SPREAD = 0.02  # standard deviation of the weights of a freshly initialised transformer
_IQ4_VALUES = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)  # kvalues_iq4nl
# Scales of sub-blocks, such that the scale of the block is no denormal number.
_SCALE = 32.0  # 6 bits (q4_k, q5_k)
_PACKED_SCALES = bytes([0xA0] * 8 + [0x00] * 4)  # eight 6-bit scales and eight minima of 32
_SCALE_2 = 8.0  # 4 bits, as has the minimum (q2_k)
_SCALE_3 = 16.0  # 6 bits, counted from 32 (q3_k)
_SCALE_6 = 16.0  # 8 bits (q6_k)
_SCALE_IQ4 = 4.0  # 6 bits, counted from 32 (iq4_xs)
_MXFP4_EXPONENTS = (120, 119)  # of 2⁻⁷ and 2⁻⁸; eleven blocks in sixteen with the larger give the spread
_MXFP4_PATTERN = bytes(_MXFP4_EXPONENTS[block * 11 % 16 >= 11] for block in range(16))


def _step(bits: int, signed: bool = False) -> float:
    """Distance of equally likely values whose standard deviation is the spread [1].

    Args:
        bits: of a value [1].
        signed: whether they count from -2^(bits-1) to 2^(bits-1) - 1, half a step below 0 in the mean, with either sign.
    """
    return WEIGHT_SPREAD / math.sqrt((4**bits - 1) / 12 + (0.25 if signed else 0))


_STEP_2, _STEP_4, _STEP_5 = _step(2), _step(4), _step(5)
_SIGNED_3, _SIGNED_4, _SIGNED_5, _SIGNED_6, _SIGNED_8 = (_step(bits, signed=True) for bits in (3, 4, 5, 6, 8))
_STEP_IQ4 = WEIGHT_SPREAD / math.sqrt(sum(value**2 for value in _IQ4_VALUES) / len(_IQ4_VALUES))


@dataclass(frozen=True, slots=True)
class Block:
    """The bytes of a block that may not be random.

    Attributes:
        fixed: where they begin, and what they are; a half-precision float is given as a number.
        sign: where the scale is, in types whose values are not symmetric: every other block gets a negative one.
    """

    fixed: tuple[tuple[int, float | bytes], ...]
    sign: int | None = None


BLOCKS: dict[str, Block] = {
    "q8_0": Block(((0, _SIGNED_8),), sign=0),
    "q4_0": Block(((0, _SIGNED_4),), sign=0),
    "q4_1": Block(((0, _STEP_4), (2, -7.5 * _STEP_4))),
    "q5_0": Block(((0, _SIGNED_5),), sign=0),
    "q5_1": Block(((0, _STEP_5), (2, -15.5 * _STEP_5))),
    "q2_k": Block(((0, bytes([0x88] * 16)), (80, _STEP_2 / _SCALE_2), (82, 1.5 * _STEP_2 / _SCALE_2))),
    "q3_k": Block(((96, bytes([0x00] * 8 + [0xFF] * 4)), (108, _SIGNED_3 / _SCALE_3)), sign=108),
    "q4_k": Block(((0, _STEP_4 / _SCALE), (2, 7.5 * _STEP_4 / _SCALE), (4, _PACKED_SCALES))),
    "q5_k": Block(((0, _STEP_5 / _SCALE), (2, 15.5 * _STEP_5 / _SCALE), (4, _PACKED_SCALES))),
    "q6_k": Block(((192, bytes([int(_SCALE_6)] * 16)), (208, _SIGNED_6 / _SCALE_6)), sign=208),
    "iq4_nl": Block(((0, _STEP_IQ4),), sign=0),
    "iq4_xs": Block(((0, _STEP_IQ4 / _SCALE_IQ4), (2, b"\xaa\xaa"), (4, b"\x44" * 4)), sign=0),
    "mxfp4": Block(()),
}
_FLOATS: dict[str, Callable[[np.ndarray[Any, np.dtype[np.float32]]], np.ndarray[Any, Any]]] = {
    "f32": lambda values: values,
    "f16": lambda values: values.astype("<f2"),
    "bf16": lambda values: ((values.view("<u4") + 0x8000) >> 16).astype("<u2"),
}
SYNTHESISABLE = (*_FLOATS, *BLOCKS)


def constant(weight: WeightType, count: int, value: float) -> Bytes:
    """``count`` weights of one value, in a float type.

    Raises:
        InputError: the type has blocks.
    """
    import numpy as np

    if weight.name not in _FLOATS:
        raise InputError(f"a vector cannot be made in {weight.name}; allowed: {', '.join(_FLOATS)}")
    return _FLOATS[weight.name](np.full(count, value, dtype="<f4")).view(np.uint8)


def random_blocks(weight: WeightType, count: int, generator: np.random.Generator) -> Bytes:
    """``count`` blocks of random weights.

    Raises:
        InputError: the type cannot be synthesised.
    """
    import numpy as np

    if weight.name in _FLOATS:
        return _FLOATS[weight.name](generator.standard_normal(count, dtype=np.float32) * np.float32(WEIGHT_SPREAD)).view(np.uint8)
    if weight.name not in BLOCKS:
        raise InputError(f"{weight.name} cannot be synthesised; allowed: {', '.join(SYNTHESISABLE)}")
    words = -(-count * weight.block_bytes // 8)
    data = generator.integers(0, 2**64, words, dtype=np.uint64).view(np.uint8)[: count * weight.block_bytes]
    blocks = data.reshape(count, weight.block_bytes)
    block = BLOCKS[weight.name]
    for offset, content in block.fixed:
        fixed = content if isinstance(content, bytes) else np.array(content, dtype="<f2").tobytes()
        blocks[:, offset : offset + len(fixed)] = np.frombuffer(fixed, dtype=np.uint8)
    if block.sign is not None:
        blocks[1::2, block.sign + 1] ^= 0x80  # the sign bit of a little-endian half
    if weight.name == "mxfp4":
        blocks[:, 0] = np.resize(np.frombuffer(_MXFP4_PATTERN, np.uint8), count)
    return data
