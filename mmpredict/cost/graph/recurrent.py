"""Layers that keep a state instead of keys and values: Mamba 2, gated delta nets, short convolutions.

Sources: llama.cpp ``src/llama-graph.cpp`` (``build_rs``), ``src/models/mamba-base.cpp``, ``delta-net-base.cpp``, ``qwen35.cpp``,
``qwen3next.cpp`` and ``lfm2.cpp``.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmpredict.cost.graph.building import FLOAT_BYTES, INDEX_BYTES, Building, alter, given, make, part, store
from mmpredict.cost.graph.tape import Source, Value, View
from mmpredict.models.shape import Recurrent


@dataclass(frozen=True, slots=True)
class States:
    """Which state belongs to which sequence.

    Attributes:
        slots: states there are [1].
        rows: an input with the numbers of the states; ``of_batch`` and ``of_others`` are views of it.
    """

    slots: int
    rows: Value
    of_batch: View
    of_others: View


def open_states(building: Building) -> States:
    """The input that all recurrent layers share."""
    slots = building.batch.sequences
    rows = given(INDEX_BYTES * slots)
    return States(slots, rows, View(rows), View(rows, INDEX_BYTES * (slots - 1)))


def _recall(building: Building, states: States, width: int) -> View:
    """Copies of the states of all sequences; what other sequences keep is written back."""
    copies = make(FLOAT_BYTES * width * states.slots, states.rows)
    building.tape.expand(copies, store(View(copies)))
    return View(copies)


def _convolved(building: Building, states: States, conv: int, channels: int, x: Source) -> Value:
    """New tokens behind the last ones of their sequence, of which the newest are then remembered."""
    before = _recall(building, states, (conv - 1) * channels)
    joined = make(FLOAT_BYTES * channels * (building.batch.tokens + (conv - 1) * states.slots), before, x)
    building.tape.expand(store(View(joined)))
    return joined


def mamba2(building: Building, states: States, sizes: Recurrent, x: Source) -> Value:
    """A Mamba 2 mixer."""
    tape, row = building.tape, building.row
    channels = sizes.inner + 2 * sizes.groups * sizes.state
    width = sizes.inner + channels + sizes.heads
    projected = make(row * width, x)
    gate, mixed, steps = part(projected, sizes.inner, width), part(projected, channels, width), part(projected, sizes.heads, width)
    joined = _convolved(building, states, sizes.conv, channels, mixed)
    mixed_now = make(row * channels, joined)
    inner, key = part(mixed_now, sizes.inner, channels), part(mixed_now, sizes.groups * sizes.state, channels)
    state_bytes = FLOAT_BYTES * sizes.state * sizes.inner
    size = row * sizes.inner + state_bytes * states.slots
    scan = make(size, inner, make(row * sizes.heads, steps), key, View(key), states.of_batch)
    others = make(state_bytes * (states.slots - 1), states.of_others)
    tape.expand(scan, store(View(others)), store(View(scan)))
    result = alter(View(scan, row * sizes.inner), make(row * sizes.inner, inner))
    result = make(row * sizes.inner, make(row * sizes.inner, gate), result)
    return make(row * building.shape.n_embd, alter(View(result)))


def delta_net_joint(building: Building, states: States, sizes: Recurrent, x: Source) -> Source:
    """A gated delta net of which one matrix makes both factors per head (Qwen 3 Next)."""
    return delta_net(building, states, sizes, x, joint_factors=True)


def delta_net(building: Building, states: States, sizes: Recurrent, x: Source, joint_factors: bool = False) -> Source:
    """A gated delta net."""
    tape, row = building.tape, building.row
    key_width = sizes.groups * sizes.state
    channels = sizes.inner + 2 * key_width
    tape.expand(x)
    mixed, gate = View(make(row * channels, x)), View(make(row * sizes.inner, x))
    if joint_factors:
        both = make(2 * row * sizes.heads, x)
        learning, decay = make(row * sizes.heads, part(both, 1, 2)), make(row * sizes.heads, part(both, 1, 2))
    else:
        learning = alter(View(make(row * sizes.heads, x)))
        decay = alter(View(make(row * sizes.heads, x)))
    joined = _convolved(building, states, sizes.conv, channels, mixed)
    state = _recall(building, states, sizes.state * sizes.inner)
    now = make(row * channels, joined)
    query, key = alter(part(now, key_width, channels)), alter(part(now, key_width, channels))
    if joint_factors and sizes.heads != sizes.groups:
        query, key = make(row * sizes.inner, View(query)), make(row * sizes.inner, View(key))
    size = row * sizes.inner + FLOAT_BYTES * sizes.state * sizes.inner * states.slots
    result = make(size, query, key, part(now, sizes.inner, channels), View(decay), View(learning), state)
    tape.expand(store(View(result)))
    output = alter(alter(View(result, row * sizes.inner)), alter(gate))
    return View(make(row * building.shape.n_embd, output))


def short_convolution(building: Building, states: States, sizes: Recurrent, x: Source) -> Source:
    """A gated convolution over a few tokens (LFM 2)."""
    row, width = building.row, building.shape.n_embd
    projected = make(3 * row * width, x)
    gate, left, right = part(projected, 1, 3), part(projected, 1, 3), part(projected, 1, 3)
    joined = _convolved(building, states, sizes.conv, width, View(alter(left, right)))
    return View(make(row * width, alter(gate, make(row * width, joined))))
