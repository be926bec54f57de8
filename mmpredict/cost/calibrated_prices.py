"""Prices of a server's steps by the coefficients of a calibration of this machine (``cost.step``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.contention import Phase
from mmpredict.cost.piece import PromptPiece
from mmpredict.cost.prices import StepPrices
from mmpredict.cost.rates.attention import attention_layers, is_cached
from mmpredict.cost.step import (
    CELL_TYPE,
    StepCost,
    StepFeatures,
    attention_macs,
    batch_features,
    decode_features,
    far_cell_rows,
    far_share,
    masking_heads,
)
from mmpredict.models.spec import ModelSpec

_DECODE = -1  # in the place of the tokens sampled in a batch


class CalibratedPrices(StepPrices):
    """Prices at one number of threads.

    Every price is interpolated geometrically between the measured numbers of threads.

    Args:
        spec: the model.
        threads: worker threads [1].
        ubatch_tokens: physical batch [tokens].
        coefficients: of the machine and engine.
        factors: what the run's luck makes of times, by phase [1].
        passes_s: prices of passes without luck, by (tokens, sampled) of a batch and (sequences, -1) of a decode step; what is
            missing is added, so that runs with other luck need not find it out again [s].
    """

    def __init__(
        self,
        spec: ModelSpec,
        threads: int,
        ubatch_tokens: int,
        coefficients: Coefficients,
        factors: Mapping[Phase, float],
        passes_s: dict[tuple[int, int], float] | None = None,
    ) -> None:
        super().__init__(ubatch_tokens)
        self._passes_s = {} if passes_s is None else passes_s
        self._spec, self._threads = spec, threads
        self._bracket = _bracket(coefficients, threads)
        self._prefill = factors["prefill"] * self._between(lambda cost: cost.coefficients.prefill_times(spec.name))
        self._decode = factors["decode"] * self._between(lambda cost: cost.coefficients.decode_times(spec.name))
        self.begun_s = self._prefill * self._between(lambda cost: cost.coefficients.prompt_s)
        self._prompt_mac_s = self._prefill * self._between(lambda cost: cost.coefficients.attention_prefill_s)
        widths = dict(spec.attention_widths)
        cell_bytes, cell_rows = dict.fromkeys(widths, 0.0), dict.fromkeys(widths, 0.0)
        for layers in attention_layers(spec.shape):
            cell_bytes[layers.limit] += layers.cell_bytes(CELL_TYPE, CELL_TYPE)
            cell_rows[layers.limit] += far_cell_rows(layers)
        heads = masking_heads(spec)
        self.masked_decode_s = self._decode * heads * self._between(lambda cost: cost.coefficients.masked_decode_s)
        self.masked_batch_s = self._prefill * heads * self._between(lambda cost: cost.coefficients.masked_prefill_s)
        self.limits = tuple(widths)
        plain = self.limits == (math.inf,) and is_cached(spec.shape)
        self._plain_width = widths[math.inf] if plain else 0.0  # of models that see everything before, in every layer
        seen_s = tuple(
            self._between(lambda cost, limit=limit: _cell_s(cost, spec, widths[limit], cell_bytes[limit], cell_rows[limit]))  # type: ignore[misc]
            for limit in widths
        )
        self.decode_cell_s = tuple(self._decode * price for price in seen_s)
        self.batch_cell_s = tuple(self._prefill * price for price in seen_s)

    def piece_s(self, start: int, tokens: int) -> float:
        """See ``StepPrices``."""
        if self._plain_width:
            return self._prompt_mac_s * self._plain_width * (tokens * start + tokens * (tokens + 1) / 2)
        return self._prompt_mac_s * attention_macs(self._spec, start, tokens)

    def _price_decode_pass(self, sequences: int) -> float:
        found = self._passes_s.get((sequences, _DECODE))
        if found is None:
            features = _unseen(decode_features(self._spec, [0.0] * sequences, 1, self._threads))
            found = self._passes_s[sequences, _DECODE] = self._between(lambda cost: cost.duration_s(features))
        return self._decode * found

    def _price_batch_pass(self, tokens: int, sampled: int) -> float:
        found = self._passes_s.get((tokens, sampled))
        if found is None:
            piece = PromptPiece(1, tokens - sampled, False)
            features = _unseen(batch_features(self._spec, [0.0] * sampled, [piece], tokens, self._threads))
            found = self._passes_s[tokens, sampled] = self._between(lambda cost: cost.duration_s(features))
        return self._prefill * found

    def _between(self, price: Callable[[StepCost], float]) -> float:
        """A price between measured numbers of threads."""
        if len(self._bracket) == 1:
            return price(self._bracket[0][1])
        found = [(weight, price(cost)) for weight, cost in self._bracket]
        if min(value for _, value in found) <= 0.0:  # a price of nothing has no logarithm
            return sum(weight * value for weight, value in found)
        return math.exp(sum(weight * math.log(value) for weight, value in found))


def _cell_s(cost: StepCost, spec: ModelSpec, width: float, cell_bytes: float, cell_rows: float) -> float:
    own = cost.coefficients
    far = far_share(spec.pass_bytes(1), own.cache_bytes)
    return own.attention_decode_s * width + own.cell_byte_s * cell_bytes + own.cell_row_s * far * cell_rows


def _unseen(features: StepFeatures) -> StepFeatures:
    """A pass without what attention sees."""
    return replace(features, prompts=0, decode_macs=0.0, prefill_macs=0.0, cell_bytes=0.0, cell_rows=0.0)


def _bracket(coefficients: Coefficients, threads: int) -> list[tuple[float, StepCost]]:
    """Measured neighbours of a number of threads with their weights (one, when it was measured or lies outside)."""
    measured = sorted(coefficients.steps)
    above = next((count for count in measured if count >= threads), measured[-1])
    below = next((count for count in reversed(measured) if count <= threads), measured[0])
    if above == below:
        return [(1.0, StepCost(coefficients.steps[above]))]
    position = math.log(threads / below) / math.log(above / below)
    return [(1 - position, StepCost(coefficients.steps[below])), (position, StepCost(coefficients.steps[above]))]
