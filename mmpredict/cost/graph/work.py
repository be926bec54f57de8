"""The CPU backend's scratch memory: activations in the form that a product wants, and tiles of attention, for every thread.

It grows to the largest that any operation of a graph needs, and stays. Sources: ggml ``ggml/src/ggml-cpu/ggml-cpu.c``
(``ggml_graph_plan``), ``repack.cpp`` (``work_size``), ``tiled/tiled.cpp``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import lru_cache

from mmpredict.cost.graph.batch import Batch, worst_batch
from mmpredict.cost.graph.families import family_of, wants_all_outputs
from mmpredict.models.cache import CacheOptions
from mmpredict.models.quantization.repacking import AVX2, WHEEL_FEATURES, repacks_tensor
from mmpredict.models.quantization.weight_types import WEIGHT_TYPES, WeightType
from mmpredict.models.shape import Shape
from mmpredict.models.spec import ModelSpec, Tensor

FLOAT_BYTES, COUNTER_BYTES, CACHE_LINE_BYTES = 4, 8, 64
TILE_BYTES = 512 * 1024  # per thread, of products that work tile by tile (TILED_WS_SLOT)
ATTENTION_TILE = 64  # GGML_FA_TILE_Q, GGML_FA_TILE_KV
# Types into which activations are brought to be multiplied with a weight type (type_traits_cpu.vec_dot_type).
_PARTNERS = {
    **dict.fromkeys(("q4_0", "q5_0", "q8_0", "mxfp4", "nvfp4", "iq4_nl", "q1_0", "q2_0"), "q8_0"),
    **dict.fromkeys(("q4_1", "q5_1", "q8_1"), "q8_1"),
    **dict.fromkeys(("f32", "f16", "bf16")),
}
_TILED = frozenset({
    "q6_k", "q5_k", "q4_k", "q3_k", "q2_k", "iq4_xs", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq1_s", "iq1_m",
})  # fmt: skip
_PER_HEAD = ("attn_k_b.weight", "attn_v_b.weight")  # one matrix per head, applied to that head
_OUTPUT = "output.weight"


def work_buffer_bytes(spec: ModelSpec, options: CacheOptions, threads: int, features: Collection[str] = WHEEL_FEATURES) -> int:
    """Scratch memory once a full batch has been computed [bytes].

    Args:
        spec: the model.
        options: context, slots, physical batch and cache of the server.
        threads: worker threads [1].
        features: what processor and build can do (:mod:`mmpredict.models.quantization.repacking`).
    """
    batch = worst_batch(spec.shape, options, None, wants_all_outputs(spec.shape, family_of(spec.shape)[1]))
    tensors = tuple(tensor for tensor in spec.tensors if tensor.is_matrix)
    if spec.output_matrix is not None and spec.tied_output:
        tensors = (*tensors, Tensor(_OUTPUT, spec.output_matrix.shape, spec.output_matrix.type))
    products = _products(spec.shape, tensors, batch, threads, frozenset(features))
    largest = max(products, *_attention(spec.shape, batch, threads))
    return largest + CACHE_LINE_BYTES * threads if largest else 0


@lru_cache(256)
def _products(shape: Shape, tensors: tuple[Tensor, ...], batch: Batch, threads: int, features: frozenset[str]) -> int:
    """Largest need of a product with weights [bytes]."""
    kinds = {
        (tensor.shape, tensor.type, tensor.name.rpartition("blk.")[2].partition(".")[2], _rows(shape, tensor, batch)): tensor
        for tensor in tensors
    }
    return max((_product(shape, tensor, rows, threads, features) for (*_, rows), tensor in kinds.items()), default=0)


def _rows(shape: Shape, tensor: Tensor, batch: Batch) -> int:
    """Tokens whose activations a tensor is multiplied with: after the last attention, only those that are wanted [tokens]."""
    late = tensor.layer == shape.n_layers - shape.n_draft_layers - 1 and ".ffn_" in tensor.name
    if tensor.name == _OUTPUT or (late and not shape.architecture.startswith("nemotron_h")):
        return batch.outputs
    return batch.tokens


def _product(shape: Shape, tensor: Tensor, rows: int, threads: int, features: frozenset[str]) -> int:
    experts = tensor.shape[2] if tensor.is_expert and len(tensor.shape) > 2 else 0
    used = shape.experts.used if shape.experts else 1
    numbers = tensor.shape[0] * rows
    if experts and ("_down_" in tensor.name or shape.architecture == "llama4"):
        numbers *= used
    elif tensor.name.endswith(_PER_HEAD):
        numbers *= tensor.shape[2]
    partner = partner_type(tensor.type)
    packed = numbers // partner.block_weights * partner.block_bytes if partner else 0
    if repacks_tensor(tensor, features, as_output=tensor.name == _OUTPUT):
        return _padded(packed, COUNTER_BYTES) + COUNTER_BYTES * experts * (rows + 1) if experts else packed
    tiles = CACHE_LINE_BYTES + threads * TILE_BYTES if tensor.type.name in _TILED and AVX2 in features else 0
    if experts:
        counters = COUNTER_BYTES * (experts + 1) + COUNTER_BYTES * (experts * used * rows + 1)
        packed += (COUNTER_BYTES if partner else 0) + counters + CACHE_LINE_BYTES * (experts + 1)
    return _padded(packed, CACHE_LINE_BYTES) + tiles


def partner_type(weight: WeightType) -> WeightType | None:
    """The type into which activations are brought to be multiplied with a weight type; ``None`` if they stay as they are."""
    if weight.name in ("f16", "bf16"):
        return weight
    name = _PARTNERS.get(weight.name, "q8_k")
    return WEIGHT_TYPES[name] if name else None


def _attention(shape: Shape, batch: Batch, threads: int) -> Iterator[int]:
    """Needs of attention [bytes]."""
    layers = [layer for layer in range(shape.n_layers) if shape.kv_heads(layer) and not shape.is_recurrent(layer)]
    cached = not family_of(shape)[1].all_outputs or shape.n_decoder_layers > 0
    sizes = {(shape.heads(layer), *_dims(shape, layer), _cells(shape, layer, batch, cached)) for layer in layers}
    yield 0
    for heads, key_dim, value_dim, cells in sizes:
        if batch.flash and shape.architecture != "t5":
            tile = ATTENTION_TILE * (2 * key_dim + 2 * ATTENTION_TILE + 2 * value_dim)
            yield FLOAT_BYTES * threads * max(tile, heads * (2 + value_dim) + key_dim + 2 * value_dim)
        else:
            partner = partner_type(batch.value_type) if cached else None
            scores = heads * cells * batch.tokens
            packed = scores // partner.block_weights * partner.block_bytes if partner else 0
            yield max(_padded(packed, CACHE_LINE_BYTES), FLOAT_BYTES * cells * threads)


def _dims(shape: Shape, layer: int) -> tuple[int, int]:
    if shape.latent is not None:
        return shape.latent.kv_rank + shape.latent.rope_dim, shape.latent.kv_rank
    if shape.window is not None and shape.is_local(layer):
        return shape.window.key_dim or shape.key_dim, shape.window.value_dim or shape.value_dim
    return shape.key_dim, shape.value_dim


def _cells(shape: Shape, layer: int, batch: Batch, cached: bool) -> int:
    if not cached:
        return batch.tokens
    return batch.local_cells if shape.is_local(layer) else batch.cells


def _padded(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple
