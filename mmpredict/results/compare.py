"""Predicted against measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmpredict.results.metrics import METRICS, Summary, summarize
from mmpredict.results.prediction import Interval, Prediction
from mmpredict.results.records import Records


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """One metric of one plan, predicted and measured, in the metric's unit."""

    metric: str
    predicted: Interval
    measured: float

    @property
    def error_frac(self) -> float:
        """(predicted − measured) ÷ measured; ``nan`` when nothing was measured."""
        return self.predicted.value / self.measured - 1.0 if self.measured else math.nan

    @property
    def covered(self) -> bool:
        """Whether the measurement lies within the interval."""
        return self.predicted.contains(self.measured)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        measured = None if math.isnan(self.measured) else self.measured
        error = None if math.isnan(self.error_frac) else self.error_frac
        return {"predicted": self.predicted.to_dict(), "measured": measured, "error_frac": error, "covered": self.covered}


@dataclass(frozen=True, slots=True)
class PlanComparison:
    """One plan, predicted and executed."""

    strategy: str
    prediction: Prediction
    measured_records: Records
    measured: Summary
    metrics: dict[str, MetricComparison]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "strategy": self.strategy,
            "metrics": {name: comparison.to_dict() for name, comparison in self.metrics.items()},
            "measured_summary": self.measured.to_dict(),
            "prediction": self.prediction.to_dict(),
            "measured_records": self.measured_records.to_dict(),
        }


def compare(prediction: Prediction, measured: Records) -> PlanComparison:
    """Set a prediction against the records of its execution."""
    summary = summarize(measured)
    metrics = {name: MetricComparison(name, prediction.metrics[name], getattr(summary, name)) for name in METRICS}
    return PlanComparison(prediction.strategy, prediction, measured, summary, metrics)


def median_absolute_error(comparisons: Sequence[PlanComparison], metric: str = "makespan_s") -> float:
    """Median over plans of |predicted − measured| ÷ measured; ``nan`` when nothing was measured."""
    errors = [abs(c.metrics[metric].error_frac) for c in comparisons if not math.isnan(c.metrics[metric].error_frac)]
    return float(np.median(errors)) if errors else math.nan


def regret(recommended: str, comparisons: Sequence[PlanComparison], metric: str = "makespan_s") -> float:
    """Measured value of the recommended plan ÷ best measured value − 1, for a metric of which less is better."""
    measured = {c.strategy: c.metrics[metric].measured for c in comparisons if not math.isnan(c.metrics[metric].measured)}
    return measured[recommended] / min(measured.values()) - 1.0 if recommended in measured else math.nan
