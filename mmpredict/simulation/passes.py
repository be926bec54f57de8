"""How llama.cpp divides a batch into passes through the model (``llama-batch.cpp``, commit 0c1e57098)."""

from __future__ import annotations

from collections.abc import Mapping

from mmpredict.cost.prices import plain_passes


def batch_passes(tokens: Mapping[int, int], ubatch_tokens: int, unified: bool) -> list[int]:
    """Tokens of each pass of a batch.

    With one cache for all sequences a batch is cut where a physical batch is full (``split_simple``). Where each slot has its own
    part, a pass holds equally many tokens of each of several neighbouring slots (``split_equal``, sequential).

    Args:
        tokens: slot → its tokens in the batch, at least 1 each [tokens].
        ubatch_tokens: largest physical batch [tokens].
        unified: whether the slots share one cache.
    """
    if unified or len(tokens) == 1:
        return plain_passes(sum(tokens.values()), ubatch_tokens)
    left = dict(sorted(tokens.items()))
    passes: list[int] = []
    while left:
        group: list[int] = []
        for slot in left:
            if group and (slot != group[-1] + 1 or len(group) >= ubatch_tokens):
                break
            group.append(slot)
        each = min(min(left[slot] for slot in group), max(1, ubatch_tokens // len(group)))
        passes.append(each * len(group))
        for slot in group:
            left[slot] -= each
            if not left[slot]:
                del left[slot]
    return passes
