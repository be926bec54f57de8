"""Fitting the step equation (``cost.step``) to measured prefills and decode steps.

The equation is linear in its coefficients, and none of them can be negative: non-negative least squares in relative error,
``min Σ ((A x − t) / t)²``, one fit per number of threads. Bounds come from refitting to resampled residuals (bootstrap); the error
from one model to another from leaving each model out in turn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmpredict.calibrate.measurement import Measurement
from mmpredict.cost.coefficients import Kernel, StepCoefficients
from mmpredict.cost.step import PromptPiece, StepCost, StepFeatures, batch_features, decode_features
from mmpredict.errors import NotCalibratedError
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import DEFAULT_UBATCH_TOKENS

BOOTSTRAP_FITS = 60
_TERMS = ("layer_s", "prompt_s", "logit_s", "attention_decode_s", "attention_prefill_s")
_FEATURES = ("layers", "prompts", "logits", "decode_macs", "prefill_macs")


@dataclass(frozen=True, slots=True)
class StepObservation:
    """One measured duration and what it consists of."""

    model: str
    phase: str
    features: StepFeatures
    duration_s: float


def step_observations(rows: Iterable[Measurement], specs: Mapping[str, ModelSpec], threads: int) -> list[StepObservation]:
    """Prefills and decode runs at one number of threads and the default waiting rule; repeats become their median."""
    groups: dict[tuple[str, str, tuple[int, int]], list[tuple[StepFeatures, float]]] = {}
    for row in rows:
        if row.threads != threads or row.spincount is not None or row.kind not in ("prefill", "decode"):
            continue
        spec = specs[row.model]
        if row.kind == "prefill":
            tokens = int(row.number("tokens"))
            features = batch_features(spec, [], [PromptPiece(0, tokens, True)], DEFAULT_UBATCH_TOKENS)
            condition = (tokens, 0)
        else:
            sequences, depth, steps = (int(row.number(name)) for name in ("sequences", "depth", "steps"))
            features = decode_features(spec, [depth] * sequences, steps)
            condition = (sequences, depth)
        groups.setdefault((row.model, row.kind, condition), []).append((features, row.number("duration_s")))
    found = []
    for (model, phase, _), members in sorted(groups.items(), key=lambda item: item[0]):
        middle = sorted(members, key=lambda member: member[1])[(len(members) - 1) // 2]
        found.append(StepObservation(model, phase, *middle))
    return found


def fit_steps(observations: Sequence[StepObservation], seed: int = 0) -> StepCoefficients:
    """Fit the coefficients of one number of threads.

    Raises:
        NotCalibratedError: too few measurements.
    """
    if len(observations) < len(_TERMS):
        raise NotCalibratedError(f"{len(observations)} step measurements are too few to fit; run: mmpredict calibrate run")
    layout = _Layout.of(observations)
    best = layout.solve(observations)
    cost = StepCost(layout.coefficients(best, best, best))
    fitted_s = np.array([cost.duration_s(observation.features) for observation in observations])
    residuals = np.array([observation.duration_s for observation in observations]) / fitted_s
    generator = np.random.default_rng(seed)
    resampled = np.array(
        [layout.solve(observations, fitted_s * generator.choice(residuals, len(residuals))) for _ in range(BOOTSTRAP_FITS)]
    )
    return layout.coefficients(best, *np.percentile(resampled, [10.0, 90.0], axis=0))


def leave_one_model_out(observations: Sequence[StepObservation]) -> dict[str, list[float]]:
    """Log errors (predicted ÷ measured) of models that a fit has not seen, by phase.

    A model counts only where the others were measured in its weight types.
    """
    errors: dict[str, list[float]] = {"prefill": [], "decode": []}
    for model in sorted({observation.model for observation in observations}):
        rest = [observation for observation in observations if observation.model != model]
        if len(rest) < len(_TERMS):
            continue
        layout = _Layout.of(rest)
        zeros = np.zeros(layout.width)
        cost = StepCost(layout.coefficients(layout.solve(rest), zeros, zeros))
        for observation in observations:
            types = {weight_type for weight_type, _ in observation.features.weights}
            if observation.model == model and types <= set(cost.coefficients.kernels):
                errors[observation.phase].append(math.log(cost.duration_s(observation.features) / observation.duration_s))
    return errors


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which column of the design matrix belongs to which coefficient."""

    knots: dict[str, tuple[int, ...]]

    @classmethod
    def of(cls, observations: Sequence[StepObservation]) -> _Layout:
        seen: dict[str, set[int]] = {}
        for observation in observations:
            for weight_type, tokens in observation.features.weights:
                seen.setdefault(weight_type, set()).add(tokens)
        return cls({weight_type: tuple(sorted(seen[weight_type])) for weight_type in sorted(seen)})

    @property
    def width(self) -> int:
        return len(_TERMS) + sum(len(knots) for knots in self.knots.values())

    def solve(self, observations: Sequence[StepObservation], durations_s: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Coefficients by relative non-negative least squares, optionally for other durations than the observed ones."""
        from scipy.optimize import nnls

        if durations_s is None:
            durations_s = np.array([observation.duration_s for observation in observations])
        matrix = np.array([self._row(observation.features) for observation in observations]) / durations_s[:, None]
        scale = np.where(matrix.max(axis=0) > 0, matrix.max(axis=0), 1.0)
        solved, _ = nnls(matrix / scale, np.ones(len(observations)))
        return np.asarray(solved / scale, dtype=float)

    def _row(self, features: StepFeatures) -> NDArray[np.float64]:
        row = np.zeros(self.width)
        row[: len(_TERMS)] = [getattr(features, name) for name in _FEATURES]
        start = len(_TERMS)
        for weight_type, knots in self.knots.items():
            for (used, tokens), weights in features.weights.items():
                if used == weight_type:
                    row[start + knots.index(tokens)] += weights
            start += len(knots)
        return row

    def coefficients(self, best: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> StepCoefficients:
        kernels = {}
        start = len(_TERMS)
        for weight_type, knots in self.knots.items():
            part = slice(start, start + len(knots))
            # a step of more tokens cannot be quicker: repair knots that the fit left at zero or inverted
            rising = np.maximum.accumulate(best[part])
            kernels[weight_type] = Kernel(
                batch_tokens=knots,
                weight_s=tuple(map(float, rising)),
                weight_low_s=tuple(map(float, low[part])),
                weight_high_s=tuple(map(float, high[part])),
            )
            start += len(knots)
        terms = dict(zip(_TERMS, map(float, best[: len(_TERMS)]), strict=True))
        return StepCoefficients(kernels=kernels, **terms)
