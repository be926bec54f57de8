"""What a question came to: predictions, measurements, and which strategy is best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, cast

from mmpredict.errors import UnknownNameError
from mmpredict.results.compare import MetricComparison, PlanComparison, compare
from mmpredict.results.display import Shown, show
from mmpredict.results.metrics import METRICS, summarize
from mmpredict.results.prediction import Interval, Prediction
from mmpredict.results.records import Records

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True)
class Choice:
    """The recommended strategy.

    Attributes:
        strategy: its name.
        runner_up: the second best; empty when there is none.
        margin_frac: what the second takes more [1].
        probability: that the best is really better [1].
    """

    strategy: str
    runner_up: str = ""
    margin_frac: float = math.nan
    probability: float = math.nan


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that is shown of one question.

    Attributes:
        machine: name of the hardware; empty when not told.
        predictions: of every strategy that was predicted.
        measured: strategy → records of its executions, at least one.
        choice: the recommendation, if there is one.
        infeasible: strategy → why it does not fit.
    """

    machine: str = ""
    predictions: tuple[Prediction, ...] = ()
    measured: Mapping[str, tuple[Records, ...]] = field(default_factory=dict)
    choice: Choice | None = None
    infeasible: Mapping[str, str] = field(default_factory=dict)

    @property
    def strategies(self) -> tuple[str, ...]:
        """Every strategy that was predicted or measured, in order."""
        return tuple(dict.fromkeys([*(one.strategy for one in self.predictions), *self.measured]))

    @property
    def comparisons(self) -> tuple[PlanComparison, ...]:
        """Of every strategy that was predicted and measured."""
        return tuple(compare(one, *self.measured[one.strategy]) for one in self.predictions if one.strategy in self.measured)

    @property
    def runs(self) -> list[tuple[str, Records]]:
        """(label, records) of a run per strategy, of two where it was predicted and measured; the label then tells which."""
        predicted = {one.strategy: one.records for one in self.predictions}
        measured = {strategy: runs[0] for strategy, runs in self.measured.items()}
        measured |= {one.strategy: one.measured_records for one in self.comparisons}
        both = bool(predicted) and bool(measured)
        return [
            (f"{kind} {strategy}" if both else strategy, runs[strategy])
            for strategy in self.strategies
            for kind, runs in (("predicted", predicted), ("measured", measured))
            if strategy in runs
        ]

    def measured_metrics(self, strategy: str) -> dict[str, float]:
        """Metric → the median of a strategy's runs, in its unit; ``nan`` where none tells it."""
        summaries = [summarize(records) for records in self.measured.get(strategy, ())]
        found = {}
        for metric in METRICS:
            known = [value for one in summaries if not math.isnan(value := float(getattr(one, metric)))]
            found[metric] = median(known) if known else math.nan
        return found

    def only(self, strategy: str) -> Outcome:
        """The same of one strategy.

        Raises:
            UnknownNameError: there is none of that name.
        """
        if strategy not in self.strategies:
            raise UnknownNameError("strategy", strategy, self.strategies)
        predictions = tuple(one for one in self.predictions if one.strategy == strategy)
        measured = {name: runs for name, runs in self.measured.items() if name == strategy}
        return replace(self, predictions=predictions, measured=measured)

    def to_frame(self) -> pandas.DataFrame:
        """A row per strategy and metric, each in the metric's unit: ``value``, ``low``, ``high``, ``measured``, ``error_frac``.

        What was measured in several runs is their median.
        """
        import pandas

        predicted = {one.strategy: one.metrics for one in self.predictions}
        unknown = Interval(math.nan, math.nan, math.nan)
        rows = []
        for strategy in self.strategies:
            real = self.measured_metrics(strategy)
            for metric in METRICS:
                interval = predicted[strategy][metric] if strategy in predicted else unknown
                error = MetricComparison(metric, interval, real[metric]).error_frac
                rows.append((strategy, metric, interval.value, interval.low, interval.high, real[metric], error))
        columns = ["strategy", "metric", "value", "low", "high", "measured", "error_frac"]
        return pandas.DataFrame(rows, columns=columns).set_index(["strategy", "metric"])

    def plot(self, what: str = "strategies") -> Shown:
        """A picture, which a notebook shows; ``.save("x.svg")`` writes it.

        Args:
            what: ``strategies`` side by side, ``timeline`` of every run, or ``scatter`` of predicted and measured times.

        Raises:
            UnknownNameError: no such picture.
            InputError: nothing was predicted, or measured, that it could show.
        """
        return cast("Shown", show("outcome_picture", self, what))

    def _repr_html_(self) -> str:
        return str(show("outcome_html", self))
