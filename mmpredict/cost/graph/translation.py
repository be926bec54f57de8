"""Encoder–decoders. Memory is reserved for the decoder, which is larger.

Source: llama.cpp ``src/models/t5.cpp``; ``src/llama-graph.cpp`` (``build_pos_bias``, ``build_inp_cross_embd``).
"""

from __future__ import annotations

from mmpredict.cost.graph.attention import cached_attention, layer_heads, open_cache, uncached_attention
from mmpredict.cost.graph.building import FLOAT_BYTES, INDEX_BYTES, Building, alter, given, make
from mmpredict.cost.graph.ends import embeddings, logits, normalized
from mmpredict.cost.graph.feed_forward import Gate, dense
from mmpredict.cost.graph.tape import Source, View


def t5(building: Building) -> None:
    """The decoder of T5: attention with a bias per distance, attention over the encoder's result, feed-forward."""
    shape, batch, row = building.shape, building.batch, building.row
    x: Source = embeddings(building)
    source_tokens = shape.context_length
    encoded = given(FLOAT_BYTES * shape.n_embd * source_tokens)
    cache = open_cache(building)
    distances = given(INDEX_BYTES * cache.cells * batch.tokens)
    cross_mask = given(batch.mask_element_bytes * source_tokens * batch.tokens)
    heads = layer_heads(building, 0)
    last = shape.n_decoder_layers - 1
    gate: Gate = "own" if "gate" in shape.parts else "none"
    for layer in range(shape.n_decoder_layers):  # all: each adds a copy of the distances on a device
        inner = normalized(x)
        query, key, value = (View(make(row * width, inner)) for width in (heads.query_width, heads.key_width, heads.value_width))
        picked = make(row * heads.queries * cache.cells, View(distances))
        bias = make(picked.bytes, picked)
        attended = make(row * shape.n_embd, cached_attention(building, cache, heads, query, key, value, bias))
        middle: Source = alter(attended, x)
        query = View(make(row * heads.query_width, normalized(middle)))
        key = View(make(FLOAT_BYTES * heads.key_width * source_tokens, encoded))
        value = View(make(FLOAT_BYTES * heads.value_width * source_tokens, encoded))
        crossed: Source = make(row * shape.n_embd, uncached_attention(building, heads, cross_mask, query, key, value))
        out_row = row
        if layer == last:
            out_row = building.output_row
            crossed, middle = building.select(crossed), building.select(middle)
        final = alter(crossed, middle)
        x = alter(dense(normalized(final), out_row, shape.ff(0), shape.n_embd, gate), final)
    logits(building, x)
