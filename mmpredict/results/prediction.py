"""A prediction: simulated records, their metrics with intervals, and where the numbers come from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmpredict.results.latency import distributions
from mmpredict.results.metrics import METRICS, Summary
from mmpredict.results.records import Records
from mmpredict.results.request_table import RequestTable
from mmpredict.results.schedule import schedule
from mmpredict.results.usage import usage

INTERVAL_LEVEL = 0.8
"""Share of measurements that an interval is meant to contain."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value between bounds, in the unit of its metric."""

    value: float
    low: float
    high: float

    def contains(self, measured: float) -> bool:
        """Whether a measurement lies within the bounds."""
        return self.low <= measured <= self.high

    def to_dict(self) -> dict[str, float | None]:
        """Plain data for JSON."""
        return {
            name: None if math.isnan(number) else number
            for name, number in (("value", self.value), ("low", self.low), ("high", self.high))
        }


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a plan will come to.

    Attributes:
        strategy: name of the plan.
        records: one simulated run with every coefficient at its median.
        metrics: metric → median and bounds over simulations with drawn coefficients.
        draws: simulations behind the intervals [1].
        makespans_s: makespan of every draw, in order of the draws; the same draw of two plans shares its coefficients [s].
        provenance: what the numbers rest on, one sentence each.
        warnings: what the reader should know before trusting them.
    """

    strategy: str
    records: Records
    metrics: dict[str, Interval]
    draws: int
    makespans_s: tuple[float, ...] = ()
    provenance: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    def to_dict(self, with_records: bool = True) -> dict[str, Any]:
        """Plain data for JSON."""
        data: dict[str, Any] = {
            "strategy": self.strategy,
            "interval_level": INTERVAL_LEVEL,
            "draws": self.draws,
            "metrics": {name: interval.to_dict() for name, interval in self.metrics.items()},
            "latency_s": {name: one.to_dict() for name, one in distributions(RequestTable(self.records.requests)).items()},
            "usage": usage(self.records).to_dict(),
            "provenance": list(self.provenance),
            "warnings": list(self.warnings),
        }
        if with_records:
            data["execution_schedule"] = schedule(self.records)
            data["records"] = self.records.to_dict()
        return data


def intervals(summaries: Sequence[Summary], level: float = INTERVAL_LEVEL) -> dict[str, Interval]:
    """Median and central bounds of every metric over repeated simulations."""
    outer = (1.0 - level) / 2.0 * 100.0
    found: dict[str, Interval] = {}
    for name in METRICS:
        values = np.array([getattr(summary, name) for summary in summaries], dtype=float)
        values = values[~np.isnan(values)]
        if len(values):
            low, middle, high = np.percentile(values, [outer, 50.0, 100.0 - outer])
            found[name] = Interval(float(middle), float(low), float(high))
        else:
            found[name] = Interval(math.nan, math.nan, math.nan)
    return found
