"""One draw of everything that the coefficients leave uncertain.

Draws depend on the seed, the number of the draw and the name of what is drawn, never on the order of drawing: two plans that
are simulated with the same draw share their luck (common random numbers), so their difference is better known than either.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from mmpredict.cost.coefficients import Coefficients, Estimate
from mmpredict.cost.contention import Contention

UNMEASURED_LOG_SPREAD = 0.4
"""Spread of the speed of a weight type that was never measured: it is bounded by the slowest kernel, not fitted."""


@dataclass(frozen=True, slots=True)
class Draw:
    """The uncertain factors of one simulation run.

    Attributes:
        seed: of the prediction.
        number: which draw; ``None`` puts every factor at its median.
    """

    seed: int = 0
    number: int | None = None

    def factor(self, name: str, log_spread: float) -> float:
        """A log-normal factor of median 1 [1]."""
        return 1.0 if self.number is None else math.exp(log_spread * float(self._generator(name).standard_normal()))

    def chance(self, name: str, probability: float) -> bool:
        """Whether something of this probability happens; at the median, whether it is likelier than not."""
        return probability > 0.5 if self.number is None else float(self._generator(name).random()) < probability

    def _generator(self, name: str) -> np.random.Generator:
        digest = hashlib.sha256(name.encode()).digest()
        return np.random.default_rng([self.seed, self.number or 0, int.from_bytes(digest[:8], "little")])


def draw_contention(coefficients: Coefficients, draw: Draw) -> Contention:
    """Contention coefficients of one run; efficiencies stay at or below 1."""
    own = coefficients.contention

    def drawn(name: str, estimate: Estimate) -> float:
        return estimate.value * draw.factor(f"contention {name}", estimate.log_spread)

    return Contention(
        cores=coefficients.cores,
        within_efficiency=min(1.0, drawn("within", own.within_efficiency)),
        yielding_efficiency=min(1.0, drawn("yielding", own.yielding_efficiency)),
        spinning_efficiency_prefill=min(1.0, drawn("spinning prefill", own.spinning_efficiency["prefill"])),
        spinning_efficiency_decode=min(1.0, drawn("spinning decode", own.spinning_efficiency["decode"])),
        stacked_layer_s=drawn("stacked", own.stacked_layer_s),
    )
