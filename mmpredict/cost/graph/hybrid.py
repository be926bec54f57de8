"""Decoders in which some layers keep a state, others keys and values.

Sources: llama.cpp ``src/models/nemotron-h.cpp``, ``granite-hybrid.cpp``, ``qwen3next.cpp``, ``qwen35.cpp``, ``qwen35moe.cpp`` and
``lfm2.cpp``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mmpredict.cost.graph.building import Building, alter, make
from mmpredict.cost.graph.decoder import Mixer, Style, attention_mixer, feed_forward
from mmpredict.cost.graph.ends import embeddings, logits, normalized
from mmpredict.cost.graph.feed_forward import Routing, dense, mixture
from mmpredict.cost.graph.recurrent import States, mamba2, open_states
from mmpredict.cost.graph.tape import Source, Value
from mmpredict.models.shape import Recurrent, Shape

NEMOTRON_H = Style(turns="none", gate="none", routing=Routing(normalized=True, biased=True, gate="none"))
GRANITE = Style(routing=Routing(normalized=True))
GRANITE_RECURRENT = replace(GRANITE, turns="none")
QWEN_LINEAR = Style(head_norm="rms", gated_heads=True, routing=Routing(normalized=True), shared_gate="sigmoid")
LFM2 = Style(head_norm="rms", onto_residual="both", routing=Routing(normalized=True, biased=True))

StateMixer = Callable[[Building, States, Recurrent, Source], Source]


def hybrid_mixer(building: Building, attend: Mixer, keep_state: StateMixer) -> Mixer:
    """Attention in some layers, a state in the others."""
    sizes = building.shape.recurrent
    assert sizes is not None, "asked of models with recurrent layers only"
    states = open_states(building)

    def mix(layer: int, x: Source) -> Source:
        return keep_state(building, states, sizes, x) if sizes.layers[layer] else attend(layer, x)

    return mix


def alternating(building: Building, style: Style) -> None:
    """Nemotron-H: every block is a Mamba 2 mixer, or attention, or a feed-forward, with one residual connection."""
    shape = building.shape
    x: Value = embeddings(building)
    attend = attention_mixer(building, style)
    states = open_states(building)
    last = shape.n_layers - shape.n_draft_layers - 1
    for layer in building.layers([_kind(shape, layer) for layer in range(last + 1)]):
        result: Source = _block(building, style, states, attend, layer, normalized(x))
        x = alter(building.select(result), building.select(x)) if layer == last else alter(result, x)
    logits(building, x)


def _kind(shape: Shape, layer: int) -> tuple[object, ...]:
    return shape.is_recurrent(layer), shape.has_experts(layer), shape.ff(layer), shape.heads(layer), shape.kv_heads(layer)


def _block(building: Building, style: Style, states: States, attend: Mixer, layer: int, x: Value) -> Source:
    shape, row = building.shape, building.row
    if shape.recurrent is not None and shape.is_recurrent(layer):
        return mamba2(building, states, shape.recurrent, x)
    experts = shape.experts
    if experts is not None and shape.has_experts(layer):
        source = make(row * experts.latent, x) if experts.latent else x
        result = mixture(building, source, row, experts, style.routing, make(row * experts.total, x))
        if experts.latent:
            result = make(row * shape.n_embd, result)
        return alter(result, dense(x, row, experts.n_ff_shared, shape.n_embd, style.gate)) if experts.n_ff_shared else result
    if shape.ff(layer):
        return feed_forward(building, style, layer, x, row)
    return attend(layer, x)
