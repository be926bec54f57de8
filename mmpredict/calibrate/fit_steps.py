"""Fitting the step equation (``cost.step``) to measured prefills and decode steps.

The size of the caches is taken from a grid, the best for all numbers of threads is kept. For each candidate the equation is
linear in all other coefficients, and none of them can be negative: non-negative least squares in relative error, ``min Σ ((A x
− t) / t)²``; large errors then weigh less, by the Huber function. A step of more tokens is hardly quicker, so what is solved
for are the increases from one number of tokens to the next: a number that hardly occurs is then held between its neighbours.
Kernels that are others for one token than for several may be slower for one, and three tokens may take longer than four
(``ODD``). One fit per number of threads. Bounds come from refits to resampled residuals (bootstrap); the error from one model
to another from leaving each model out in turn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmpredict.calibrate.measurement import MASKED_CELLS, Measurement
from mmpredict.calibrate.repeats import DEVIATION_OF_MEDIAN, Condition, capped_mean, condition_of
from mmpredict.cost.chunks import TILED_TYPES
from mmpredict.cost.coefficients import Kernel, StepCoefficients
from mmpredict.cost.matrices import EXPERTS
from mmpredict.cost.piece import PromptPiece
from mmpredict.cost.step import (
    StepCost,
    StepFeatures,
    batch_features,
    decode_features,
    far_share,
    masking_heads,
)
from mmpredict.errors import NotCalibratedError
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import DEFAULT_UBATCH_TOKENS

MASKED_CORE_S = {"masked_decode_s": 3.4e-9, "masked_prefill_s": 2.2e-9}
"""Time of one core to pass over a masked cell, per head [s], for calibrations that did not measure it (before 2026-11-27): with two
threads and 1680 cells of other slots on a 2.1 GHz Xeon (``docs/design.md``)."""
BOOTSTRAP_FITS = 60
CACHE_CANDIDATES_BYTES = tuple(size * 1e6 for size in (0, 16, 24, 32, 40, 48, 56, 64, 80, 96, 128, 192, 256))
SATURATED_TOKENS = 128  # from here on a multiplication takes time in proportion to its tokens
INDIFFERENT_ERROR = 1e-12
AS_WELL = 0.05
"""Sums of squares that are no further apart are equally good: half of the standard error of one of 200 measurements [1]."""
HUBER = 1.5  # spreads; of errors that are normal after all, 96 % of the information is kept [1]
HUBER_ROUNDS = 4  # which errors are large settles in two or three
DEAREST_PAIR = 6.0
"""Time of two tokens ÷ that of one, at most [1]: 4.4 was seen, of Q8_0 on an EPYC. That two take no longer than one after the other
would be plausible, but llama.cpp has other kernels for several tokens, and does not look which are quicker."""
ODD = 3
"""Number of tokens that may take longer than more of them: kernels that take two columns at a time are left with one."""
DIFFERENT_FAR = 0.4
"""Shares of weights from memory, among the models of a type, that must be apart by so much to tell what memory costs more than a
cache; of other types it stays part of what they cost altogether [1]."""
MOST_OPEN = 2.0
"""Leverage from which on a model left out says nothing of how far models differ: two thirds of the variance of its prediction are
what the others leave open [1]."""
_COLUMNS = {
    "layer_s": "layers",
    "prompt_s": "prompts",
    "logit_s": "logits",
    "sampled_s": "sampled",
    "attention_decode_s": "decode_macs",
    "attention_prefill_s": "prefill_macs",
    "cell_byte_s": "cell_bytes",
    "written_s": "written",
    "masked_decode_s": "masked_decode",
    "masked_prefill_s": "masked_prefill",
    "again_s": "again",
    "single_row_s": "single_rows",
    "cell_row_s": "cell_rows",
}
"""Coefficient → the feature that it is the price of."""
_TERMS = tuple(_COLUMNS)
_FAR_TERMS = ("single_row_s", "cell_row_s")  # prices of what comes from memory


@dataclass(frozen=True, slots=True)
class StepObservation:
    """One measured duration and what it consists of."""

    model: str
    phase: str
    features: StepFeatures
    duration_s: float


def step_observations(rows: Iterable[Measurement], specs: Mapping[str, ModelSpec], threads: int) -> list[StepObservation]:
    """Prefills and decode runs at one number of threads and the default waiting rule; repeats become one (``_typical``)."""
    groups: dict[tuple[str, Condition], list[tuple[StepFeatures, float]]] = {}
    for row in rows:
        if row.threads != threads or row.spincount is not None or row.kind not in ("prefill", "decode"):
            continue
        spec, masked = specs[row.model], row.number(MASKED_CELLS) if MASKED_CELLS in row.values else 0.0
        if row.kind == "prefill":
            tokens = int(row.number("tokens"))
            features = batch_features(spec, [], [PromptPiece(0, tokens, True)], DEFAULT_UBATCH_TOKENS, threads)
        else:
            sequences, depth, steps = (int(row.number(name)) for name in ("sequences", "depth", "steps"))
            features = decode_features(spec, [depth] * sequences, steps, threads)
            tokens = sequences * steps
        passed = masked * tokens * masking_heads(spec)
        features = replace(features, masked_prefill=passed) if row.kind == "prefill" else replace(features, masked_decode=passed)
        groups.setdefault((row.model, condition_of(row)), []).append((features, row.number("duration_s")))
    found = []
    for (model, (phase, *_)), members in sorted(groups.items(), key=lambda item: item[0]):
        found.append(StepObservation(model, phase, *_typical(members)))
    return found


def _typical(repeats: Sequence[tuple[StepFeatures, float]]) -> tuple[StepFeatures, float]:
    """The repeat with the middle pace, with the mean of all paces."""
    ordered = sorted(repeats, key=lambda repeat: repeat[1] / repeat[0].layers)
    features, _ = ordered[(len(ordered) - 1) // 2]
    return features, features.layers * capped_mean([seconds / work.layers for work, seconds in ordered])


def fit_cache(observations: Iterable[Sequence[StepObservation]]) -> float:
    """The smallest candidate for the caches' size that explains all numbers of threads about as well as the best [bytes].

    A machine's caches are the same whatever the number of threads, and one number alone hardly tells them in a restless hour.
    Between the sizes of the measured models nothing does, and a size that is too large costs more than one that is too small:
    models that it wrongly holds are predicted too fast by a third, those that it wrongly does not a few per cent too slow.
    """
    members = [found for found in observations if found]
    residuals = [sum(_Layout.of(found, size).residual(found) for found in members) for size in CACHE_CANDIDATES_BYTES]
    enough = (1.0 + AS_WELL) * min(residuals) + INDIFFERENT_ERROR
    return next(size for size, found in zip(CACHE_CANDIDATES_BYTES, residuals, strict=True) if found <= enough)


def fit_steps(observations: Sequence[StepObservation], cache_bytes: float, seed: int = 0) -> StepCoefficients:
    """Fit the coefficients of one number of threads.

    Args:
        observations: measured there.
        cache_bytes: what the machine's caches hold [bytes].
        seed: of the bootstrap.

    Raises:
        NotCalibratedError: too few measurements.
    """
    if len(observations) < len(_TERMS):
        raise NotCalibratedError(f"{len(observations)} step measurements are too few to fit; run: mmpredict calibrate run")
    layout = _Layout.of(observations, cache_bytes)
    best = layout.solve(observations)
    cost = StepCost(layout.coefficients(best, best, best))
    fitted_s = np.array([cost.duration_s(observation.features) for observation in observations])
    residuals = np.array([observation.duration_s for observation in observations]) / fitted_s
    generator = np.random.default_rng(seed)
    resampled = np.array(
        [layout.solve(observations, fitted_s * generator.choice(residuals, len(residuals))) for _ in range(BOOTSTRAP_FITS)]
    )
    return layout.coefficients(best, *np.percentile(resampled, [10.0, 90.0], axis=0))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A measurement of a model that a fit has not seen.

    Attributes:
        log_error: logarithm of predicted ÷ measured [1].
        leverage: variance of the prediction, as far as the other measurements leave coefficients open, ÷ that of a measurement [1].
    """

    log_error: float
    leverage: float

    @property
    def own_error(self) -> float:
        """The error without the part that comes from having left the model out: probes that alone tell a price leave it open."""
        return self.log_error / math.sqrt(1.0 + self.leverage)


def leave_one_model_out(observations: Sequence[StepObservation], cache_bytes: float) -> dict[str, list[LeftOut]]:
    """Errors of models that a fit has not seen, by phase.

    A measurement counts only where the other models were measured in its weight types and numbers of tokens, tell what memory
    and rows of these types cost, and do not leave most of it open (``MOST_OPEN``).
    """
    found: dict[str, list[LeftOut]] = {"prefill": [], "decode": []}
    whole = _Layout.of(observations, cache_bytes)
    told = whole.solve(observations)[: len(_TERMS)] > 0
    for model in sorted({observation.model for observation in observations}):
        rest = [observation for observation in observations if observation.model != model]
        if len(rest) < len(_TERMS):
            continue
        layout = _Layout.of(rest, cache_bytes)
        own = [
            observation for observation in observations if observation.model == model and layout.covers(observation.features, whole)
        ]
        if not own:
            continue
        solution = layout.solve(rest)
        cost = StepCost(layout.coefficients(solution, solution, solution))
        for observation, leverage in zip(own, layout.leverages(solution, told, rest, own), strict=True):
            if leverage < MOST_OPEN:
                log_error = math.log(cost.duration_s(observation.features) / observation.duration_s)
                found[observation.phase].append(LeftOut(log_error, leverage))
    return found


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which column of the design matrix belongs to which coefficient, for one candidate of the cache's size.

    Columns: ``_TERMS``, then the knots of each kernel, then what memory costs more, for each type of ``sized``, and what a row
    from there costs, for each type of ``tiled``.
    """

    knots: dict[str, tuple[int, ...]]
    sized: tuple[str, ...]
    tiled: tuple[str, ...]
    cache_bytes: float

    @classmethod
    def of(cls, observations: Sequence[StepObservation], cache_bytes: float) -> _Layout:
        """The layout of what was observed."""
        seen: dict[str, set[int]] = {}
        for observation in observations:
            for weight_type, tokens in observation.features.weights:
                seen.setdefault(weight_type, set()).add(min(tokens, SATURATED_TOKENS))
        knots = {weight_type: tuple(sorted(seen[weight_type])) for weight_type in sorted(seen)}
        return cls(knots, _sized(observations, cache_bytes), _tiled(observations), cache_bytes)

    @property
    def width(self) -> int:
        return len(_TERMS) + sum(len(knots) for knots in self.knots.values()) + len(self.sized) + len(self.tiled)

    def solve(self, observations: Sequence[StepObservation], durations_s: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Coefficients by relative non-negative least squares, optionally for other durations than the observed ones.

        Errors beyond ``HUBER`` spreads count as their size only, not as its square (P. J. Huber, Robust estimation of a location
        parameter, 1964), by solving again with less weight for them.
        """
        measured_s = np.array([observation.duration_s for observation in observations]) if durations_s is None else durations_s
        solution = self._solve(observations, measured_s, np.ones(len(observations)))[0]
        for _ in range(HUBER_ROUNDS):
            cost = StepCost(self.coefficients(solution, solution, solution))
            errors = np.array([cost.duration_s(observation.features) for observation in observations]) / measured_s - 1
            allowed = HUBER * DEVIATION_OF_MEDIAN * float(np.median(np.abs(errors))) + INDIFFERENT_ERROR
            weights = np.sqrt(np.minimum(1.0, allowed / np.maximum(np.abs(errors), INDIFFERENT_ERROR)))
            if (weights == 1.0).all():
                break
            solution = self._solve(observations, measured_s, weights)[0]
        return solution

    def residual(self, observations: Sequence[StepObservation]) -> float:
        """Sum of squared relative errors of the best coefficients [1]."""
        durations_s = np.array([observation.duration_s for observation in observations])
        return self._solve(observations, durations_s, np.ones(len(observations)))[1]

    def covers(self, features: StepFeatures, whole: _Layout) -> bool:
        """Whether there is a coefficient for everything that there is one for with all models."""
        apart = set(whole.sized) - set(self.sized) | set(whole.tiled) - set(self.tiled)
        return all(
            min(tokens, SATURATED_TOKENS) in self.knots.get(weight_type, ()) and weight_type.removesuffix(EXPERTS) not in apart
            for weight_type, tokens in features.weights
        )

    def leverages(
        self,
        solution: NDArray[np.float64],
        told: NDArray[np.bool_],
        seen: Sequence[StepObservation],
        others: Sequence[StepObservation],
    ) -> list[float]:
        """``aᵀ (Aᵀ A)⁻¹ a`` of each other measurement, in relative error [1].

        Coefficients that are held at 0 are known, but for those of ``_TERMS`` that all measurements together do not hold there
        (``told``): who was left out alone tells them. Infinite where the others know nothing of what a measurement consists of.
        """
        rises = self._rises()
        free = np.linalg.solve(rises, solution) > 0
        free[: len(_TERMS)] |= told
        known, wanted = (
            np.array([self._row(one.features) / one.duration_s for one in members]) @ rises[:, free] for members in (seen, others)
        )
        scale = known.max(axis=0)
        lacking = scale <= 0.0
        known, needed = known[:, ~lacking] / scale[~lacking], wanted[:, ~lacking] / scale[~lacking]
        inverse = np.linalg.pinv(known.T @ known, hermitian=True)
        own = np.einsum("ij,jk,ik->i", needed, inverse, needed)
        return [float(value) for value in np.where((wanted[:, lacking] > 0.0).any(axis=1), math.inf, own)]

    def _solve(
        self, observations: Sequence[StepObservation], durations_s: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], float]:
        """Coefficients and the sum of squared relative errors, each times its weight squared."""
        from scipy.optimize import nnls

        terms = np.array([self._row(observation.features) for observation in observations])
        rises = self._rises()
        linear = terms @ rises / (durations_s / weights)[:, None]
        scale = np.where(linear.max(axis=0) > 0, linear.max(axis=0), 1.0)
        solved, residual = nnls(linear / scale, weights)
        return rises @ np.asarray(solved / scale, dtype=float), float(residual) ** 2

    def _rises(self) -> NDArray[np.float64]:
        """Coefficients from what is solved for: those of weights are sums of increases, the others are themselves.

        Two tokens never take more than ``DEAREST_PAIR`` times as long as one, so a part of the first increase is part of what one
        takes already. Of ``TILED_TYPES`` one token is multiplied by another kernel than several, and may take longer.
        """
        rises = np.eye(self.width)
        start = len(_TERMS)
        for weight_type, knots in self.knots.items():
            end = start + len(knots)
            rises[start:end, start:end] = np.tri(len(knots))
            if ODD in knots:  # what it takes more than the number before it is no part of what follows
                odd = knots.index(ODD)
                rises[start + odd + 1 : end, start + odd] = 0.0
            if len(knots) > 1 and knots[0] == 1 and weight_type.removesuffix(EXPERTS) in TILED_TYPES:
                rises[start + 1 : end, start] = 0.0
                rises[start, start + 1] = 1.0 / DEAREST_PAIR
            elif len(knots) > 1:
                rises[start:end, start + 1] += knots[0] / (knots[1] - knots[0]) / (DEAREST_PAIR - 1.0)
            start = end
        return rises

    def _row(self, features: StepFeatures) -> NDArray[np.float64]:
        far = far_share(features.pass_bytes, self.cache_bytes)
        row = np.zeros(self.width)
        row[: len(_TERMS)] = [
            getattr(features, feature) * (far if term in _FAR_TERMS else 1.0) for term, feature in _COLUMNS.items()
        ]
        start = len(_TERMS)
        for weight_type, knots in self.knots.items():
            for (used, tokens), weights in features.weights.items():
                if used == weight_type:
                    knot = min(tokens, SATURATED_TOKENS)
                    row[start + knots.index(knot)] += weights * tokens / knot
            start += len(knots)
        for (used, _), weights in features.weights.items():
            if (base := used.removesuffix(EXPERTS)) in self.sized:
                row[start + self.sized.index(base)] += weights * far
        for name, rows in features.tiled_rows.items():
            if name in self.tiled:
                row[start + len(self.sized) + self.tiled.index(name)] += rows * far
        return row

    def coefficients(self, best: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> StepCoefficients:
        kernels = {}
        start = len(_TERMS)
        for weight_type, knots in self.knots.items():
            part = slice(start, start + len(knots))
            kernels[weight_type] = Kernel(
                batch_tokens=knots,
                weight_s=tuple(map(float, best[part])),
                weight_low_s=tuple(map(float, low[part])),
                weight_high_s=tuple(map(float, high[part])),
            )
            start += len(knots)
        terms: dict[str, Any] = dict(zip(_TERMS, map(float, best[: len(_TERMS)]), strict=True))
        rows = start + len(self.sized)
        return StepCoefficients(
            kernels=kernels,
            far_s=dict(zip(self.sized, map(float, best[start:rows]), strict=True)),
            row_s=dict(zip(self.tiled, map(float, best[rows:]), strict=True)),
            cache_bytes=self.cache_bytes,
            **terms,
        )


def _sized(observations: Sequence[StepObservation], cache_bytes: float) -> tuple[str, ...]:
    """Weight types of models so different in size that memory is told from a cache of ``cache_bytes`` (``DIFFERENT_FAR``)."""
    shares: dict[str, list[float]] = {}
    for observation in observations:
        for weight_type, _ in observation.features.weights:
            shares.setdefault(weight_type.removesuffix(EXPERTS), []).append(far_share(observation.features.pass_bytes, cache_bytes))
    return tuple(name for name, found in sorted(shares.items()) if max(found) - min(found) >= DIFFERENT_FAR)


def _tiled(observations: Sequence[StepObservation]) -> tuple[str, ...]:
    """Weight types read in tiles of which several models were measured: of one alone, rows are in proportion to weights."""
    models: dict[str, set[str]] = {}
    for observation in observations:
        for weight_type in observation.features.tiled_rows:
            models.setdefault(weight_type, set()).add(observation.model)
    return tuple(name for name, found in sorted(models.items()) if len(found) > 1)
