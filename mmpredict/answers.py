"""What the questions of ``api`` come to: a forecast, and a forecast held against real runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from mmpredict.planning.search import Recommendation
from mmpredict.results.compare import PlanComparison, median_absolute_error, metric_errors, regret, request_errors
from mmpredict.results.display import Answer
from mmpredict.results.outcome import Choice, Outcome
from mmpredict.results.plain import plain
from mmpredict.results.prediction import Prediction
from mmpredict.scenario import Scenario
from mmpredict.simulation.plan import Plan

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Forecast(Answer):
    """What every strategy of a scenario will come to.

    Attributes:
        scenario: the question.
        plans: strategy → plan, of those that fit.
        predictions: one per plan, in the scenario's order.
        infeasible: strategy → why it does not fit.
        recommendation: the best.
        left_out: strategy → why it is not looked at: it is the same as another one on this machine.
    """

    scenario: Scenario
    plans: dict[str, Plan]
    predictions: tuple[Prediction, ...]
    infeasible: dict[str, str]
    recommendation: Recommendation
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def choice(self) -> Choice:
        """The recommendation as tables, pictures and pages know it."""
        best = self.recommendation
        return Choice(best.strategy, best.runner_up, best.margin_frac, best.probability)

    def outcome(self) -> Outcome:
        """What tables, pictures and pages show of it."""
        return Outcome(self.scenario.hardware, self.predictions, {}, self.choice, self.infeasible)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "scenario": self.scenario.model_dump(mode="json"),
            "recommendation": self.recommendation.to_dict(),
            "infeasible": self.infeasible,
            "left_out": self.left_out,
            "plans": {name: plan.to_dict() for name, plan in self.plans.items()},
            "predictions": {prediction.strategy: prediction.to_dict() for prediction in self.predictions},
        }


@dataclass(frozen=True, slots=True)
class Validation(Answer):
    """A forecast held against real runs.

    Attributes:
        forecast: what was predicted.
        comparisons: per plan, predicted and measured, with a comparison of every metric and of every request.
        median_error_frac: median over plans of the absolute error of the makespan [1].
        regret_frac: measured makespan of the recommended plan ÷ best measured makespan − 1 [1].
    """

    forecast: Forecast
    comparisons: tuple[PlanComparison, ...]
    median_error_frac: float = field(init=False)
    regret_frac: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "median_error_frac", median_absolute_error(self.comparisons))
        object.__setattr__(self, "regret_frac", regret(self.forecast.recommendation.strategy, self.comparisons))

    def outcome(self) -> Outcome:
        """What tables, pictures and pages show of it."""
        return replace(self.forecast.outcome(), measured={one.strategy: one.runs for one in self.comparisons})

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "scenario": self.forecast.scenario.model_dump(mode="json"),
            "recommendation": self.forecast.recommendation.to_dict(),
            "infeasible": self.forecast.infeasible,
            "plans": {name: plan.to_dict() for name, plan in self.forecast.plans.items()},
            "makespan_median_absolute_error_frac": plain(self.median_error_frac),
            "regret_frac": plain(self.regret_frac),
            "errors": {name: errors.to_dict() for name, errors in metric_errors(self.comparisons).items()},
            "request_errors": {name: errors.to_dict() for name, errors in request_errors(self.comparisons).items()},
            "strategies": {comparison.strategy: comparison.to_dict() for comparison in self.comparisons},
        }
