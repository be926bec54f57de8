"""Gemma 4: local layers with heads of another size, experts beside a dense feed-forward, embeddings of its own for every layer.

Source: llama.cpp ``src/models/gemma4.cpp``.
"""

from __future__ import annotations

from mmpredict.cost.graph.attention import Cache, cached_attention, layer_heads, open_cache
from mmpredict.cost.graph.building import INDEX_BYTES, Building, alter, given, make, part
from mmpredict.cost.graph.ends import embeddings, logits, normalized
from mmpredict.cost.graph.feed_forward import Routing, dense, mixture
from mmpredict.cost.graph.tape import Source, Value, View

ROUTING = Routing(normalized=True, gate="joint")


def gemma4(building: Building) -> None:
    """Build the graph of Gemma 4."""
    shape, row, own = building.shape, building.row, building.shape.n_embd_per_layer
    own_size = row * own * shape.n_layers
    if own:
        own_rows = Value(own_size, (given(INDEX_BYTES * building.batch.tokens),), on_host=True)
        building.tape.expand(own_rows)
    x: Source = embeddings(building, scaled_rows=True)
    caches = open_cache(building), open_cache(building, local=True)
    if own:
        projected = alter(View(make(own_size, x)))
        per_layer = make(own_size, alter(projected, View(own_rows)))
    last = shape.n_layers - shape.n_draft_layers - 1
    for layer in building.layers([_kind(building, layer) for layer in range(last + 1)]):
        residual: Source = x
        attended: Source = _attention(building, caches[shape.is_local(layer)], layer, normalized(x))
        out_row = row
        if layer == last:
            out_row = building.output_row
            attended, residual = building.select(attended), building.select(residual)
        middle = alter(attended, residual)
        x = alter(_feed_forward(building, layer, middle, out_row), middle)
        if own:
            gate = make(out_row * own, x)
            factor: Source = part(per_layer, 1, shape.n_layers)
            if layer == last:
                factor = building.select(factor)
            x = alter(x, make(out_row * shape.n_embd, alter(gate, factor)))
    logits(building, x)


def _kind(building: Building, layer: int) -> tuple[object, ...]:
    shape = building.shape
    return shape.is_local(layer), shape.heads(layer), shape.kv_heads(layer), shape.ff(layer), shape.has_experts(layer)


def _attention(building: Building, cache: Cache, layer: int, x: Source) -> Value:
    row = building.row
    heads = layer_heads(building, layer)
    query = alter(alter(View(make(row * heads.query_width, x))), building.positions)
    if not building.shape.kv_heads(layer):
        return make(row * building.shape.n_embd, cached_attention(building, cache, heads, query))
    shared = "shared_kv" in building.shape.parts and not building.shape.is_local(layer)
    key_made = make(row * heads.key_width, x)
    value_made = key_made if shared else make(row * heads.value_width, x)
    key, value = alter(alter(View(key_made)), building.positions), alter(View(value_made))
    return make(row * building.shape.n_embd, cached_attention(building, cache, heads, query, key, value))


def _feed_forward(building: Building, layer: int, x: Value, row: int) -> Value:
    shape = building.shape
    beside = dense(normalized(x), row, shape.ff(layer), shape.n_embd)
    if shape.experts is None or not shape.has_experts(layer):
        return beside
    inner = normalized(x)
    scores = make(row * shape.experts.total, normalized(x))
    return alter(beside, mixture(building, inner, row, shape.experts, ROUTING, scores))
