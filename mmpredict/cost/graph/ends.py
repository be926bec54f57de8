"""Both ends of a graph: token embeddings, and logits.

Source: llama.cpp ``src/llama-graph.cpp`` (``build_inp_embd``) and the ends of ``src/models/*.cpp``.
"""

from __future__ import annotations

from mmpredict.cost.graph.building import INDEX_BYTES, LONG_INDEX_BYTES, Building, alter, given, make
from mmpredict.cost.graph.tape import Source, Value


def embeddings(building: Building, scaled_rows: bool = False, copies: int = 1) -> Value:
    """Rows of the embedding table.

    A batch may also hold ready embeddings (of an image, say), or both; memory for these is reserved, never used by a batch of
    tokens, and not given back.

    Args:
        building: the graph.
        scaled_rows: whether each row has a factor of its own.
        copies: how often ready embeddings are as wide as those of tokens.
    """
    tape, batch = building.tape, building.batch
    size = building.row * building.shape.n_embd
    wide = size * copies
    rows = Value(size, (given(INDEX_BYTES * batch.tokens),), on_host=True)
    tape.expand(rows)
    if building.mixed_batches:
        mixed_rows = Value(size, (given(INDEX_BYTES * batch.tokens),), on_host=True)
        tape.expand(mixed_rows)
    result = make(wide, rows) if copies > 1 else rows
    tape.expand(result, given(wide))
    if building.mixed_batches:
        source = make(wide, mixed_rows) if copies > 1 else mixed_rows
        slots = given(LONG_INDEX_BYTES * batch.tokens)
        buffer = make(wide, given(wide))
        buffer.kept = True  # nobody reads it in a batch of tokens, so nobody gives it back
        tape.expand(Value(0, (source, slots, buffer)))
    if scaled_rows:
        result = alter(result, given(4 * batch.tokens))
    tape.expand(result)
    return result


def normalized(x: Source, kind: str = "rms") -> Value:
    """A normalization: of the root mean square, which may overwrite its input, or of the layer, which may not."""
    return alter(x) if kind == "rms" else make(x.bytes, x)


def logits(building: Building, x: Source, norm: str = "rms") -> None:
    """The last normalization and the output matrix; both results are read after the graph has been computed."""
    tape = building.tape
    hidden = normalized(x, norm)
    scores = make(building.output_row * building.shape.n_vocab, hidden)
    hidden.kept = scores.kept = True
    tape.expand(scores)
