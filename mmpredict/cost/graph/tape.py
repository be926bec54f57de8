"""A graph of tensor operations, reduced to what decides over memory.

Of an operation only this matters: how many bytes it writes, which tensors it reads, and whether it may overwrite one of them.
Weights and the cache lie in buffers of their own and do not appear. A view of a tensor costs nothing, but what is reached
through a view is never overwritten. An operation that only changes a tensor in place, such as adding a bias to the result of a
multiplication, leaves no trace and may be left out.

Source: ggml ``ggml/src/ggml.c`` (``ggml_build_forward_expand``).
"""

from __future__ import annotations


class Source:
    """What an operation can read: a tensor or a view of one.

    Attributes:
        bytes: its size [bytes].
        home: the tensor whose memory it is.
        maker: the operation that has to be done before it can be read.
        copy: its copy on the device, once there is one.
    """

    __slots__ = ("bytes", "copy", "home", "maker")

    bytes: int
    home: Value
    maker: Value
    copy: Value | None


class Value(Source):
    """A tensor in the compute buffer, and the operation that writes it.

    Attributes:
        sources: what it is computed from.
        is_input: whether it is filled before the graph is computed.
        in_place: whether it may take the place of a source of its size.
        on_host: whether the host computes it even if all layers are on a device.
        kept: whether it is a result, so that its memory is never used again.
        scratch: room that a device wants beside it while computing it [bytes].
        live, place, readers, seen: working notes of the tape and of the replay.
    """

    __slots__ = ("in_place", "is_input", "kept", "live", "on_host", "place", "readers", "scratch", "seen", "sources")

    def __init__(self, size_bytes: int, sources: tuple[Source, ...] | None, in_place: bool = False, on_host: bool = False) -> None:
        self.bytes = size_bytes
        self.sources = sources or ()
        self.is_input = sources is None
        self.in_place = in_place
        self.on_host = on_host
        self.home = self
        self.maker = self
        self.copy = None
        self.kept = False
        self.seen = False
        self.live = False
        self.readers = 0
        self.scratch = 0
        self.place = 0


class View(Source):
    """Another look at the memory of a tensor: reshaped, permuted, a part of it, or what an operation has written into it."""

    __slots__ = ()

    def __init__(self, of: Source, size_bytes: int = -1, maker: Value | None = None) -> None:
        self.bytes = of.bytes if size_bytes < 0 else size_bytes
        self.home = of.home
        self.maker = of.maker if maker is None else maker
        self.copy = None


class Tape:
    """Operations in the order in which they are done.

    Attributes:
        inputs: tensors that are filled before the graph is computed, in the order in which they are met.
        nodes: operations.
        marks: the last operation before each layer.
        cuts: at which marks memory must look as so many marks earlier (:class:`mmpredict.cost.graph.layers.Selection`).
    """

    __slots__ = ("cuts", "inputs", "marks", "nodes")

    def __init__(self) -> None:
        self.inputs: list[Value] = []
        self.nodes: list[Value] = []
        self.marks: list[Value] = []
        self.cuts: tuple[tuple[int, int], ...] = ()

    def expand(self, *results: Source) -> None:
        """Add what each result needs and is not there yet, depth first, then the result itself."""
        for result in results:
            if not result.maker.seen:
                self._visit(result.maker)

    def mark(self) -> None:
        """Note that a layer begins."""
        self.marks.append(self.nodes[-1])

    def keep(self, result: Source) -> None:
        """Mark a tensor that is read after the graph has been computed."""
        result.home.kept = True

    def _visit(self, value: Value) -> None:
        value.seen = True
        if value.is_input:
            self.inputs.append(value)
            return
        for source in value.sources:
            maker = source.maker
            if not maker.seen:
                self._visit(maker)
        self.nodes.append(value)
