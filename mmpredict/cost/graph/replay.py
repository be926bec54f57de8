"""The replay of a graph by ggml's graph allocator: how large the buffers have to be.

Inputs get their memory before anything is computed; an operation gets its own when its turn comes, or that of a source that
nobody else will read; memory is given back after the last reader. Sources: ggml ``ggml/src/ggml-alloc.c``
(``ggml_gallocr_alloc_graph_impl``) and ``ggml-backend.cpp`` (``ggml_backend_sched_split_graph``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mmpredict.cost.graph.allocator import Allocator
from mmpredict.cost.graph.tape import Source, Tape, Value

HOST_ALIGNMENT_BYTES = 32  # TENSOR_ALIGNMENT, ggml/src/ggml-impl.h
DEVICE_ALIGNMENT_BYTES = 128  # ggml_backend_cuda_buffer_type_get_alignment, ggml/src/ggml-cuda/ggml-cuda.cu

State = tuple[object, object]
Watch = Callable[[Value, bool], None]


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay found.

    Attributes:
        host_bytes, device_bytes: sizes of the buffers [bytes].
        steady: whether memory looked the same wherever layers were left out, so that the sizes are those of the whole graph.
    """

    host_bytes: int
    device_bytes: int
    steady: bool


def replay(tape: Tape, watch: Watch | None = None) -> Replay:
    """Replay a graph that one backend computes.

    Args:
        tape: the graph.
        watch: called with every tensor that gets memory (true) or gives it back (false).
    """
    allocator = Allocator(HOST_ALIGNMENT_BYTES)
    states = _replay(tape, tape.nodes, (allocator, allocator), watch)
    return Replay(allocator.peak_bytes, 0, _steady(tape, states))


def replay_split(tape: Tape, watch: Watch | None = None) -> Replay:
    """Replay a graph of which a device computes all but what stays on the host.

    The tape is changed: operations of the device now read copies of what the host has.
    """
    nodes = _split(tape.nodes)
    for value in tape.inputs:
        value.on_host = True
    host, device = Allocator(HOST_ALIGNMENT_BYTES), Allocator(DEVICE_ALIGNMENT_BYTES)
    states = _replay(tape, nodes, (device, host), watch)
    return Replay(host.peak_bytes, device.peak_bytes, _steady(tape, states))


def _replay(tape: Tape, nodes: list[Value], allocators: tuple[Allocator, Allocator], watch: Watch | None) -> list[State]:
    """Replay, and return what was free at every mark of the tape."""
    for value in nodes:
        for source in value.sources:
            source.home.readers += 1
    for value in tape.inputs:
        value.place = allocators[value.on_host].take(value.bytes)
        value.live = True
        if watch:
            watch(value, True)
    states: list[State] = []
    marks = iter(tape.marks)
    mark = next(marks, None)
    for value in nodes:
        if value.bytes:
            if not (value.in_place and _take_over(value)):
                value.place = allocators[value.on_host].take(value.bytes)
            value.live = True
            if watch:
                watch(value, True)
        for source in value.sources:
            home = source.home
            home.readers -= 1
            if not home.readers and home.live and not home.kept:
                home.live = False
                allocators[home.on_host].give(home.place, home.bytes)
                if watch:
                    watch(home, False)
        while value is mark:
            states.append((allocators[0].free_blocks, allocators[1].free_blocks))
            mark = next(marks, None)
    return states


def _steady(tape: Tape, states: list[State]) -> bool:
    return all(states[entry] in (states[entry - period], states[entry - 2 * period]) for entry, period in tape.cuts)


def _take_over(value: Value) -> bool:
    """Give an operation the memory of a source that nobody else reads."""
    for source in value.sources:
        home = source.home
        if source is home and home.readers == 1 and home.bytes == value.bytes and home.live and not home.kept:
            value.place = home.place
            home.live = False
            return True
    return False


def _split(nodes: list[Value]) -> list[Value]:
    """The nodes of both backends in order, with a copy of every tensor of the host that the device reads ahead of its first use.

    What comes before the last operation of the host is not worth a change of backends.
    """
    result: list[Value] = []
    part: list[Value] = []
    copies: list[Value] = []
    for value in nodes[: max((index for index, value in enumerate(nodes) if value.on_host), default=0)]:
        value.on_host = True
    for value in nodes:
        if part and part[-1].on_host != value.on_host:
            result += copies + part
            part, copies = [], []
        value.sources = tuple([_reachable(source, value.on_host, copies) for source in value.sources])
        part.append(value)
    return result + copies + part


def _reachable(source: Source, on_host: bool, copies: list[Value]) -> Source:
    home = source.home
    if (home.on_host or home.is_input) == on_host:
        return source
    if source.copy is None:
        reader = Value(0, (source,), on_host=not on_host)  # keeps the source until it is copied
        source.copy = Value(source.bytes, (), on_host=on_host)
        copies += (reader, source.copy)
    return source.copy
