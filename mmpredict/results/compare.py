"""Predicted against measured: one plan, executed once or several times."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from mmpredict.results.metrics import METRICS, Summary, summarize
from mmpredict.results.plain import plain, plain_fields
from mmpredict.results.prediction import Interval, Prediction
from mmpredict.results.records import Records
from mmpredict.results.request_forecast import LATENCIES, latencies_s


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """One figure of one plan or request, predicted and measured, in the figure's unit.

    Attributes:
        metric: which figure.
        predicted: median and bounds of the draws.
        measured: the median of the runs; ``nan`` when none told it.
        runs: what each run told, in their order; ``nan`` where one did not.
    """

    metric: str
    predicted: Interval
    measured: float
    runs: tuple[float, ...] = ()

    @property
    def error_frac(self) -> float:
        """(predicted − measured) ÷ measured; ``nan`` when nothing was measured."""
        return self.predicted.value / self.measured - 1.0 if self.measured else math.nan

    @property
    def covered(self) -> bool:
        """Whether the measurement lies within the interval."""
        return self.predicted.contains(self.measured)

    @property
    def noise_frac(self) -> float:
        """How far runs are from their median, in the median; ``nan`` for fewer than two [1]."""
        known = [value for value in self.runs if not math.isnan(value)]
        return median(abs(value / self.measured - 1.0) for value in known) if len(known) > 1 and self.measured else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "predicted": self.predicted.to_dict(),
            "measured": plain(self.measured),
            "runs": plain(self.runs),
            "error_frac": plain(self.error_frac),
            "noise_frac": plain(self.noise_frac),
            "covered": self.covered,
        }


@dataclass(frozen=True, slots=True)
class RequestComparison:
    """Latencies of one request, predicted and measured.

    Attributes:
        request, model: which it is.
        ttft_s: arrival to the first token [s].
        e2e_s: arrival to the last token [s].
    """

    request: str
    model: str
    ttft_s: MetricComparison
    e2e_s: MetricComparison

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"model": self.model, "ttft_s": self.ttft_s.to_dict(), "e2e_s": self.e2e_s.to_dict()}


@dataclass(frozen=True, slots=True)
class PlanComparison:
    """One plan, predicted and executed.

    Attributes:
        strategy: name of the plan.
        prediction: what was predicted.
        measured_records: of its runs the one with the median makespan, the first where requests of all failed.
        measured: summary of that run.
        metrics: metric → comparison, over all runs.
        runs: records of all runs, in their order.
        requests: the requests that were predicted one by one.
    """

    strategy: str
    prediction: Prediction
    measured_records: Records
    measured: Summary
    metrics: dict[str, MetricComparison]
    runs: tuple[Records, ...] = ()
    requests: tuple[RequestComparison, ...] = ()

    @property
    def failed(self) -> int:
        """Requests of all runs that failed [1]."""
        return sum(row.status != "ok" for records in self.runs for row in records.requests)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; runs beside the one shown are in ``further_runs``."""
        return {
            "strategy": self.strategy,
            "metrics": {name: comparison.to_dict() for name, comparison in self.metrics.items()},
            "requests": {one.request: one.to_dict() for one in self.requests},
            "request_errors": {name: errors.to_dict() for name, errors in request_errors([self]).items()},
            "measured_summary": self.measured.to_dict(),
            "prediction": self.prediction.to_dict(),
            "measured_records": self.measured_records.to_dict(),
            "further_runs": [records.to_dict() for records in self.runs if records is not self.measured_records],
        }


@dataclass(frozen=True, slots=True)
class Errors:
    """What comparisons of one kind come to; ``nan`` where there is none [1].

    Attributes:
        compared: figures that were predicted and measured [1].
        median_absolute_frac: median of the absolute error.
        bias_frac: median of the error with its sign: below 0 where predictions are too low.
        inside_frac: share of the measurements that lie in their interval.
        noise_frac: how far runs are from their median, in the median.
    """

    compared: int
    median_absolute_frac: float
    bias_frac: float
    inside_frac: float
    noise_frac: float

    def to_dict(self) -> dict[str, float | int | None]:
        """Plain data for JSON."""
        return plain_fields(self)


def compare(prediction: Prediction, *runs: Records) -> PlanComparison:
    """Set a prediction against the records of its execution, or of several ones.

    Raises:
        ValueError: no run is given.
    """
    if not runs:
        raise ValueError(f"plan {prediction.strategy!r} was not executed; there is nothing to compare")
    summaries = [summarize(records) for records in runs]
    metrics = {name: compared(name, prediction.metrics[name], [float(getattr(one, name)) for one in summaries]) for name in METRICS}
    shown = _middle([one.makespan_s for one in summaries])
    return PlanComparison(
        prediction.strategy, prediction, runs[shown], summaries[shown], metrics, runs, _requests(prediction, runs)
    )


def errors_of(comparisons: Iterable[MetricComparison]) -> Errors:
    """What comparisons come to; those without a measurement or a prediction do not count."""
    known = [one for one in comparisons if not math.isnan(one.error_frac)]
    bounded = [one for one in known if not math.isnan(one.predicted.low + one.predicted.high)]
    noise = [one.noise_frac for one in known if not math.isnan(one.noise_frac)]
    return Errors(
        compared=len(known),
        median_absolute_frac=_median([abs(one.error_frac) for one in known]),
        bias_frac=_median([one.error_frac for one in known]),
        inside_frac=sum(one.covered for one in bounded) / len(bounded) if bounded else math.nan,
        noise_frac=_median(noise),
    )


def metric_errors(comparisons: Sequence[PlanComparison]) -> dict[str, Errors]:
    """Metric → errors over plans."""
    return {name: errors_of(one.metrics[name] for one in comparisons) for name in METRICS}


def request_errors(comparisons: Sequence[PlanComparison]) -> dict[str, Errors]:
    """``ttft_s``, ``e2e_s`` → errors over all requests of plans."""
    return {name: errors_of(getattr(one, name) for plan in comparisons for one in plan.requests) for name in LATENCIES}


def median_absolute_error(comparisons: Sequence[PlanComparison], metric: str = "makespan_s") -> float:
    """Median over plans of |predicted − measured| ÷ measured; ``nan`` when nothing was measured."""
    return errors_of(one.metrics[metric] for one in comparisons).median_absolute_frac


def regret(recommended: str, comparisons: Sequence[PlanComparison], metric: str = "makespan_s") -> float:
    """Measured value of the recommended plan ÷ best measured value − 1, for a metric of which less is better."""
    measured = {c.strategy: c.metrics[metric].measured for c in comparisons if not math.isnan(c.metrics[metric].measured)}
    return measured[recommended] / min(measured.values()) - 1.0 if recommended in measured else math.nan


def _requests(prediction: Prediction, runs: Sequence[Records]) -> tuple[RequestComparison, ...]:
    measured = [{row.request: latencies_s(row) for row in records.requests} for records in runs]
    unknown = (math.nan,) * len(LATENCIES)
    return tuple(
        RequestComparison(
            one.request,
            one.model,
            *(
                compared(name, getattr(one, name), [run.get(one.request, unknown)[place] for run in measured])
                for place, name in enumerate(LATENCIES)
            ),
        )
        for one in prediction.requests
    )


def compared(metric: str, predicted: Interval, runs: Sequence[float]) -> MetricComparison:
    """A metric's prediction against what each run told of it; ``nan`` where a run did not."""
    return MetricComparison(metric, predicted, _median([value for value in runs if not math.isnan(value)]), tuple(runs))


def _middle(values: Sequence[float]) -> int:
    """Place of the median, of an even number the lower one; 0 where nothing is known."""
    order = sorted((value, place) for place, value in enumerate(values) if not math.isnan(value))
    return order[(len(order) - 1) // 2][1] if order else 0


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else math.nan
