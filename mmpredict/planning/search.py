"""Which of several predicted plans is best, by how much, and how surely."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmpredict.errors import InputError
from mmpredict.results.plain import plain
from mmpredict.results.prediction import Prediction


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The plan of the shortest expected makespan.

    Attributes:
        strategy: the recommended plan.
        ranking: every plan with its expected makespan, best first [s].
        runner_up: the second best, empty when there is none.
        margin_frac: makespan of the second ÷ that of the best − 1.
        probability: share of the draws in which the best is quicker than the second; both share each draw's luck.
    """

    strategy: str
    ranking: tuple[tuple[str, float], ...]
    runner_up: str
    margin_frac: float
    probability: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "strategy": self.strategy,
            "goal": "makespan_s",
            "ranking": [{"strategy": name, "makespan_s": plain(value)} for name, value in self.ranking],
            "runner_up": self.runner_up,
            "margin_frac": self.margin_frac,
            "probability": self.probability,
        }


def recommend(predictions: Sequence[Prediction]) -> Recommendation:
    """Rank predictions by expected makespan, the mean over the draws: what may become very slow is not worth a small gain.

    Ties go to the order given; plans that leave requests unanswered (``nan``) come last.

    Raises:
        InputError: no prediction.
    """
    if not predictions:
        raise InputError("there is nothing to recommend: no plan could be predicted")
    ordered = sorted(predictions, key=_expected_or_last)
    ranking = tuple((prediction.strategy, prediction.expected_makespan_s) for prediction in ordered)
    best = ordered[0]
    if len(ordered) == 1 or math.isnan(ranking[1][1]):
        return Recommendation(best.strategy, ranking, "", 0.0, 1.0)
    second = ordered[1]
    quicker = np.array(best.makespans_s) < np.array(second.makespans_s)
    margin = ranking[1][1] / ranking[0][1] - 1.0
    return Recommendation(best.strategy, ranking, second.strategy, margin, float(quicker.mean()) if len(quicker) else 1.0)


def _expected_or_last(prediction: Prediction) -> tuple[bool, float]:
    return math.isnan(prediction.expected_makespan_s), prediction.expected_makespan_s
