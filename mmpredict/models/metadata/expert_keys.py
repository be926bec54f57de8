"""Mixtures of experts, read from and written to metadata.

llama.cpp ``src/models/*.cpp``: where a file names no width, architectures derive it each in their own way; the tensors tell it
in any case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mmpredict.models.metadata.keys import Keys, Value
from mmpredict.models.shape import Experts, Shape, largest
from mmpredict.models.spec import Tensor

TOTAL, USED, WIDTH = "expert_count", "expert_used_count", "expert_feed_forward_length"
SHARED, SHARED_WIDTH, LATENT_WIDTH = "expert_shared_count", "expert_shared_feed_forward_length", "moe_latent_size"
LEADING_DENSE, INTERLEAVE, EVERY = "leading_dense_block_count", "interleave_moe_layer_step", "moe_every_n_layers"
_EVERY_KEY = {"llama4": INTERLEAVE, "nomic-bert-moe": EVERY}
_MAX_EXPERTS = 1024  # LLAMA_MAX_EXPERTS
_ONE_SHARED = ("llama4",)  # each layer of experts has one that all tokens pass, as wide as the others, and no key says so
# The feed-forward of all experts is as wide as one dense layer, or each one is.
_WIDTH_IS_OF_ALL = ("qwen2moe", "qwen3moe", "qwen3vlmoe", "nemotron_h_moe")
_ONLY_WIDTH = ("nemotron_h_moe",)  # a layer is one of experts if it has a width


def read_experts(keys: Keys, shape: Shape, tensors: Sequence[Tensor]) -> Experts | None:
    """The experts of a model; nothing if it is dense.

    Args:
        keys: the metadata.
        shape: everything else that was read.
        tensors: all tensors; may be empty.

    Raises:
        FileFormatError: a key is missing or holds something impossible.
    """
    total = keys.number(TOTAL, 0, most=_MAX_EXPERTS)
    used = largest(keys.per_layer(USED, shape.n_layers, 0))
    if total < 1 or (total == 1 and not _rows(tensors, ".ffn_down_exps.weight")):
        return None
    if not 1 <= used <= total:
        raise keys.unusable(f"it uses {used} of {total} experts; {keys.full(USED)!r} must be from 1 to {keys.full(TOTAL)!r}")
    n_ff = largest(keys.per_layer(WIDTH, shape.n_layers, 0)) or _rows(tensors, ".ffn_down_exps.weight")
    if not n_ff:
        n_ff = largest(shape.n_ff) // (used if shape.architecture in _WIDTH_IS_OF_ALL else 1)
    shared = keys.number(SHARED, 1 if shape.architecture in _ONE_SHARED else 0, most=_MAX_EXPERTS)
    n_ff_shared = keys.number(SHARED_WIDTH, 0) or _rows(tensors, ".ffn_down_shexp.weight")
    n_ff_shared = n_ff_shared or (0 if tensors else n_ff * shared)
    every = keys.number(_EVERY_KEY.get(shape.architecture, INTERLEAVE), 1, most=shape.n_layers) or 1
    found = Experts(
        total=total,
        used=used,
        n_ff=n_ff,
        shared=max(shared, 1) if n_ff_shared else 0,
        n_ff_shared=n_ff_shared,
        leading_dense=keys.number(LEADING_DENSE, 0, most=shape.n_layers),
        every=every,
        latent=keys.number(LATENT_WIDTH, 0),
    )
    return _with_layers(found, shape, tensors)


def write_experts(shape: Shape) -> dict[str, Value]:
    """The keys from which ``read_experts`` would get a model's experts."""
    experts = shape.experts
    if experts is None:
        return {}
    found: dict[str, Value] = {TOTAL: experts.total, USED: experts.used, WIDTH: experts.n_ff}
    optional = {SHARED: experts.shared, SHARED_WIDTH: experts.n_ff_shared, LATENT_WIDTH: experts.latent}
    found |= {key: value for key, value in optional.items() if value}
    found[LEADING_DENSE] = experts.leading_dense
    if experts.every > 1 or shape.architecture in _EVERY_KEY:
        found[_EVERY_KEY.get(shape.architecture, INTERLEAVE)] = experts.every
    return found


def _rows(tensors: Sequence[Tensor], ending: str) -> int:
    """Row length of the first tensor whose name ends so; 0 if there is none."""
    return next((tensor.shape[0] for tensor in tensors if tensor.name.endswith(ending)), 0)


def _with_layers(experts: Experts, shape: Shape, tensors: Sequence[Tensor]) -> Experts:
    """The same with the layers listed, where ``leading_dense`` and ``every`` do not say which of them have experts."""
    having = {tensor.layer for tensor in tensors if tensor.is_expert}
    if shape.architecture in _ONLY_WIDTH and not tensors:
        having = {layer for layer in range(shape.n_layers) if shape.ff(layer)}
    layers = tuple(layer in having for layer in range(shape.n_layers))
    plain = replace(shape, experts=experts)
    if not having or all(plain.has_experts(layer) == has for layer, has in enumerate(layers)):
        return experts
    return replace(experts, layers=layers)
