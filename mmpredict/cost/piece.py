"""Pieces of prompts, and what consecutive tokens of a sequence see."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PromptPiece:
    """Consecutive tokens of one prompt.

    Attributes:
        start: tokens of the prompt evaluated before [tokens].
        tokens: length of the piece [tokens].
        last: whether the prompt ends with it, so that its first output token is sampled.
    """

    start: int
    tokens: int
    last: bool


def cells_seen(first: float, tokens: float, limit: float = math.inf) -> float:
    """Cells that consecutive tokens of one sequence see, Σ_{j=1..tokens} min(first + j, limit) [tokens]."""
    growing = min(tokens, max(0.0, limit - first))
    rest = tokens - growing
    return growing * first + growing * (growing + 1) / 2 + (rest * limit if rest else 0.0)
