"""How llama.cpp divides a batch into passes where each slot has its own part of the cache (``llama-batch.cpp``, 0c1e57098)."""

from __future__ import annotations

from collections.abc import Mapping


def neighbouring_passes(tokens: Mapping[int, int], ubatch_tokens: int) -> list[int]:
    """Tokens of each pass of a batch: equally many of each of several neighbouring slots (``split_equal``, sequential).

    Args:
        tokens: slot → its tokens in the batch, at least 1 each [tokens].
        ubatch_tokens: largest physical batch [tokens].
    """
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
