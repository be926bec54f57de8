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
    buffer = _Buffer(HOST_ALIGNMENT_BYTES)
    states = _replay(tape, tape.nodes, (buffer, buffer), watch)
    return Replay(buffer.allocator.peak_bytes, 0, _steady(tape, states))


def replay_split(tape: Tape, watch: Watch | None = None) -> Replay:
    """Replay a graph of which a device computes all but what stays on the host.

    The tape is changed: operations of the device now read copies of what the host has.
    """
    nodes = _split(tape.nodes)
    for value in tape.inputs:
        value.on_host = True
    host, device = _Buffer(HOST_ALIGNMENT_BYTES), _Buffer(DEVICE_ALIGNMENT_BYTES, scratch=True)
    states = _replay(tape, nodes, (device, host), watch)
    return Replay(host.allocator.peak_bytes, device.allocator.peak_bytes, _steady(tape, states))


class _Buffer:
    """A buffer, and what is in it: start and size of every tensor, the oldest first [bytes]."""

    __slots__ = ("allocator", "live", "scratch")

    def __init__(self, alignment_bytes: int, scratch: bool = False) -> None:
        self.allocator = Allocator(alignment_bytes)
        self.scratch = scratch  # whether operations get room beside their results
        self.live: dict[int, int] = {}


def _replay(tape: Tape, nodes: list[Value], buffers: tuple[_Buffer, _Buffer], watch: Watch | None) -> list[State]:
    """Replay, and return what the buffers held at every mark of the tape."""
    for value in nodes:
        for source in value.sources:
            source.home.readers += 1
    for value in tape.inputs:
        if value.bytes:
            _place(value, buffers[value.on_host], watch)
    states: list[State] = []
    marks = iter(tape.marks if tape.cuts else ())
    mark = next(marks, None)
    for value in nodes:
        if value.bytes:
            _place(value, buffers[value.on_host], watch)
        for source in value.sources:
            home = source.home
            home.readers -= 1
            if not home.readers and home.live and not home.kept:
                home.live = False
                buffer = buffers[home.on_host]
                buffer.allocator.give(home.place, buffer.live.pop(home.place))
                if watch:
                    watch(home, False)
        while value is mark:
            states.append((tuple(buffers[0].live.items()), tuple(buffers[1].live.items())))
            mark = next(marks, None)
    return states


def _steady(tape: Tape, states: list[State]) -> bool:
    """Whether memory looked the same, the roles of all tensors included, wherever layers were left out."""
    return all(states[entry] in (states[entry - period], states[entry - 2 * period]) for entry, period in tape.cuts)


def _place(value: Value, buffer: _Buffer, watch: Watch | None) -> None:
    size = value.bytes + value.scratch if buffer.scratch else value.bytes
    if value.in_place and _take_over(value):
        size = buffer.live.pop(value.place)
    else:
        value.place = buffer.allocator.take(size)
    buffer.live[value.place] = size
    value.live = True
    if watch:
        watch(value, True)


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
