"""From measured speeds to the prices of one processor (``cost.rates``), with the error on models that were left out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mmpredict.calibrate.family import Family, Member
from mmpredict.calibrate.price_fit import Array, Equations, Fitted, equations, fit_prices
from mmpredict.calibrate.speed_row import SpeedRow
from mmpredict.cost.rates.parameters import Belief
from mmpredict.cost.rates.rates import MODEL_SPREAD, PHASES, Phase, PhaseError, Rates
from mmpredict.cost.rates.relative import REFERENCE_BANDWIDTH, REFERENCE_COMPUTE, beliefs_of
from mmpredict.cost.rates.step_terms import Conditions, decode_terms, prompt_terms
from mmpredict.cost.rates.term import Term
from mmpredict.errors import InputError, NotCalibratedError
from mmpredict.models.catalog import catalog_spec
from mmpredict.models.quantization.resized import base_type, resized
from mmpredict.models.resolve import GGUF_SUFFIX, resolve
from mmpredict.models.spec import ModelSpec

REPEAT_POWER = -0.6  # a model that was measured often counts more, but not as much more
EARLY_WEIGHT = 0.5  # what old builds show is worth less for today's
DEFAULT_UBATCH = 512  # llama.cpp's default, where a source does not say
COVERED = 0.8  # share of measurements that an interval is to hold
FEW_MODELS = 4  # below, nothing can be learnt from leaving one out
LEAST_SCALE = 0.8
FEW_MODELS_SCALE = 2.0
MOST_PARTS = 50  # that measurements are divided into for leaving one out


def terms_of(row: SpeedRow) -> list[Term]:
    """The work that a row measured.

    Raises:
        InputError: a model or a type of file that is not known.
    """
    spec = measured_spec(row.model, row.file_type, row.size_bytes)
    if row.early_recurrence and spec.shape.recurrent:
        raise InputError("a model with recurrent layers on a build from before March 2026, which had other kernels for them")
    kind = row.key_type or "f16"
    how = Conditions(row.n_ubatch or DEFAULT_UBATCH, kind, kind, row.early, row.served, row.sampled)
    if row.phase == "decode":
        return decode_terms(spec, row.parallel, row.depth, row.n_gen, how)
    return prompt_terms(spec, row.n_prompt, row.depth, how)


@lru_cache(4096)
def measured_spec(model: str, file_type: str, size_bytes: int) -> ModelSpec:
    """The model that was measured: of the rules' types, of types guessed from its size, or a GGUF file by its path."""
    if model.lower().endswith(GGUF_SUFFIX):
        return resolve(model)
    spec = catalog_spec(model, base_type(file_type))
    return resized(spec, file_type, size_bytes)


@dataclass(frozen=True, slots=True)
class FamilyRates:
    """What a family's measurements give.

    Attributes:
        members: prices of each member that was measured.
        common: what they have in common, for machines that were not measured; in reference units.
        left_out: what a fit without its model, or its test where a single model was measured, says of each measurement.
    """

    members: tuple[Rates, ...]
    common: Rates
    left_out: LeftOut


def fit_family(
    rows: Sequence[SpeedRow], members: Sequence[Member], rejected: Mapping[str, int] | None = None, known: Rates | None = None
) -> FamilyRates:
    """Fit the prices of relatives with one backend together.

    Args:
        rows: their measurements, at least one; all of one class of processor and one backend.
        members: the machines and modes that occur.
        rejected: measurements that were left out before, by reason.
        known: prices of a single member before these measurements, from which the fit departs; without, from what is usual.

    Raises:
        NotCalibratedError: no row can be used.
    """
    by_name = {(member.machine, member.mode): member for member in members}
    family = Family(rows[0].processor, members, beliefs_of(known, members[0].peaks) if known else None, rows[0].backend)
    refused = Counter(rejected or {})
    used: list[SpeedRow] = []
    work: list[list[Term]] = []
    for row in rows:
        try:
            work.append(family.terms(terms_of(row), by_name[row.machine, row.mode]))
        except InputError as error:
            refused[str(error)[:120]] += 1
            continue
        used.append(row)
    if not used:
        raise NotCalibratedError(f"none of {len(rows)} measurements can be used: {'; '.join(refused)}")
    system = equations(work, sorted(family.beliefs))
    measured = np.array([row.seconds for row in used])
    weights = _weights(used)
    fitted = fit_prices(system, measured, weights, family.beliefs)
    left_out = _leave_out(used, _parts(used, by_test=known is not None), system, measured, weights, family.beliefs, fitted)
    whole = _errors(left_out, known.errors if known else None)

    def described(chosen: Sequence[int], member: Member | None) -> Rates:
        own = [used[position] for position in chosen]
        first = own[0]
        return Rates(
            machine=member.machine if member else "",
            mode=member.mode if member else "",
            processor=first.processor,
            backend=first.backend,
            engines=tuple(sorted({row.engine for row in own})),
            builds=_span(row.build for row in own),
            first_date=min(row.date for row in own),
            last_date=max(row.date for row in own),
            rows=len(own),
            models=tuple(sorted({row.model for row in own})),
            rejected=dict(sorted(refused.items())) if member is None else {},
            bandwidth_bytes_per_s=member.peaks.bandwidth_bytes_per_s if member else REFERENCE_BANDWIDTH,
            compute_flop_per_s=member.peaks.compute_flop_per_s if member else REFERENCE_COMPUTE,
            sources=tuple(sorted({row.source.split(",")[0] for row in own})),
            rates=family.rates(system.names, fitted, member),
            errors=_errors(left_out.of(chosen), whole) if member else whole,
        )

    places = {member: [n for n, row in enumerate(used) if by_name[row.machine, row.mode] is member] for member in members}
    return FamilyRates(
        tuple(described(chosen, member) for member, chosen in places.items() if chosen),
        described(range(len(used)), None),
        left_out,
    )


def _weights(rows: Sequence[SpeedRow]) -> Array:
    repeats = Counter((row.model, row.file_type, row.phase) for row in rows)
    counts = np.array([repeats[row.model, row.file_type, row.phase] for row in rows], dtype=float)
    weights: Array = counts**REPEAT_POWER * np.where([row.early for row in rows], EARLY_WEIGHT, 1.0)
    return weights


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a fit to all other models says of each measurement.

    Attributes:
        rows: the measurements.
        error: predicted ÷ measured time − 1 [rows].
        score: |log error| in units of the computed spread [rows].
    """

    rows: tuple[SpeedRow, ...]
    error: Array
    score: Array

    def of(self, positions: Sequence[int]) -> LeftOut:
        """Some of the rows."""
        chosen = np.array(positions, dtype=int)
        return LeftOut(tuple(self.rows[position] for position in positions), self.error[chosen], self.score[chosen])


def _leave_out(
    rows: Sequence[SpeedRow],
    parts_of: NDArray[np.int_],
    system: Equations,
    measured_s: Array,
    weights: Array,
    believed: Mapping[str, Belief],
    all_of_them: Fitted,
) -> LeftOut:
    """Leave each part of the rows out in turn, on every machine at once."""
    error, score = np.zeros(len(rows)), np.zeros(len(rows))
    for part in sorted(set(parts_of)):
        out: NDArray[np.bool_] = parts_of == part
        fitted = fit_prices(system.of(~out), measured_s[~out], weights[~out], believed, all_of_them.logs)
        there = system.of(out)
        parts = there.parts_s(fitted.logs)
        slopes = there.slopes(parts)
        deviation = np.log(parts.sum(axis=1) / measured_s[out])
        variance = np.einsum("ij,jk,ik->i", slopes, fitted.covariance, slopes)
        error[out] = np.expm1(deviation)
        score[out] = np.abs(deviation) / np.sqrt(MODEL_SPREAD**2 + np.maximum(variance, 0.0))
    return LeftOut(tuple(rows), error, score)


def _parts(rows: Sequence[SpeedRow], by_test: bool) -> NDArray[np.int_]:
    """Which rows are left out together: those of a model; of a single one those of a test, where ``by_test`` allows that."""
    models = sorted({row.model for row in rows})
    if len(models) > 1 or not by_test:
        return np.array([models.index(row.model) for row in rows])
    tests = sorted({row.test for row in rows})
    return np.array([tests.index(row.test) % MOST_PARTS for row in rows])


def errors_of(rows: Sequence[SpeedRow], rates: Rates) -> dict[Phase, PhaseError]:
    """How far prices that were fitted without these measurements are off; measurements that cannot be used do not count."""
    used: list[SpeedRow] = []
    deviations: list[float] = []
    scores: list[float] = []
    for row in rows:
        try:
            terms = terms_of(row)
        except InputError:
            continue
        used.append(row)
        deviations.append(math.log(rates.seconds(terms) / row.seconds))
        scores.append(abs(deviations[-1]) * rates.errors[row.phase].scale / rates.log_halfwidth(terms, row.phase))
    return _errors(LeftOut(tuple(used), np.expm1(np.array(deviations)), np.array(scores)), rates.errors)


def _errors(left_out: LeftOut, family: Mapping[Phase, PhaseError] | None) -> dict[Phase, PhaseError]:
    """Errors by phase; the scale of intervals is conformal: it covers what it is to cover of the left-out measurements.

    A member with few models has the scale of its family.
    """
    models = np.array([row.model for row in left_out.rows])
    found: dict[Phase, PhaseError] = {}
    for phase in PHASES:
        chosen = np.array([row.phase == phase for row in left_out.rows], dtype=bool)
        score, names, error = left_out.score[chosen], models[chosen], left_out.error[chosen]
        count = len(score)
        if len(set(names)) >= FEW_MODELS:
            scale = max(float(np.quantile(score, COVERED)), LEAST_SCALE)
            limits = {model: np.quantile(score[names != model], COVERED) for model in set(names)}
            inside = sum(float(one <= limits[model]) for one, model in zip(score, names, strict=True))
        else:
            scale = family[phase].scale if family else FEW_MODELS_SCALE
            inside = float((score <= scale).sum())
        size = np.abs(error) if count else np.zeros(1)
        found[phase] = PhaseError(
            rows=count,
            median=round(float(np.median(size)), 4),
            p90=round(float(np.quantile(size, 0.9)), 4),
            bias=round(float(np.median(error)), 4) if count else 0.0,
            scale=round(scale, 4),
            covered=round(inside / count, 4) if count else 0.0,
        )
    return found


def _span(builds: Iterable[str]) -> str:
    stated = sorted({build for build in builds if build})
    return "" if not stated else stated[0] if len(stated) == 1 else f"{len(stated)} builds, {stated[0]} to {stated[-1]}"
