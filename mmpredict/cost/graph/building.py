"""A graph under construction: the tape, and what all blocks need to know.

Sizes are in bytes throughout: a block is told the bytes of one row of a 32-bit number per token (``row``) and multiplies it by
widths.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from mmpredict.cost.graph.batch import Batch
from mmpredict.cost.graph.layers import all_layers, select_layers
from mmpredict.cost.graph.tape import Source, Tape, Value, View
from mmpredict.models.shape import Shape

FLOAT_BYTES = 4
INDEX_BYTES = 4
LONG_INDEX_BYTES = 8
HALF_BYTES = 2


class Building:
    """A graph under construction.

    Attributes:
        tape: the operations so far.
        shape, batch: what the graph is built for.
        row: bytes of one number for every token of the batch [bytes].
        output_row: bytes of one number for every output [bytes].
        positions: the input with the tokens' positions.
        chosen: the input with the numbers of the outputs.
        token_factors: an input with one number per token.
        mixed_batches: whether the engine takes batches of tokens and ready embeddings together.
        whole: whether all layers are built, or only as many as decide over memory.
    """

    __slots__ = ("batch", "chosen", "mixed_batches", "output_row", "positions", "row", "shape", "tape", "token_factors", "whole")

    def __init__(
        self, shape: Shape, batch: Batch, positions_per_token: int = 1, mixed_batches: bool = True, whole: bool = False
    ) -> None:
        self.tape = Tape()
        self.whole = whole
        self.mixed_batches = mixed_batches
        self.shape = shape
        self.batch = batch
        self.row = FLOAT_BYTES * batch.tokens
        self.output_row = FLOAT_BYTES * batch.outputs
        self.positions = given(INDEX_BYTES * batch.tokens * positions_per_token)
        self.token_factors = given(self.row)
        self.chosen = given(INDEX_BYTES * batch.outputs)

    def layers(self, kinds: Sequence[Hashable]) -> Iterator[int]:
        """The layers to build, one after the other.

        Args:
            kinds: what distinguishes a layer from others, one per layer.
        """
        selection = all_layers(kinds) if self.whole else select_layers(kinds)
        self.tape.cuts = selection.cuts
        for layer in selection.layers:
            self.tape.mark()
            yield layer

    def select(self, value: Source) -> Value:
        """The rows of a tensor that belong to outputs."""
        return make(value.bytes // self.batch.tokens * self.batch.outputs, value, self.chosen)


def given(size_bytes: int) -> Value:
    """An input."""
    return Value(size_bytes, None)


def make(size_bytes: int, *sources: Source) -> Value:
    """An operation that needs memory of its own."""
    return Value(size_bytes, sources)


def alter(source: Source, *others: Source) -> Value:
    """An operation, element by element, that takes the place of its first or another source of its size where it may."""
    return Value(source.bytes, (source, *others), True)


def store(*sources: Source) -> Value:
    """An operation that writes into memory outside of the compute buffer."""
    return Value(0, sources)


def part(source: Source, numerator: int, denominator: int) -> View:
    """A view of a part of a tensor."""
    return View(source, source.bytes * numerator // max(1, denominator))
