"""Feed-forward networks, dense and as a mixture of experts.

Source: llama.cpp ``src/llama-graph.cpp`` (``build_ffn``, ``build_moe_ffn``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mmpredict.cost.graph.building import Building, alter, make, part
from mmpredict.cost.graph.tape import Source, Value, View
from mmpredict.models.shape import Experts

Gate = Literal["own", "joint", "none"]  # a matrix of its own, one matrix with the upward projection, no gate


def dense(x: Source, row: int, width: int, out_width: int, gate: Gate = "own") -> Value:
    """Up, activation, down.

    Args:
        x: input.
        row: bytes of one number per token [bytes].
        width, out_width: of the hidden layer and of the result [1].
        gate: where the activation's second factor comes from.
    """
    if gate == "joint":
        hidden = make(row * width, make(2 * row * width, x))
    elif gate == "own":
        up = make(row * width, x)
        hidden = make(row * width, make(row * width, x), up)
    else:
        hidden = make(row * width, x)
    return make(row * out_width, hidden)


@dataclass(frozen=True, slots=True)
class Routing:
    """How tokens are sent to experts.

    Attributes:
        normalized: whether the weights of the chosen experts are made to sum to 1.
        biased: whether experts are chosen by other scores than those they are weighted by.
        late: whether the softmax is taken over the chosen experts only.
        before: whether the input, not the result, is weighted (Llama 4).
        gate: see :func:`dense`.
        down_bias: whether the result of each expert gets a bias.
        groups: groups of which only some may be chosen from [1].
        groups_used: how many of them [1].
    """

    normalized: bool = False
    biased: bool = False
    late: bool = False
    before: bool = False
    gate: Gate = "own"
    down_bias: bool = False
    groups: int = 1
    groups_used: int = 1


PLAIN = Routing()


def mixture(building: Building, x: Source, row: int, experts: Experts, routing: Routing, logits: Value | None = None) -> Value:
    """A mixture of experts.

    Args:
        building: the graph.
        x: input.
        row: bytes of one number per token [bytes].
        experts: sizes.
        routing: how tokens are sent to experts.
        logits: scores of the experts, if they come from elsewhere.
    """
    tape, used = building.tape, experts.used
    scores = make(row * experts.total, x) if logits is None else logits
    chosen_by: Source = scores
    if routing.before:
        scores = alter(scores)
    elif routing.biased:
        chosen_by = alter(scores)
    if routing.groups > 1:
        chosen_by = _in_groups(chosen_by, row, experts.total, routing)
    chosen = part(make(row * experts.total, chosen_by), used, experts.total)
    weights: Source = make(row * used, View(scores), chosen)
    if routing.late:
        weights = View(alter(View(weights)))
    if routing.normalized:
        weights = View(alter(View(weights), make(row, View(weights))))
    tape.expand(weights)
    source: Source = View(x)
    if routing.before:
        source = alter(make(used * x.bytes, source), weights)
    width = row * used * experts.n_ff
    if routing.gate == "joint":
        both = make(2 * width, source, chosen)
        hidden: Value = make(width, part(both, 1, 2), part(both, 1, 2))
    elif routing.gate == "own":
        up = make(width, source, chosen)
        hidden = make(width, make(width, source, chosen), up)
    else:
        hidden = make(width, source, chosen)
    result = make(used * x.bytes, hidden, chosen)
    if routing.down_bias:
        result = alter(result, chosen)
    if not routing.before:
        result = alter(result, weights)
    tape.expand(result)
    total = make(x.bytes, View(result))
    tape.expand(total)
    return total


def _in_groups(scores: Source, row: int, total: int, routing: Routing) -> View:
    """Scores of which those outside of the best groups are struck out."""
    grouped = View(scores)
    best_two = part(make(row * total, grouped), 2 * routing.groups, total)
    sums = make(row * routing.groups, View(make(2 * row * routing.groups, View(grouped), best_two)))
    groups = part(make(row * routing.groups, View(sums)), routing.groups_used, routing.groups)
    kept = make(row * total * routing.groups_used // routing.groups, grouped, groups)
    blank = alter(grouped)
    written = Value(0, (kept, groups, blank))
    return View(blank, maker=written)
