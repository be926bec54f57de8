"""Decode steps of one model, compiled: what the number of sequences and the depth do not change is priced once.

A step of ``n`` sequences of depth ``d`` takes what passes cost whatever attention sees, which depends on ``n`` alone, and what the
cells cost, at one price for all layers that see equally far::

    t(n, d) = fixed(n) + n · Σ_limits price(limit) · cells(d, limit)

which is the sum of ``decode_terms``, term by term, without building the terms anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmpredict.cost.rates.attention import AttentionLayers, attention_layers
from mmpredict.cost.rates.rates import Rates
from mmpredict.cost.rates.step_terms import USUAL, Conditions, decode_terms
from mmpredict.cost.rates.term import Term
from mmpredict.models.spec import ModelSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_TERMS_PER_LAYERS = 2  # of attention: what it reads and what it multiplies; ``decode_terms`` has them last


class StepTable:
    """Times of decode steps of equally long sequences, one token of each per step.

    Args:
        spec: the model.
        rates: of the processor.
        how: conditions.
    """

    def __init__(self, spec: ModelSpec, rates: Rates, how: Conditions = USUAL) -> None:
        self._spec, self._rates, self._how = spec, rates, how
        self._fixed_s: dict[int, float] = {}
        prices: dict[float, tuple[AttentionLayers, float]] = {}
        layers = attention_layers(spec.shape)
        terms = self._terms(1)[1]
        for position, alike in enumerate(layers):
            price = rates.seconds(terms[_TERMS_PER_LAYERS * position :][:_TERMS_PER_LAYERS]) / alike.cells(0.0, 1.0)
            seen, known = prices.get(alike.limit, (alike, 0.0))
            prices[alike.limit] = (seen, known + price)
        self._cells = tuple(prices.values())

    def step_s(self, sequences: int, depth: float) -> float:
        """Time of one step [s].

        Args:
            sequences: decoded together, at least 1 [1].
            depth: cells of each sequence before the step [tokens].
        """
        return self.segment_s(sequences, depth, 1.0)

    def segment_s(self, sequences: int, depth: float, steps: float) -> float:
        """Time of ``steps`` steps in a row, in closed form [s].

        Args:
            sequences: decoded together, at least 1 [1].
            depth: cells of each sequence before the first step [tokens].
            steps: how many [1].
        """
        fixed_s = self._fixed_s.get(sequences) or self._fixed(sequences)
        seen_s = 0.0
        for layers, price_s in self._cells:
            seen_s += price_s * layers.cells(depth, steps)
        return steps * fixed_s + sequences * seen_s

    def steps_s(self, sequences: NDArray[np.integer], depths: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
        """Times of single steps, each of its own number of sequences and depth [s].

        Args:
            sequences: whole numbers, at least 1 [1].
            depths: cells of each sequence before the step [tokens].
        """
        import numpy as np

        counts = np.bincount(sequences)
        fixed_s = np.zeros(len(counts))
        for several in np.flatnonzero(counts):
            fixed_s[several] = self._fixed_s.get(int(several)) or self._fixed(int(several))
        seen_s = np.zeros(len(depths))
        for layers, price_s in self._cells:
            cells = np.minimum(depths + 1.0, layers.limit)
            edge = np.clip(layers.limit - depths, 0.0, 1.0)  # the part of the token during which its window still grows
            seen_s += price_s * (cells + edge * (1.0 - edge) / 2)
        found: NDArray[np.float64] = fixed_s[sequences] + sequences * seen_s
        return found

    def _fixed(self, sequences: int) -> float:
        seconds = self._fixed_s[sequences] = self._rates.seconds(self._terms(sequences)[0])
        return seconds

    def _terms(self, sequences: int) -> tuple[list[Term], list[Term]]:
        """Terms of a step at depth 0: what attention does not see, and what it sees."""
        terms = decode_terms(self._spec, sequences, 0.0, 1.0, self._how)
        first = len(terms) - _TERMS_PER_LAYERS * len(attention_layers(self._spec.shape))
        return terms[:first], terms[first:]
