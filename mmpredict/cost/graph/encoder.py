"""Text encoders: attention in both directions, no cache, one vector per sequence.

Sources: llama.cpp ``src/models/bert.cpp``, ``gemma-embedding.cpp``; ``src/llama-graph.cpp`` (``build_pooling``).
"""

from __future__ import annotations

from mmpredict.cost.graph.attention import layer_heads, uncached_attention
from mmpredict.cost.graph.building import Building, alter, given, make
from mmpredict.cost.graph.decoder import Mixer, Style, projections
from mmpredict.cost.graph.ends import embeddings, normalized
from mmpredict.cost.graph.feed_forward import Routing, dense, mixture
from mmpredict.cost.graph.tape import Source, Value

BERT = Style(turns="none", gate="none", learned_positions=True)
NOMIC_BERT = Style(fused=True)
NOMIC_BERT_MOE = Style(fused=True, gate="none", routing=Routing(gate="none"))
GEMMA_EMBEDDING = Style(head_norm="rms", scaled_rows=True)


def bidirectional_mixer(building: Building, style: Style) -> Mixer:
    """Attention of all tokens of a batch over each other."""
    batch, shape = building.batch, building.shape
    size = batch.mask_element_bytes * batch.tokens * batch.tokens
    wide, local = given(size), given(size)

    def mix(layer: int, x: Source) -> Value:
        heads = layer_heads(building, layer)
        query, key, value, _ = projections(building, heads, x, style, style.turned(shape, layer))
        attended = uncached_attention(building, heads, local if shape.is_local(layer) else wide, query, key, value)
        return make(building.row * shape.n_embd, attended)

    return mix


def bert(building: Building, style: Style) -> None:
    """BERT and its kin, which normalize after each half of a layer."""
    shape = building.shape
    x: Source = embeddings(building)
    if style.learned_positions:
        x = alter(Value(x.bytes, (building.positions,), on_host=True), x)
    x = normalized(x, "layer")
    mix = bidirectional_mixer(building, style)
    kinds = [(shape.has_experts(layer), shape.ff(layer)) for layer in range(shape.n_layers)]
    for layer in building.layers(kinds):
        attended: Source = mix(layer, x)
        row = building.row
        if layer == shape.n_layers - 1:
            row = building.output_row
            attended, x = building.select(attended), building.select(x)
        middle = normalized(alter(attended, x), "layer")
        if shape.experts is not None and shape.has_experts(layer):
            hidden = mixture(building, middle, row, shape.experts, style.routing)
        else:
            hidden = dense(middle, row, shape.ff(layer), shape.n_embd, style.gate)
        x = normalized(alter(hidden, middle), "layer")
    building.tape.keep(x)
    building.tape.expand(x)
    pooled(building, x)


def embedding_of(building: Building, x: Source, norm: str = "rms") -> None:
    """The last normalization and the mean."""
    hidden = normalized(x, norm)
    building.tape.keep(hidden)
    building.tape.expand(hidden)
    pooled(building, hidden)


def pooled(building: Building, x: Source) -> None:
    """The mean over each sequence."""
    batch = building.batch
    weights = given(building.row * batch.sequences)
    means = make(x.bytes // batch.outputs * batch.sequences, make(x.bytes, x), weights)
    building.tape.keep(means)
    building.tape.expand(means)
