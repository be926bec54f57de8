"""``forecast`` and ``validate``: predicting the plans of a scenario, before a run and for what a run answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from mmpredict.costing import CalibratedCosting, Costing
from mmpredict.hardware.profile import HardwareProfile
from mmpredict.models.spec import ModelSpec
from mmpredict.results.prediction import Prediction
from mmpredict.results.records import Records
from mmpredict.scenario import Scenario
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.repeat import predict_plan
from mmpredict.simulation.residency import check_memory
from mmpredict.simulation.site import site_of
from mmpredict.validation.answered import as_answered
from mmpredict.workload.request import Workload


def usable_bytes(profile: HardwareProfile) -> float:
    """Main memory that models may take now, or on a machine that is not here [bytes]."""
    return profile.cpu_memory.usable_bytes.value


@dataclass(frozen=True)
class Forecaster:
    """Predicts plans of a scenario.

    Attributes:
        question: the scenario.
        profile: its machine.
        costing: what is known of that.
        draws: simulations behind the intervals; the usual number when not given [1].
        seed: of the draws.
    """

    question: Scenario
    profile: HardwareProfile
    costing: Costing
    draws: int | None = None
    seed: int = 0

    @cached_property
    def _workload(self) -> Workload:
        return self.question.workload()

    @cached_property
    def _specs(self) -> Mapping[str, ModelSpec]:
        return self.question.specs()

    def predict(self, plan: Plan, workload: Workload | None = None) -> Prediction:
        """What a plan will come to.

        Args:
            plan: one of the scenario's.
            workload: instead of the scenario's.

        Raises:
            DoesNotFitError: it does not fit the machine.
            InputError: the machine's profile says too little.
        """
        specs, workload = self._specs, workload or self._workload
        usable = usable_bytes(self.profile)
        if isinstance(self.costing, CalibratedCosting):
            check_memory(plan, specs, usable)
        source = self.costing.source(plan, specs, workload)
        site = site_of(self.profile, usable, on_gpu=not source.on_cpu)
        # What is free changes from moment to moment and decides what fits; the records name what there is.
        capacity_bytes = self.profile.cpu_memory.capacity_bytes.value
        return predict_plan(plan, workload, specs, source, usable, self.draws, self.seed, self.question.cold, capacity_bytes, site)

    def of_answers(self, prediction: Prediction, plan: Plan, runs: Sequence[Records]) -> Prediction:
        """What to hold runs against: a prediction is of answers as long as asked for, and models may end theirs before.

        Args:
            prediction: of the plan.
            plan: that was run.
            runs: what it came to, each time.

        Returns:
            The prediction where all answers are as long as asked for; else the same for as many tokens as came.
        """
        answered = as_answered(self._workload, runs)
        if answered is None:
            return prediction
        again = self.predict(plan, answered)
        shorter = len(set(answered.requests) - set(self._workload.requests))
        sentence = (
            f"{shorter} of {len(answered.requests)} answers were shorter than asked for: what is held against the run is a "
            "prediction for as many tokens as came, made afterwards"
        )
        return replace(again, warnings=(*again.warnings, sentence))
