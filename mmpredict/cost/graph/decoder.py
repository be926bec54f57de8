"""Decoders of one pattern: a mixer of tokens and a feed-forward, each with a residual connection, in many variations.

Source: llama.cpp ``src/models/*.cpp``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mmpredict.cost.graph.attention import Heads, cached_attention, layer_heads, open_cache
from mmpredict.cost.graph.building import Building, alter, make, part
from mmpredict.cost.graph.ends import embeddings, logits, normalized
from mmpredict.cost.graph.feed_forward import PLAIN, Gate, Routing, dense, mixture
from mmpredict.cost.graph.tape import Source, Value, View
from mmpredict.models.shape import Shape

SumOrder = Literal["hidden residual attended", "hidden attended residual", "attended hidden residual"]
Norm = Literal["rms", "layer", "none"]
Mixer = Callable[[int, Source], Source]
Ending = Callable[[Building, Source, str], None]


@dataclass(frozen=True, slots=True)
class Style:
    """In what a decoder differs from others, as far as memory is concerned.

    Attributes:
        norm: kind of normalization.
        before: whether attention and feed-forward get normalized input.
        fused: whether one matrix makes queries, keys and values.
        head_norm: normalization of every head of queries and keys.
        turns: which layers rotate queries and keys: all, local ones, none, or all but every fourth.
        gated_heads: whether every query head comes with a gate for its result.
        query_scaled: whether queries that are not rotated are multiplied by a factor per token.
        positions: position numbers per token [1].
        learned_positions: whether positions have a table of embeddings.
        gate: see :func:`mmpredict.cost.graph.feed_forward.dense`.
        parallel: whether attention and feed-forward read the same input: the normalized one, or normalized each for itself.
        sum_order: in which order results are added then; the first of them is overwritten.
        onto_residual: after which part of a layer the residual is overwritten, not what is added to it.
        routing: how tokens are sent to experts.
        shared_gate: how the shared expert's result is weighted: not at all, by a sigmoid, or by one that is put together.
        scaled_rows: whether each token's embedding has a factor of its own.
        deepstack: embeddings that ready ones have besides the first, each added to the result of a layer [1].
        hidden_kept: whether the last layer's result is read later, too.
    """

    norm: Norm = "rms"
    before: bool = True
    fused: bool = False
    head_norm: Norm = "none"
    turns: Literal["all", "local", "none", "not every fourth"] = "all"
    gated_heads: bool = False
    query_scaled: bool = False
    positions: int = 1
    learned_positions: bool = False
    gate: Gate = "own"
    parallel: Literal["no", "same norm", "own norm"] = "no"
    sum_order: SumOrder = "hidden residual attended"
    onto_residual: Literal["", "attention", "feed-forward", "both"] = ""
    routing: Routing = PLAIN
    shared_gate: Literal["", "sigmoid", "silu"] = ""
    scaled_rows: bool = False
    deepstack: int = 0
    hidden_kept: bool = False

    def turned(self, shape: Shape, layer: int) -> bool:
        """Whether a layer rotates queries and keys."""
        if self.turns == "local":
            return shape.window is None or shape.is_local(layer)
        return self.turns == "all" or (self.turns == "not every fourth" and (layer + 1) % 4 != 0)


def decoder(building: Building, style: Style, mixer: Mixer | None = None, ending: Ending = logits) -> None:
    """Build the graph of a decoder.

    Args:
        building: an empty graph.
        style: its details.
        mixer: what mixes the tokens of a layer; attention by default.
        ending: what follows the last layer.
    """
    shape = building.shape
    x: Source = embeddings(building, style.scaled_rows, 1 + style.deepstack)
    if style.learned_positions:
        x = alter(x, Value(x.bytes, (building.positions,), on_host=True))
    ready = x
    if style.deepstack:
        x = View(x, building.row * shape.n_embd)
    mix = mixer or attention_mixer(building, style)
    last = shape.n_layers - shape.n_draft_layers - 1
    kinds = [_kind(shape, style, layer) for layer in range(last + 1)]
    for layer in building.layers(kinds):
        x = _layer(building, style, layer, mix, x, layer == last)
        if layer < style.deepstack:
            x = alter(x, View(ready, x.bytes))
    if style.hidden_kept:
        building.tape.keep(x)
    ending(building, x, style.norm)


def attention_mixer(building: Building, style: Style) -> Mixer:
    """Attention in every layer, each over the cache that it belongs to."""
    shape = building.shape
    wide = open_cache(building)
    local = open_cache(building, local=True) if shape.window else wide

    def mix(layer: int, x: Source) -> Value:
        heads = layer_heads(building, layer)
        if style.gated_heads:
            building.tape.expand(x)
        query, key, value, gate = projections(building, heads, x, style, style.turned(shape, layer))
        mixed = cached_attention(building, local if shape.is_local(layer) else wide, heads, query, key, value)
        if gate is not None:
            mixed = alter(mixed, make(gate.bytes, gate))
        return make(building.row * shape.n_embd, mixed)

    return mix


def projections(
    building: Building, heads: Heads, x: Source, style: Style, turned: bool
) -> tuple[Source, Source, Source, Source | None]:
    """Queries, keys, values, and gates of the queries where there are some."""
    row = building.row
    query: Source
    key: Source
    gate: Source | None = None
    if style.fused:
        width = heads.query_width + heads.key_width + heads.value_width
        both = make(row * width, x)
        query, key = part(both, heads.query_width, width), part(both, heads.key_width, width)
        value = part(both, heads.value_width, width)
    else:
        query, key = View(make(row * heads.query_width, x)), View(make(row * heads.key_width, x))
        value = View(make(row * heads.value_width, x))
    if style.gated_heads:
        both = make(2 * row * heads.query_width, x)
        query, gate = part(both, 1, 2), part(both, 1, 2)
    if style.head_norm != "none":
        query, key = normalized(query, style.head_norm), normalized(key, style.head_norm)
    if turned:
        query, key = alter(query, building.positions), alter(key, building.positions)
    elif style.query_scaled:
        query = alter(query, building.token_factors)
    return query, key, value, gate


def _kind(shape: Shape, style: Style, layer: int) -> tuple[object, ...]:
    attention = (shape.heads(layer), shape.kv_heads(layer), shape.is_local(layer), style.turned(shape, layer))
    return (*attention, shape.is_recurrent(layer), shape.has_experts(layer), shape.ff(layer), layer < style.deepstack)


def _layer(building: Building, style: Style, layer: int, mix: Mixer, x: Source, is_last: bool) -> Source:
    residual: Source = x
    inner = normalized(x, style.norm) if style.before else x
    attended: Source = mix(layer, inner)
    row = building.row
    if is_last:
        row = building.output_row
        attended, residual = building.select(attended), building.select(residual)
        if style.parallel == "same norm":
            inner = building.select(inner)
    if style.parallel == "no":
        middle = alter(residual, attended) if style.onto_residual in ("attention", "both") else alter(attended, residual)
        hidden = feed_forward(building, style, layer, normalized(middle, style.norm) if style.before else middle, row)
        return alter(middle, hidden) if style.onto_residual in ("feed-forward", "both") else alter(hidden, middle)
    own = inner if style.parallel == "same norm" else normalized(residual, style.norm)
    results = {"hidden": feed_forward(building, style, layer, own, row), "residual": residual, "attended": attended}
    first, second, third = (results[name] for name in style.sum_order.split())
    return alter(alter(first, second), third)


def feed_forward(building: Building, style: Style, layer: int, x: Source, row: int) -> Value:
    """The feed-forward of a layer, dense or of experts, with what all tokens pass besides."""
    shape = building.shape
    experts = shape.experts
    if experts is None or not shape.has_experts(layer):
        return dense(x, row, shape.ff(layer), shape.n_embd, style.gate)
    result = mixture(building, x, row, experts, style.routing)
    if not experts.n_ff_shared:
        return result
    shared = dense(x, row, experts.n_ff_shared, shape.n_embd, style.gate)
    if style.shared_gate:
        weight = make(row, x)
        shared = alter(shared, alter(alter(weight), weight) if style.shared_gate == "silu" else weight)
    return alter(result, shared)
