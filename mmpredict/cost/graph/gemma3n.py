"""Gemma 3n: four hidden states side by side of which each layer computes one and corrects all, embeddings of its own per layer.

Source: llama.cpp ``src/models/gemma3n.cpp``, whose constants no file names.
"""

from __future__ import annotations

from mmpredict.cost.graph.attention import Cache, cached_attention, layer_heads, open_cache
from mmpredict.cost.graph.building import INDEX_BYTES, Building, alter, given, make, part
from mmpredict.cost.graph.ends import embeddings, logits
from mmpredict.cost.graph.tape import Source, Value, View

STATES = 4  # n_altup
LAUREL_RANK = 64
OWN_WIDTH = 256  # n_embd_altup
SPARSE_LAYERS = 10  # n_layer_sparsity


def gemma3n(building: Building) -> None:
    """Build the graph of Gemma 3n."""
    shape, row = building.shape, building.row
    one = embeddings(building, scaled_rows=True)
    own_size = row * (shape.n_embd_per_layer or OWN_WIDTH) * shape.n_layers
    own_rows = Value(own_size, (given(INDEX_BYTES * building.batch.tokens),), on_host=True)
    own = alter(View(own_rows))
    building.tape.expand(own)
    per_layer = make(own_size, alter(alter(View(make(own_size, one))), own))
    others = make((STATES - 1) * one.bytes, make((STATES - 1) * one.bytes, one))
    x: Source = make(STATES * one.bytes, one, _rescaled(others, one, row))
    caches = open_cache(building), open_cache(building, local=True)
    kinds = [(shape.is_local(layer), shape.kv_heads(layer), layer < SPARSE_LAYERS) for layer in range(shape.n_layers)]
    for layer in building.layers(kinds):
        x = _layer(building, caches[shape.is_local(layer)], layer, x, per_layer)
    others = make((STATES - 1) * one.bytes, part(x, STATES - 1, STATES))
    merged = make(one.bytes, part(x, 1, STATES), View(_rescaled(others, part(x, 1, STATES), row)))
    logits(building, building.select(merged))


def _rescaled(states: Value, like: Source, row: int) -> Value:
    """States that are made as large as another one."""
    wanted = make(row, alter(like))
    return alter(alter(states, wanted), make(row * (STATES - 1), alter(states)))


def _layer(building: Building, cache: Cache, layer: int, x: Source, per_layer: Value) -> Value:
    shape, row = building.shape, building.row
    size = row * shape.n_embd
    coefficients = make(STATES * STATES * row, make(STATES * row, alter(part(x, 1, STATES))))
    mixed = make(STATES * size, make(STATES * size, View(x)), View(coefficients))
    predicted = alter(make(STATES * size, View(mixed)), x)
    active = part(predicted, 1, STATES)
    inner = alter(active)
    side = alter(make(size, make(row * LAUREL_RANK, inner)), inner)
    middle = alter(alter(_attention(building, cache, layer, inner), active), side)
    hidden = alter(make(size, _feed_forward(building, layer, alter(middle))), middle)
    router = make(STATES * row, alter(hidden))
    correction = make(STATES * size, alter(hidden, part(predicted, 1, STATES)))
    factors = make(STATES * row, View(make(STATES * row, router)))
    corrected = alter(alter(correction, factors), predicted)
    own = alter(
        make(row * (shape.n_embd_per_layer or OWN_WIDTH), alter(part(corrected, 1, STATES))), part(per_layer, 1, shape.n_layers)
    )
    rest = make((STATES - 1) * size, part(corrected, STATES - 1, STATES), make(size, own))
    return make(STATES * size, part(corrected, 1, STATES), rest)


def _attention(building: Building, cache: Cache, layer: int, x: Source) -> Value:
    row = building.row
    heads = layer_heads(building, layer)
    query = alter(alter(View(make(row * heads.query_width, x))), building.positions)
    if not heads.keys:
        return make(row * building.shape.n_embd, cached_attention(building, cache, heads, query))
    key = alter(alter(View(make(row * heads.key_width, x))), building.positions)
    value = alter(View(make(row * heads.value_width, x)))
    return make(row * building.shape.n_embd, cached_attention(building, cache, heads, query, key, value))


def _feed_forward(building: Building, layer: int, x: Source) -> Value:
    width = building.row * building.shape.ff(layer)
    up, gate = make(width, x), make(width, x)
    if layer < SPARSE_LAYERS:
        mean = make(building.row, gate)
        spread = make(building.row, alter(gate, mean))
        gate = alter(gate, alter(mean, spread))
    return alter(up, gate)
