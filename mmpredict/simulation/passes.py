"""How llama.cpp divides a batch into passes through the model (``llama-batch.cpp``, ``llama-kv-cache*.cpp``, commit 0c1e57098)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from mmpredict.models.shape import Shape

Split = Literal["simple", "equal", "sequential"]
"""*simple*: cut where a pass is full; *equal*: equally many tokens of several sequences; *sequential*: of neighbours only."""


def split_of(shape: Shape, unified: bool) -> Split:
    """How the batches of a model are divided; ``unified``: its sequences share one cache."""
    if shape.recurrent is None:
        return "simple" if unified else "sequential"
    hybrid = not all(shape.is_recurrent(layer) for layer in range(shape.n_layers - shape.n_draft_layers))
    return "equal" if hybrid and unified else "sequential"


def equal_passes(tokens: Mapping[int, int], ubatch_tokens: int, sequential: bool) -> list[int]:
    """Tokens of each pass of a batch that holds equally many tokens of each of several sequences.

    Args:
        tokens: slot → its tokens in the batch, at least 1 each, in the order of the batch [tokens].
        ubatch_tokens: largest physical batch [tokens].
        sequential: whether a pass takes a slot only after its left neighbour.
    """
    left = dict(tokens)
    passes: list[int] = []
    while left:
        group: list[int] = []
        for slot in left:
            if len(group) < ubatch_tokens and (not sequential or not group or slot == group[-1] + 1):
                group.append(slot)
        each = min(min(left[slot] for slot in group), max(1, ubatch_tokens // len(group)))
        passes.append(each * len(group))
        for slot in group:
            left[slot] -= each
            if not left[slot]:
                del left[slot]
    return passes
