"""When something begins: ``arrivals = { kind = "poisson", rate_per_s = 0.5 }``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Tag

from mmpredict.scenario.strict import Strict, by_kind, keys_by_tag
from mmpredict.workload.arrivals import Arrivals, Bursts, Constant, Gamma, Poisson


class ConstantKeys(Strict):
    """Equal gaps."""

    kind: Literal["constant"]
    rate_per_s: float

    def process(self) -> Arrivals:
        """The process."""
        return Constant(self.rate_per_s)


class PoissonKeys(Strict):
    """Independent arrivals."""

    kind: Literal["poisson"]
    rate_per_s: float

    def process(self) -> Arrivals:
        """The process."""
        return Poisson(self.rate_per_s)


class GammaKeys(Strict):
    """Gaps with a coefficient of variation."""

    kind: Literal["gamma"]
    rate_per_s: float
    cv: float

    def process(self) -> Arrivals:
        """The process."""
        return Gamma(self.rate_per_s, self.cv)


class BurstsKeys(Strict):
    """Groups."""

    kind: Literal["bursts"]
    burst_size: int
    gap_s: float
    spread_s: float = 0.0

    def process(self) -> Arrivals:
        """The process."""
        return Bursts(self.burst_size, self.gap_s, self.spread_s)


FAMILY = "arrivals"
KEYS = keys_by_tag(FAMILY, ConstantKeys, PoissonKeys, GammaKeys, BurstsKeys)
ArrivalsSection = Annotated[
    Annotated[ConstantKeys, Tag("arrivals.constant")]
    | Annotated[PoissonKeys, Tag("arrivals.poisson")]
    | Annotated[GammaKeys, Tag("arrivals.gamma")]
    | Annotated[BurstsKeys, Tag("arrivals.bursts")],
    by_kind(FAMILY),
]
"""A process of arrivals."""
