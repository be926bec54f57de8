"""Correcting a machine's calibration by its real runs, and finding out on runs that were left out whether that helps."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from mmpredict.cost.chain import CalibratedSource
from mmpredict.cost.coefficients import Coefficients, Correction
from mmpredict.cost.contention import is_yielding
from mmpredict.cost.correction import corrected, uncorrected
from mmpredict.cost.pace import with_pace
from mmpredict.errors import InputError, MmpredictError
from mmpredict.live.describe import spec_of
from mmpredict.models.spec import ModelSpec
from mmpredict.results.compare import Errors, PlanComparison, compare, metric_errors, request_errors
from mmpredict.results.prediction import Prediction
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.repeat import predict_plan
from mmpredict.validation.executed import Executed
from mmpredict.validation.history import PastRun
from mmpredict.validation.live_factors import Factor, estimate
from mmpredict.validation.live_residuals import Group, oversubscribed, residuals

LEAST_ROUNDS = 2
HELD_OUT = 3  # every third round, the newest ones, is left out of the fit that is tested
PASSES = 4
DRAWS = 60
JUDGED = ("makespan_s", "ttft_p50_s", "e2e_p50_s")

Progress = Callable[[str, float], None]
Described = tuple[Executed, Mapping[str, ModelSpec]]
"""A run, and what the models of its plan are."""
Round = Sequence[Described]


@dataclass(frozen=True, slots=True)
class LiveFit:
    """A correction, and what it does on rounds that it was not fitted to.

    Attributes:
        coefficients: corrected by all rounds.
        factors: of all rounds.
        before, after: errors on the newest rounds, of the calibration alone and corrected by the older rounds alone.
        score_before, score_after: mean of the absolute logarithmic error of ``JUDGED`` on the same [1].
        fitted, held_out: rounds of that test [1].
        runs: used in all [1].
        left_out: why other runs were not used.
    """

    coefficients: Coefficients
    factors: tuple[Factor, ...]
    before: Mapping[str, Errors]
    after: Mapping[str, Errors]
    score_before: float
    score_after: float
    fitted: int
    held_out: int
    runs: int
    left_out: tuple[str, ...]

    @property
    def better(self) -> bool:
        """Whether predictions of rounds that were left out do not get worse."""
        return self.score_after <= self.score_before

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "factors": [asdict(one) for one in self.factors],
            "machine_log_spread": self.coefficients.machine_log_spread,
            "before": {name: errors.to_dict() for name, errors in self.before.items()},
            "after": {name: errors.to_dict() for name, errors in self.after.items()},
            "score_before": self.score_before,
            "score_after": self.score_after,
            "better": self.better,
            "rounds": {"fitted": self.fitted, "held_out": self.held_out},
            "runs": self.runs,
            "left_out": list(self.left_out),
        }


def fit_live(past: Sequence[PastRun], coefficients: Coefficients, learnt_on: str, progress: Progress) -> LiveFit:
    """Correct coefficients by real runs.

    Args:
        past: runs of this machine and engine build, oldest first.
        coefficients: of the calibration; a correction that they have is not built upon, but made anew, and a pace left out.
        learnt_on: today's date (ISO), for the record.
        progress: called with (what is happening, fraction done).

    Raises:
        InputError: there are fewer than two rounds of runs that can be used.
    """
    own = uncorrected(with_pace(coefficients, None))
    groups: dict[tuple[str, int, int], list[Described]] = defaultdict(list)
    days, left_out = [], []
    for one in past:
        try:
            specs = _specs(one.run, own.cores)
        except MmpredictError as error:
            left_out.append(str(error))
            continue
        groups[one.check.at, one.number, one.run.turn].append((one.run, specs))
        days.append(one.check.day)
    rounds = [groups[key] for key in sorted(groups)]
    if len(rounds) < LEAST_ROUNDS:
        reasons = f" ({'; '.join(dict.fromkeys(left_out))})" if left_out else ""
        raise InputError(
            f"the history holds {len(rounds)} rounds of real runs that can be used{reasons}; at least {LEAST_ROUNDS} are needed: "
            "run mmpredict validate SCENARIO --repeat 3"
        )
    held_out = max(1, len(rounds) // HELD_OUT)
    older, newest = rounds[:-held_out], [run for members in rounds[-held_out:] for run in members]
    progress("fitting older rounds", 0.0)
    trial, _ = _fit(older, own, learnt_on, days)
    progress("predicting the newest rounds", 0.3)
    before, after = (_compared(newest, one) for one in (own, trial))
    progress("fitting all rounds", 0.8)
    fitted, factors = _fit(rounds, own, learnt_on, days)
    errors = [
        {**metric_errors(one), **{f"request_{name}": two for name, two in request_errors(one).items()}} for one in (before, after)
    ]
    kept = {
        f"{name}_{when}": found[name].median_absolute_frac
        for when, found in zip(("before", "after"), errors, strict=True)
        for name in JUDGED
    }
    assert fitted.correction is not None
    fitted = fitted.model_copy(update={"correction": fitted.correction.model_copy(update={"errors": kept})})
    progress("done", 1.0)
    return LiveFit(
        fitted,
        factors,
        errors[0],
        errors[1],
        _score(before),
        _score(after),
        len(older),
        held_out,
        len(days),
        tuple(left_out),
    )


def _specs(run: Executed, cores: int) -> dict[str, ModelSpec]:
    """What the models of a run's plan are.

    Raises:
        InputError: the run tells nothing, or a model is no longer there.
    """
    if any(row.status != "ok" for row in run.records.requests):
        raise InputError(f"requests of {run.plan.strategy} failed")
    if _spins(run.plan, cores):
        raise InputError(f"{run.plan.strategy}: servers with more threads than cores that spin tell nothing of a speed")
    return {name: spec_of(real, Path(run.base) if run.base else None) for name, real in run.models.items()}


def _spins(plan: Plan, cores: int) -> bool:
    return oversubscribed(plan, cores) and any(one.threads > 1 and not is_yielding(one.spincount) for one in plan.instances)


def _fit(
    rounds: Sequence[Round], own: Coefficients, learnt_on: str, days: Sequence[str]
) -> tuple[Coefficients, tuple[Factor, ...]]:
    current, factors = own, tuple[Factor, ...]()
    runs = [run for members in rounds for run, _ in members]
    questions = [_question(members) for members in rounds]
    names = sorted({real for run in runs for real in run.models.values()})
    for _ in range(PASSES):
        seen = [_round_residuals(members, current) for members in rounds]
        factors, spread = estimate(seen, questions, factors, own)
        correction = Correction(
            learnt_on=learnt_on,
            first=min(days),
            last=max(days),
            runs=len(runs),
            rounds=len(rounds),
            models=tuple(names),
            prefill={one.threads: one.value for one in factors if one.part == "prefill"},
            decode={one.threads: one.value for one in factors if one.part == "decode"},
            prefill_of={one.threads: dict(one.of) for one in factors if one.part == "prefill"},
            decode_of={one.threads: dict(one.of) for one in factors if one.part == "decode"},
            load=next((one.value for one in factors if one.part == "load"), 1.0),
            load_of=next((dict(one.of) for one in factors if one.part == "load"), {}),
            request=next((one.value for one in factors if one.part == "request"), 1.0),
            calibrated_log_spread=own.machine_log_spread,
        )
        current = corrected(own, correction, spread)
    return current, factors


def _question(members: Round) -> str:
    """What a round was about: its requests, whatever the scenario is called."""
    return repr(members[0][0].workload)


def _round_residuals(runs: Round, coefficients: Coefficients) -> dict[Group, dict[str, float]]:
    """Group → model → median over the runs of a round."""
    found: dict[Group, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run, specs in runs:
        for group, models in residuals(run, specs, coefficients).items():
            for model, value in models.items():
                found[group][model].append(value)
    return {group: {model: median(values) for model, values in models.items()} for group, models in found.items()}


def _compared(runs: Round, coefficients: Coefficients) -> list[PlanComparison]:
    """Each run beside its prediction; equal questions are asked once."""
    source, known = CalibratedSource(coefficients), dict[Any, Prediction]()
    found = []
    for run, specs in runs:
        question = (run.plan, run.workload, run.cold, run.base)
        if question not in known:
            known[question] = predict_plan(run.plan, run.workload, specs, source, math.inf, DRAWS, cold=run.cold)
        found.append(compare(known[question], run.records))
    return found


def _score(comparisons: Sequence[PlanComparison]) -> float:
    found = [comparison.metrics[name] for comparison in comparisons for name in JUDGED]
    return fmean(abs(math.log(one.predicted.value / one.measured)) for one in found if one.measured > 0.0)
