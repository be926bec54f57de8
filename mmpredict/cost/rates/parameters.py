"""Names of the parameters that price the terms of a step, and what is believed of them before any measurement.

Parameters that end in ``_s`` are times [s]; ``bandwidth`` is in bytes/s and ``compute`` in FLOP/s; all others are factors of a
time [1], or powers, whose "logarithm" is the power itself. Beliefs are in reference units (``cost.rates.relative``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mmpredict.errors import InputError

BATCH_KNOTS = (1, 2, 4, 8, 9, 16, 32, 64, 128)
"""Tokens of a step between which the price of a multiplication is interpolated; kernels change at 8 to 9 and at small batches."""

ProcessorClass = Literal["gpu", "cpu"]

_GROUPS = {
    "simple": ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "mxfp4", "nvfp4", "iq4_nl"),
    "k": ("q2_k", "q3_k", "q4_k", "q5_k", "q6_k"),
    "float": ("f32", "f16", "bf16"),
}
GROUP_OF = {name: group for group, names in _GROUPS.items() for name in names}
OTHER_GROUP = "i"


@dataclass(frozen=True, slots=True)
class Belief:
    """A normal distribution of the logarithm of a parameter.

    Attributes:
        mean: of the logarithm.
        spread: standard deviation of the logarithm.
    """

    mean: float
    spread: float


def _of(value: float, spread: float) -> Belief:
    return Belief(math.log(value), spread)


def _power(mean: float, spread: float) -> Belief:
    return Belief(mean, spread)


_GPU = {
    "step_s": _of(3e-4, 0.7),
    "operation_s": _of(2e-6, 0.7),
    "expert_layer_s": _of(8e-6, 0.6),
    "recurrent_layer_s": _of(2.5e-5, 0.5),
    "prompt_operation_s": _of(4e-6, 0.5),
    "prompt_expert_layer_s": _of(8e-5, 0.8),
    "prompt_recurrent_layer_s": _of(8e-5, 0.8),
    "recurrent_mac_s": _of(5e-10, 1.2),
    "mac_s": _of(6e-12, 1.0),
    "prompt_mac_s": _of(9e-12, 0.8),
    "far_mac_s": _of(3e-13, 1.0),
    "far_heads": _power(1.0, 0.5),
    "far_width": _power(0.5, 0.3),
    "far_depth": _power(0.45, 0.2),
    "wide": _power(0.2, 0.2),
    "narrow": _power(0.1, 0.1),
    "expert_compute": _of(1.8, 0.4),
}
_CPU = {
    "step_s": _of(1e-4, 1.0),
    "operation_s": _of(3e-6, 1.0),
    "expert_layer_s": _of(2e-5, 1.0),
    "recurrent_layer_s": _of(1e-4, 1.0),
    "prompt_operation_s": _of(1e-5, 1.0),
    "prompt_expert_layer_s": _of(1e-4, 1.0),
    "prompt_recurrent_layer_s": _of(1e-4, 1.0),
    "recurrent_mac_s": _of(1e-10, 1.2),
    "mac_s": _of(5e-12, 1.2),
    "prompt_mac_s": _of(5e-12, 1.2),
    "far_mac_s": _of(1e-15, 0.1),  # what GPUs lose when a cache outgrows their last-level cache is not seen on CPUs
    "far_heads": _power(1.0, 0.1),
    "far_width": _power(0.5, 0.1),
    "far_depth": _power(0.45, 0.1),
    "wide": _power(0.0, 0.1),
    "narrow": _power(0.05, 0.1),
    "expert_compute": _of(1.2, 0.4),
}
_COMMON = {
    "request_s": _of(1e-2, 1.0),
    "sample_s": _of(2.5e-9, 0.6),  # 1.9 ns an entry on an H200's host, 2.1 to 2.3 on an EPYC, 3.1 to 8.8 on two virtual Xeons
    "activation_read": _of(0.4, 0.7),
    "cache_read": _of(1.1, 0.3),
    "expert_read": _of(1.05, 0.15),
    "bf16_expert_s": _of(1e-10, 1.0),  # next to nothing, but for Vulkan
    "bf16_expert_tiles": _of(1.0, 0.7),
    "vector_block_s": _of(1e-12, 0.5),  # next to nothing, but for CUDA
    "state_read": _of(1.2, 0.3),
    "latent_mac": _of(1.5, 0.6),
    "latent_prompt_mac": _of(1.0, 0.5),
    "early_compute": _of(1.05, 0.15),
    "early_attention": _of(1.15, 0.2),
}
_BATCH_GPU = {1: _of(0.25, 0.7), 2: _of(0.4, 1.0), 4: _of(0.5, 0.9), 8: _of(0.7, 0.8), 9: _of(2.0, 0.6)}
_BATCH_GPU |= {16: _of(1.6, 0.5), 32: _of(1.3, 0.4), 64: _of(1.2, 0.3), 128: _of(1.1, 0.2)}
_VULKAN_BF16_EXPERT = _of(2e-8, 2.0)  # of one length of a row [s]; nothing is known but that there is no kernel for it
# Tiles of 8 or 16 tokens (``mmq_x`` of ggml-cuda) instead of 32: nothing is lost from 16 tokens on.
_NARROW_TILES = frozenset({"cuda", "rocm"})
_BATCH_NARROW = {9: _of(1.8, 0.6), 16: _of(1.0, 0.5), 32: _of(1.0, 0.4), 64: _of(1.0, 0.3), 128: _of(1.0, 0.2)}
# Some 1500 cycles to start a block, wait for its first weights and add up its warps, with 12 to 16 blocks on each multiprocessor:
# 15 ns on an Orin of 8 at 1 GHz, 0.9 ns on an RTX 3090, 0.4 ns on an RTX 4090 or an H200; in reference units 1.3e-7 to 3.6e-7.
_CUDA_VECTOR_BLOCK = _of(2e-7, 1.0)
_BATCH_CPU = {1: _of(0.3, 0.8), 2: _of(0.8, 0.6), 4: _of(1.0, 0.5), 8: _of(1.1, 0.4), 9: _of(1.1, 0.4)}
_BATCH_CPU |= {16: _of(1.1, 0.3), 32: _of(1.05, 0.2), 64: _of(1.0, 0.15), 128: _of(1.0, 0.1)}
_EXPERT_BATCH_SPREAD = 0.5

_READ_SPREAD, _EXPERT_READ_SPREAD = 0.09, 0.09
_COMPUTE_SPREAD, _GROUP_SPREAD = 0.1, 0.15


def batch(knot: int, expert: bool = False) -> str:
    """Name of the price of a multiplication in a step of so many tokens; that of a long prompt is 1. Of experts, beside it."""
    return f"{'expert_' if expert else ''}batch_{knot}"


def batch_powers(tokens: int, expert: bool) -> dict[str, float]:
    """Between which knots a number of tokens lies: linear in the logarithm of the tokens; long prompts are the unit."""
    shares = _shares(tokens)
    powers = {batch(knot): share for knot, share in shares.items()}
    return powers | {batch(knot, True): share for knot, share in shares.items()} if expert else powers


def _shares(tokens: int) -> dict[int, float]:
    last = BATCH_KNOTS[-1]
    if tokens >= 2 * last:
        return {}
    if tokens >= last:
        return {last: 1.0 - math.log2(tokens / last)}
    above = next(knot for knot in BATCH_KNOTS if knot >= tokens)
    if above == tokens:
        return {above: 1.0}
    below = BATCH_KNOTS[BATCH_KNOTS.index(above) - 1]
    share = math.log(tokens / below) / math.log(above / below)
    return {below: 1.0 - share, above: share}


def beliefs(
    kind: ProcessorClass, weight_types: Iterable[str], bandwidth_share: Belief, compute_share: Belief, backend: str = ""
) -> dict[str, Belief]:
    """What is believed of every parameter before any measurement, in the reference units of ``cost.rates.relative``.

    Args:
        kind: class of processor.
        weight_types: types that models may be stored in.
        bandwidth_share, compute_share: what an engine is expected to achieve of the data sheet.
        backend: programming interface, whose kernels decide what small batches cost.

    Raises:
        InputError: another class of processor.
    """
    if kind not in ("gpu", "cpu"):
        raise InputError(f"speed of a processor of kind {kind!r} is not modelled; there is gpu and cpu")
    own = {"bandwidth": bandwidth_share, "compute": compute_share, **_COMMON, **(_GPU if kind == "gpu" else _CPU)}
    own |= {batch(knot): belief for knot, belief in (_BATCH_GPU if kind == "gpu" else _BATCH_CPU).items()}
    if kind == "gpu" and backend == "vulkan":
        own["bf16_expert_s"] = _VULKAN_BF16_EXPERT
    if kind == "gpu" and backend == "cuda":
        own["vector_block_s"] = _CUDA_VECTOR_BLOCK
    if kind == "gpu" and backend in _NARROW_TILES:
        own |= {batch(knot): belief for knot, belief in _BATCH_NARROW.items()}
    own |= {batch(knot, expert=True): Belief(0.0, _EXPERT_BATCH_SPREAD) for knot in BATCH_KNOTS}
    for group in (*_GROUPS, OTHER_GROUP):
        own[f"compute_group_{group}"] = own[f"expert_compute_group_{group}"] = Belief(0.0, _GROUP_SPREAD)
    for name in weight_types:
        own[f"read_{name}"] = Belief(0.0, _READ_SPREAD)
        own[f"expert_read_{name}"] = Belief(0.0, _EXPERT_READ_SPREAD)
        own[f"compute_{name}"] = own[f"expert_compute_{name}"] = Belief(0.0, _COMPUTE_SPREAD)
    return own


def compute_powers(weight_type: str, expert: bool) -> dict[str, float]:
    """What multiplications with weights of a type are priced by, besides the number of tokens."""
    group = GROUP_OF.get(weight_type, OTHER_GROUP)
    powers = {"compute": -1.0, f"compute_{weight_type}": 1.0, f"compute_group_{group}": 1.0}
    if expert:
        powers |= {"expert_compute": 1.0, f"expert_compute_{weight_type}": 1.0, f"expert_compute_group_{group}": 1.0}
    return powers


def read_powers(weight_type: str, expert: bool) -> dict[str, float]:
    """What reading weights of a type is priced by."""
    powers = {"bandwidth": -1.0, f"read_{weight_type}": 1.0}
    return powers | {"expert_read": 1.0, f"expert_read_{weight_type}": 1.0} if expert else powers
