"""Published prices as one simulation run has them: with its luck, and of a model that two processors divide."""

from __future__ import annotations

from collections.abc import Sequence

from mmpredict.cost.draw import Draw
from mmpredict.cost.prices import StepPrices
from mmpredict.cost.published_prices import PublishedPrices
from mmpredict.cost.speed import NORMAL_80


class DrawnPrices(StepPrices):
    """Published prices times log-normal factors, one for prompts and one for decoding, whose 80 % interval is that of the rates.

    How unsure a decode step is depends on the number of its sequences; all numbers share the run's luck.

    Args:
        published: the prices.
        draw: the run's luck.
        what: names the factors: the model and its processor.
        scale: of all times, whatever the luck [1].
    """

    def __init__(self, published: PublishedPrices, draw: Draw, what: str, scale: float = 1.0) -> None:
        super().__init__(published.ubatch_tokens)
        self._published, self._draw, self._what, self._scale = published, draw, what, scale
        self._prompt = scale * draw.factor(f"prefill of {what}", published.prompt_log_halfwidth / NORMAL_80)
        self.limits = published.limits
        self.decode_cell_s = tuple(self._decode(1) * price for price in published.decode_cell_s)
        self.batch_cell_s = tuple(self._prompt * price for price in published.batch_cell_s)

    def piece_s(self, start: int, tokens: int) -> float:
        """See ``StepPrices``."""
        return self._prompt * self._published.piece_s(start, tokens)

    def _price_decode_pass(self, sequences: int) -> float:
        return self._decode(sequences) * self._published.decode_pass_s(sequences)

    def _price_batch_pass(self, tokens: int, sampled: int) -> float:
        return self._prompt * self._published.batch_pass_s(tokens, sampled)

    def _decode(self, sequences: int) -> float:
        log_spread = self._published.decode_log_halfwidth(sequences) / NORMAL_80
        return self._scale * self._draw.factor(f"decode of {self._what}", log_spread)


class SplitPrices(StepPrices):
    """Prices of a model whose layers are divided between processors, one after the other: those of all parts, added up.

    Args:
        parts: prices of each processor's layers, at least one; of the same model, so that they see equally far.
    """

    def __init__(self, parts: Sequence[StepPrices]) -> None:
        super().__init__(parts[0].ubatch_tokens)
        self._parts = tuple(parts)
        self.limits = parts[0].limits
        self.begun_s = sum(part.begun_s for part in parts)
        self.decode_cell_s = tuple(map(sum, zip(*(part.decode_cell_s for part in parts), strict=True)))
        self.batch_cell_s = tuple(map(sum, zip(*(part.batch_cell_s for part in parts), strict=True)))

    def piece_s(self, start: int, tokens: int) -> float:
        """See ``StepPrices``."""
        return sum(part.piece_s(start, tokens) for part in self._parts)

    def _price_decode_pass(self, sequences: int) -> float:
        return sum(part.decode_pass_s(sequences) for part in self._parts)

    def _price_batch_pass(self, tokens: int, sampled: int) -> float:
        return sum(part.batch_pass_s(tokens, sampled) for part in self._parts)
