"""Attention: its inputs, the cache, and the softmax or its fused form.

Source: llama.cpp ``src/llama-graph.cpp`` (``build_attn``, ``build_attn_mha``) and ``src/llama-kv-cache.cpp``.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmpredict.cost.graph.batch import Batch
from mmpredict.cost.graph.building import FLOAT_BYTES, HALF_BYTES, LONG_INDEX_BYTES, Building, alter, given, make, store
from mmpredict.cost.graph.tape import Source, Value, View
from mmpredict.models.quantization.weight_types import WEIGHT_TYPES, WeightType

FULL, HALF = WEIGHT_TYPES["f32"], WEIGHT_TYPES["f16"]
SCRATCH_ALIGNMENT_BYTES = 128
TURN_WIDTH = 64  # smallest Hadamard matrix; head sizes that it does not divide are not turned


@dataclass(frozen=True, slots=True)
class Heads:
    """Sizes of one layer's attention [1]."""

    queries: int
    keys: int
    key_dim: int
    value_dim: int

    @property
    def query_width(self) -> int:
        """All queries of one token [1]."""
        return self.queries * self.key_dim

    @property
    def key_width(self) -> int:
        """All keys of one token [1]."""
        return self.keys * self.key_dim

    @property
    def value_width(self) -> int:
        """All values of one token [1]."""
        return self.keys * self.value_dim

    @property
    def result_width(self) -> int:
        """The result of all queries of one token [1]."""
        return self.queries * self.value_dim


@dataclass(frozen=True, slots=True)
class Cache:
    """What the layers of one cache share.

    Attributes:
        cells: cells of one stream [tokens].
        mask: which token sees which cell.
        key_rows, value_rows: where new keys and values go.
        key_turn, value_turn: Hadamard matrices, if the cache is quantized.
        keys_last: whether values are computed before keys.
        value_width: widest values of any layer, to which they are padded where they are stored transposed [1].
    """

    cells: int
    mask: Value
    key_rows: Value
    value_rows: Value
    key_turn: Value | None
    value_turn: Value | None
    keys_last: bool
    value_width: int


def layer_heads(building: Building, layer: int) -> Heads:
    """Sizes of a layer's attention; local layers may have their own."""
    shape = building.shape
    key_dim, value_dim = shape.key_dim, shape.value_dim
    if shape.window is not None and shape.window.local[layer]:
        key_dim, value_dim = shape.window.key_dim or key_dim, shape.window.value_dim or value_dim
    return Heads(shape.heads(layer), shape.kv_heads(layer), key_dim, value_dim)


def open_cache(building: Building, local: bool = False) -> Cache:
    """The inputs of the layers that keep keys and values, global or local ones."""
    batch, shape = building.batch, building.shape
    if isinstance(shape.n_kv_heads, int) and shape.window is None:
        heads = own = [layer_heads(building, 0)]
    else:
        layers = [layer for layer in range(shape.n_layers) if shape.kv_heads(layer) and not shape.is_recurrent(layer)]
        heads = [layer_heads(building, layer) for layer in layers]
        own = [sizes for sizes, layer in zip(heads, layers, strict=True) if shape.is_local(layer) == local]
    first = layer_heads(building, 0)  # decides for all
    widest = max((sizes.value_width for sizes in heads), default=0)
    cells = batch.local_cells if local else batch.cells
    return Cache(
        cells=cells,
        mask=given(batch.mask_element_bytes * cells * batch.tokens),
        key_rows=given(LONG_INDEX_BYTES * batch.tokens),
        value_rows=given(LONG_INDEX_BYTES * batch.tokens * (1 if batch.flash else widest)),
        key_turn=_turn(batch.key_type, {sizes.key_dim for sizes in own}, first.key_dim, grows=True),
        value_turn=_turn(batch.value_type, {sizes.value_dim for sizes in own}, first.value_dim, grows=False),
        keys_last=shape.window is None,
        value_width=widest,
    )


def _turn(stored: WeightType, dims: set[int], first: int, grows: bool) -> Value | None:
    dim = max(dims, default=0)
    if stored.block_weights == 1 or len(dims) != 1 or dim < 1 or first % TURN_WIDTH:
        return None
    width = TURN_WIDTH
    while grows and dim % (2 * width) == 0:
        width *= 2
    return given(FLOAT_BYTES * width * width)


def cached_attention(
    building: Building,
    cache: Cache,
    heads: Heads,
    query: Source,
    key: Source | None = None,
    value: Source | None = None,
    bias: Source | None = None,
) -> Source:
    """Attention of new queries over the cache, after new keys and values have been stored in it.

    Args:
        building, cache, heads: the graph, the cache, and sizes of the layer.
        query: all heads of all tokens.
        key, value: all heads of all tokens; ``None`` in a layer that uses the cache of an earlier one.
        bias: added to the scores; rules out the fused form.
    """
    tape, batch, row = building.tape, building.batch, building.row
    if cache.key_turn:
        query, key = turned(query, cache.key_turn), key and turned(key, cache.key_turn)
    if cache.value_turn and value:
        value = turned(value, cache.value_turn)
    tape.expand(query)
    if key and value:
        tape.expand(*((value, key) if cache.keys_last else (key, value)))
        tape.expand(store(key, cache.key_rows))
        if not batch.flash and value.bytes < value.home.bytes:
            value = make(value.bytes, value)  # stored transposed, and for that in one piece
        if not batch.flash and heads.value_width < cache.value_width:
            value = make(row * cache.value_width, value)
        tape.expand(store(value, cache.value_rows))
    if batch.flash and bias is None:
        result = flash_attention(batch, cache, row * heads.result_width, query, heads.key_width, heads.value_width)
    else:
        scores = make(row * heads.queries * cache.cells, query)
        scores = alter(scores if bias is None else alter(scores, bias), cache.mask)
        # Only without flash attention are values stored transposed, as the product wants them.
        stored = (make(batch.copied_bytes(batch.value_type, heads.value_width, cache.cells)),) if batch.flash else ()
        mixed = make(row * heads.result_width, *stored, scores)
        result = make(mixed.bytes, mixed)
    tape.expand(result)
    if cache.value_turn:
        return View(make(result.bytes, cache.value_turn, result))
    return View(result) if batch.flash else result


def flash_attention(batch: Batch, cache: Cache, size_bytes: int, query: Source, key_width: int, value_width: int) -> Value:
    """Attention over the cache as one operation, which wants keys and values in 16 bits.

    Those stored in 32 are copied beforehand; others CUDA copies for itself, beside the result (``ggml/src/ggml-cuda/
    fattn-common.cuh``).

    Args:
        batch, cache: sizes and inputs.
        size_bytes: of the result [bytes].
        query: all heads of all tokens.
        key_width, value_width: what is read of a cell; 0 for values that are a part of the keys [1].
    """
    pairs = ((batch.key_type, key_width), (batch.value_type, value_width))
    halves = [(stored, batch.copied_bytes(HALF, width, cache.cells)) for stored, width in pairs if width]
    result = make(size_bytes, query, *(make(half) for stored, half in halves if stored == FULL), cache.mask)
    for stored, half in halves:
        if stored not in (FULL, HALF):
            filled = size_bytes + result.scratch
            result.scratch += -filled % SCRATCH_ALIGNMENT_BYTES + half
    return result


def uncached_attention(
    building: Building, heads: Heads, mask: Value, query: Source, key: Source, value: Source, bias: Source | None = None
) -> Value:
    """Attention of tokens over each other, without a cache, as encoders have it.

    Args:
        building, heads: the graph, and sizes of the layer.
        mask: which token sees which.
        query, key, value: all heads of all tokens (keys and values perhaps of other tokens).
        bias: added to the scores; rules out the fused form.
    """
    tape, row = building.tape, building.row
    tape.expand(query, key, value)
    if building.batch.flash and bias is None:
        halves = [make(source.bytes * HALF_BYTES // FLOAT_BYTES, source) for source in (key, value)]
        result = make(row * heads.result_width, query, *halves, mask)
    else:
        cells = key.bytes // max(1, FLOAT_BYTES * heads.key_width)
        scores = make(row * heads.queries * cells, key, query)
        scores = alter(scores if bias is None else alter(scores, bias), mask)
        mixed = make(row * heads.result_width, make(value.bytes, value), scores)
        result = make(mixed.bytes, mixed)
    tape.expand(result)
    return result


def turned(source: Source, matrix: Value) -> Value:
    """A tensor multiplied by a Hadamard matrix; one whose rows are not adjacent is copied first."""
    if isinstance(source, View) and source.bytes != source.home.bytes:
        source = make(source.bytes, source)
    return make(source.bytes, matrix, source)
