"""Multi-head latent attention: queries are folded into the space of the compressed keys and values, which are all that is cached.

Source: llama.cpp ``src/models/deepseek2.cpp``; ``src/llama-graph.cpp`` (``build_attn`` for a cache of keys alone).
"""

from __future__ import annotations

from mmpredict.cost.graph.attention import flash_attention, open_cache
from mmpredict.cost.graph.building import Building, alter, make, part, store
from mmpredict.cost.graph.decoder import Mixer
from mmpredict.cost.graph.tape import Source, Value, View
from mmpredict.models.shape import Latent


def latent_mixer(building: Building, latent: Latent) -> Mixer:
    """Latent attention in every layer."""
    shape, batch, tape, row = building.shape, building.batch, building.tape, building.row
    cache = open_cache(building)
    cached_width = latent.kv_rank + latent.rope_dim

    def mix(layer: int, x: Source) -> Value:
        heads = shape.heads(layer)
        source = make(row * latent.q_rank, x) if latent.q_rank else x
        query = make(row * heads * latent.key_dim, source)
        both = make(row * cached_width, x)
        turned_key = alter(part(both, latent.rope_dim, cached_width), building.positions)
        compressed = alter(part(both, latent.kv_rank, cached_width))
        turned_query = alter(part(query, latent.rope_dim, latent.key_dim), building.positions)
        folded = make(row * heads * latent.kv_rank, part(query, latent.key_dim - latent.rope_dim, latent.key_dim))
        query = make(row * heads * cached_width, View(folded), turned_query)
        value = View(compressed)
        key = make(row * cached_width, value, turned_key)
        tape.expand(query, value, key)
        tape.expand(store(key, cache.key_rows))
        if batch.flash:
            attended = flash_attention(batch, cache, row * heads * latent.kv_rank, query, cached_width, 0)
        else:
            scores = alter(make(row * heads * cache.cells, query), cache.mask)
            values = make(batch.copied_bytes(batch.key_type, latent.kv_rank, cache.cells))
            attended = make(row * heads * latent.kv_rank, values, scores)
        unfolded = make(row * heads * latent.value_dim, attended)
        result = make(unfolded.bytes, unfolded)
        tape.expand(result)
        return make(row * shape.n_embd, result)

    return mix
