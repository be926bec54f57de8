"""Decode steps of one model, compiled: what the number of sequences and the depth do not change is priced once.

A step of ``n`` sequences of depth ``d`` takes what passes cost whatever attention sees, which depends on ``n`` alone, and what the
cells cost, at one price for all layers that see equally far::

    t(n, d) = fixed(n) + n · Σ_limits price(limit) · cells(d, limit)

which is the sum of ``decode_terms``, term by term, without building the terms anew. The prices are those of ``PublishedPrices``;
what is added here is many steps at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmpredict.cost.piece import cells_seen
from mmpredict.cost.published_prices import PublishedPrices
from mmpredict.cost.rates.rates import Rates
from mmpredict.cost.rates.step_terms import USUAL, Conditions
from mmpredict.models.spec import ModelSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class StepTable:
    """Times of decode steps of equally long sequences, one token of each per step.

    Args:
        spec: the model.
        rates: of the processor.
        how: conditions.
    """

    def __init__(self, spec: ModelSpec, rates: Rates, how: Conditions = USUAL) -> None:
        prices = PublishedPrices(spec, rates, how)
        self._pass_s = prices.decode_pass_s
        self._cells = tuple(zip(prices.limits, prices.decode_cell_s, strict=True))

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
        seen_s = 0.0
        for limit, price_s in self._cells:
            seen_s += price_s * cells_seen(depth, steps, limit)
        return steps * self._pass_s(sequences) + sequences * seen_s

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
            fixed_s[several] = self._pass_s(int(several))
        seen_s = np.zeros(len(depths))
        for limit, price_s in self._cells:
            cells = np.minimum(depths + 1.0, limit)
            edge = np.clip(limit - depths, 0.0, 1.0)  # the part of the token during which its window still grows
            seen_s += price_s * (cells + edge * (1.0 - edge) / 2)
        found: NDArray[np.float64] = fixed_s[sequences] + sequences * seen_s
        return found
