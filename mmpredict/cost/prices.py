"""What the steps of one server cost alone on its machine, priced so that a stretch of equal steps has a closed form.

A server's step is one or more passes through the model, each of some tokens, and what attention sees besides::

    decode step   = Σ_passes decode_pass_s(tokens) + Σ_windows decode_cell_s · cells seen by the decoding sequences
    batch         = Σ_passes batch_pass_s(tokens, sampled) + begun · begun_s + Σ_pieces piece_s(start, tokens)
                    + Σ_windows batch_cell_s · cells seen by the decoding sequences
                    + rested_s(pause), if the server had nothing to do before

Pass prices depend on whole numbers alone and are remembered, so that a simulation looks up what it prices again and again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import repeat

from mmpredict.cost.piece import PromptPiece, cells_seen


class StepPrices(ABC):
    """Prices of one server's steps; subclasses know where they come from.

    Attributes:
        ubatch_tokens: largest physical batch, that is, tokens of a pass [tokens].
        begun_s: once per prompt [s].
        limits: windows of the model's attention, infinite for layers without one [tokens].
        masked_decode_s, masked_batch_s: per cell of other sequences in the same cache, which a token passes over without seeing it,
            in a decode step and in a batch [s].
        decode_cell_s, batch_cell_s: per cell that a decoding sequence sees, by window, in a decode step and in a batch [s].
        rests: lengths of pauses, rising, and what the first batch after each takes longer [s].
    """

    def __init__(self, ubatch_tokens: int) -> None:
        self.ubatch_tokens = ubatch_tokens
        self.begun_s = 0.0
        self.masked_decode_s = self.masked_batch_s = 0.0
        self.limits: tuple[float, ...] = ()
        self.decode_cell_s: tuple[float, ...] = ()
        self.batch_cell_s: tuple[float, ...] = ()
        self.rests: tuple[tuple[float, float], ...] = ()
        self._decode_pass_s: dict[int, float] = {}
        self._batch_pass_s: dict[tuple[int, int], float] = {}

    @abstractmethod
    def piece_s(self, start: int, tokens: int) -> float:
        """What attention of a piece of a prompt costs [s]; ``start`` tokens of the sequence are there before."""

    @abstractmethod
    def _price_decode_pass(self, sequences: int) -> float: ...

    @abstractmethod
    def _price_batch_pass(self, tokens: int, sampled: int) -> float: ...

    def decode_pass_s(self, sequences: int) -> float:
        """A pass of one token of each decoding sequence, without what attention sees [s]."""
        found = self._decode_pass_s.get(sequences)
        if found is None:
            found = self._decode_pass_s[sequences] = self._price_decode_pass(sequences)
        return found

    def batch_pass_s(self, tokens: int, sampled: int) -> float:
        """A pass that holds prompt tokens, without what attention sees; ``sampled`` tokens have their logits taken [s]."""
        found = self._batch_pass_s.get((tokens, sampled))
        if found is None:
            found = self._batch_pass_s[tokens, sampled] = self._price_batch_pass(tokens, sampled)
        return found

    def decode_s(self, depths: Sequence[float], steps: int) -> float:
        """``steps`` decode steps of sequences that begin at ``depths`` cells, one pass a step [s]."""
        if not steps:
            return 0.0
        seen_s = sum(
            price * cells_seen(depth, steps, limit)
            for limit, price in zip(self.limits, self.decode_cell_s, strict=True)
            for depth in depths
        )
        return steps * self.decode_pass_s(len(depths)) + seen_s

    def batch_s(self, depths: Sequence[float], pieces: Sequence[PromptPiece]) -> float:
        """One batch: a token of every decoding sequence, then pieces of prompts, in as few passes as possible [s]."""
        total = len(depths) + sum(piece.tokens for piece in pieces)
        sampled = len(depths) + sum(piece.last for piece in pieces)
        seen_s = sum(
            price * min(depth + 1, limit) for limit, price in zip(self.limits, self.batch_cell_s, strict=True) for depth in depths
        )
        own_s = sum(self.piece_s(piece.start, piece.tokens) for piece in pieces)
        begun_s = self.begun_s * sum(piece.start == 0 for piece in pieces)
        return self.passes_s(plain_passes(total, self.ubatch_tokens), sampled) + begun_s + own_s + seen_s

    def rested_s(self, pause_s: float) -> float:
        """What the first batch takes longer after a pause: linear between those that were measured, no more beyond [s]."""
        before_s, less_s = 0.0, 0.0
        for length_s, longer_s in self.rests:
            if pause_s < length_s:
                return less_s + (longer_s - less_s) * (pause_s - before_s) / (length_s - before_s)
            before_s, less_s = length_s, longer_s
        return less_s

    def passes_s(self, passes: Sequence[int], sampled: int) -> float:
        """Passes of a batch, the last of which samples [s]."""
        return sum(map(self.batch_pass_s, passes[:-1], repeat(0))) + self.batch_pass_s(passes[-1], sampled)


def plain_passes(tokens: int, ubatch_tokens: int) -> list[int]:
    """Tokens of the passes of a batch that is cut where it is full: as a cache that all sequences share allows."""
    whole, rest = divmod(tokens, ubatch_tokens)
    return [ubatch_tokens] * whole + ([rest] if rest else [])
