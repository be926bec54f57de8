"""By which factors real runs are slower than a calibration says: estimates drawn to 1 where little was seen.

What is estimated is a factor of each part of a run (``live_residuals``), on a logarithmic scale: θ for all models, and u_m
besides for each model m that was run. A round r of a question q (a scenario) shows of a model

    y_rm = θ + u_m + w_qm + drift_r

with the calibration's own spreads as priors: θ ~ N(0, τ²) with τ its ``machine_log_spread``; u and w ~ N(0, v² / 2), together its
``model_log_spread`` v, as a model's error is in part the same wherever it is run and in part not; and drift ~ N(0, s²),
s² = (2 τ² + (n − 1) · robust variance between rounds of a question) / (n + 1). ȳ_m is the mean over Q_m questions of the median
over their rounds, n_m in all. For n rounds and M models

    θ   = mean ȳ_m · τ² / (τ² + s² / n + mean (v² / 2 + v² / 2 Q_m) / M)
    u_m = (ȳ_m − θ) · v² / 2 / (v² / 2 + v² / 2 Q_m + s² / n_m)

(best linear unbiased prediction of a mixed model). Few models move other models by little, and one scenario moves what is predicted
of a model in others by half. Rounds, not requests, are counted, because requests of a round share its drift. The factors are found
in a few passes, as every pass simulates with those of the last.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from mmpredict.cost.coefficients import Coefficients
from mmpredict.results.history import NORMAL_QUARTILE
from mmpredict.validation.live_residuals import PARTS, STEPS, Group, Part

PRIOR_ROUNDS = 2  # what is known of drift before there are rounds counts as so many
REQUEST_LOG_SPREAD = 0.5  # what a request costs besides is a matter of the client, and no calibration says how sure it is


@dataclass(frozen=True, slots=True)
class Factor:
    """What rounds say of one part.

    Attributes:
        part, threads: which; threads are 0 where they do not matter.
        value: the factor that is taken for all models [1].
        of: model → its own factor besides [1].
        seen: model → the factor, in all, that would fit its rounds best [1].
        rounds: behind it [1].
    """

    part: Part
    threads: int
    value: float
    of: Mapping[str, float]
    seen: Mapping[str, float]
    rounds: int

    def log_of(self, model: str) -> float:
        """Logarithm of what is taken for a model."""
        return math.log(self.value * self.of.get(model, 1.0))


def estimate(
    rounds: Sequence[Mapping[Group, Mapping[str, float]]], questions: Sequence[str], used: Sequence[Factor], own: Coefficients
) -> tuple[tuple[Factor, ...], float]:
    """Factors, and the spread of the machine's speed from one round to the next.

    Args:
        rounds: of each round group → model → what it leaves beyond the factors ``used``, see ``live_residuals``.
        questions: of each round, what it was about.
        used: factors that rounds were simulated with.
        own: the calibration.
    """
    known = {(one.part, one.threads): one for one in used}
    factors, left = [], defaultdict(list)
    for group in sorted({group for one in rounds for group in one}, key=lambda one: (PARTS.index(one.part), one.threads)):
        logs: dict[str, dict[int, float]] = defaultdict(dict)  # by model and round
        for number, one in enumerate(rounds):
            for model, value in one.get(group, {}).items():
                logs[model][number] = value + (known[group].log_of(model) if group in known else 0.0)
        levels = {model: _levels(values, questions) for model, values in logs.items()}
        drifts = {
            number: fmean(logs[model][number] - levels[model][questions[number]] for model in one[group])
            for number, one in enumerate(rounds)
            if group in one
        }
        factors.append(_factor(group, levels, {model: len(values) for model, values in logs.items()}, drifts, own))
        if group.part in STEPS:
            for number, drift in drifts.items():
                left[number].append(drift)
    return tuple(factors), _machine_spread([fmean(values) for values in left.values()], own.machine_log_spread)


def _levels(logs: Mapping[int, float], questions: Sequence[str]) -> dict[str, float]:
    """Question → median over its rounds."""
    found: dict[str, list[float]] = defaultdict(list)
    for number, value in logs.items():
        found[questions[number]].append(value)
    return {question: median(values) for question, values in found.items()}


def _factor(
    group: Group,
    levels: Mapping[str, Mapping[str, float]],
    counts: Mapping[str, int],
    drifts: Mapping[int, float],
    own: Coefficients,
) -> Factor:
    middle = {model: fmean(found.values()) for model, found in sorted(levels.items())}
    prior = (REQUEST_LOG_SPREAD if group.part == "request" else own.machine_log_spread) ** 2
    half = _model_spread(group.part, own) ** 2 / 2
    drift = _drift_variance(list(drifts.values()), prior)
    uncertain = prior + drift / len(drifts) + fmean(half + half / len(found) for found in levels.values()) / len(levels)
    common = fmean(middle.values()) * prior / uncertain if uncertain else 0.0
    of = {
        model: math.exp((level - common) * half / (half + half / len(levels[model]) + drift / counts[model]))
        for model, level in middle.items()
        if half
    }
    seen = {model: math.exp(level) for model, level in middle.items()}
    return Factor(group.part, group.threads, math.exp(common), of, seen, len(drifts))


def _drift_variance(drifts: Sequence[float], prior: float) -> float:
    """Variance between rounds: robust, and drawn to what was known before (a variance too)."""
    middle = median(drifts)
    robust = median(abs(value - middle) for value in drifts) / NORMAL_QUARTILE
    return (PRIOR_ROUNDS * prior + (len(drifts) - 1) * robust**2) / (PRIOR_ROUNDS + len(drifts) - 1)


def _machine_spread(drifts: Sequence[float], log_spread: float) -> float:
    """Spread of the machine's speed in a further round: drift, and what is left of not knowing its middle."""
    if not drifts or not log_spread:
        return log_spread
    prior = log_spread**2
    drift = _drift_variance(drifts, prior)
    return math.sqrt(drift + prior * drift / (len(drifts) * prior + drift))


def _model_spread(part: Part, own: Coefficients) -> float:
    if part == "load":
        return own.loading.log_spread
    return 0.0 if part == "request" else own.model_log_spread[part]
