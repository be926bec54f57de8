"""What attention reads and multiplies, layers that are alike taken together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from mmpredict.cost.piece import cells_seen
from mmpredict.models.cache import WITHOUT_CACHE
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.models.shape import Shape


@dataclass(frozen=True, slots=True)
class AttentionLayers:
    """Layers whose attention is the same.

    Attributes:
        count: how many [1].
        heads, kv_heads: of queries, of keys and values [1].
        key_dim, value_dim: width of a head; of latent attention, of the compressed vector [1].
        limit: how far they see [tokens]; infinite without a window.
        latent: whether values are a part of the cached keys.
    """

    count: int
    heads: int
    kv_heads: int
    key_dim: int
    value_dim: int
    limit: float
    latent: bool

    def cell_bytes(self, key_type: str, value_type: str) -> float:
        """What one cell of all these layers takes in the cache [bytes]."""
        keys = self.kv_heads * self.key_dim * weight_type(key_type).bits_per_weight / 8
        values = 0.0 if self.latent else self.kv_heads * self.value_dim * weight_type(value_type).bits_per_weight / 8
        return self.count * (keys + values)

    @property
    def cell_macs(self) -> float:
        """Multiply-accumulates of one query token with one cell, all these layers [1]."""
        return float(self.count * self.heads * (self.key_dim + self.value_dim))

    def cells(self, first: float, tokens: float) -> float:
        """Cells that consecutive tokens of one sequence see, summed over the tokens: Σ_{j=1..tokens} min(first + j, limit)."""
        return cells_seen(first, tokens, self.limit)


@lru_cache(1024)
def attention_layers(shape: Shape) -> tuple[AttentionLayers, ...]:
    """The attention of a model; layers without it (recurrent, feed-forward alone) do not appear."""
    counts: dict[tuple[int, int, int, int, float, bool], int] = {}
    for layer in range(shape.n_layers - shape.n_draft_layers):
        if shape.is_recurrent(layer) or not shape.kv_heads(layer):
            continue
        key = (shape.heads(layer), shape.kv_heads(layer), shape.key_dim, shape.value_dim, math.inf, False)
        if shape.latent is not None:
            rank = shape.latent.kv_rank
            key = (shape.heads(layer), 1, rank + shape.latent.rope_dim, rank, math.inf, True)
        elif shape.window is not None and shape.is_local(layer):
            widths = (shape.window.key_dim or shape.key_dim, shape.window.value_dim or shape.value_dim)
            key = (shape.heads(layer), shape.kv_heads(layer), *widths, float(shape.window.tokens), False)
        counts[key] = counts.get(key, 0) + 1
    return tuple(AttentionLayers(count, *key) for key, count in counts.items())


def is_cached(shape: Shape) -> bool:
    """Whether tokens are evaluated one after another with a cache; encoders see all tokens of a text at once."""
    return shape.architecture not in WITHOUT_CACHE


def state_bytes(shape: Shape) -> float:
    """States of recurrent layers that a token of one sequence reads and writes, each once [bytes]."""
    if shape.recurrent is None:
        return 0.0
    one = shape.recurrent
    layers = sum(shape.is_recurrent(layer) for layer in range(shape.n_layers - shape.n_draft_layers))
    return 4.0 * layers * (one.inner * one.state + max(0, one.conv - 1) * (one.inner + 2 * one.groups * one.state))
