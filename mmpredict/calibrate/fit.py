"""From raw measurements to the coefficients of one machine and engine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmpredict.calibrate.fit_company import contention
from mmpredict.calibrate.fit_steps import MASKED_CORE_S, LeftOut, fit_cache, fit_steps, leave_one_model_out, step_observations
from mmpredict.calibrate.measurement import MASKED_CELLS, ROUND, Measurement, measured_at_s, of_kind
from mmpredict.calibrate.repeats import at_mean_pace, condition_of, duration_s, minutes_spread
from mmpredict.calibrate.rest import rests
from mmpredict.cost.coefficients import (
    Coefficients,
    LoadCoefficients,
    MemoryCoefficients,
)
from mmpredict.cost.drift import HOURS_SPREAD
from mmpredict.cost.loading import load_features
from mmpredict.cost.memory import Touched, instance_memory
from mmpredict.cost.overhead import Overhead, overhead_of_build
from mmpredict.errors import NotCalibratedError
from mmpredict.models.cache import CacheOptions
from mmpredict.models.spec import ModelSpec

MODEL_SPREAD_FLOOR = 0.05  # no fit is trusted closer than this from one model to another
LOAD_SPREAD_FLOOR = 0.05
MEMORY_SPREAD_FLOOR = 0.02
NORMAL_QUARTILE = 0.6745  # median absolute value of the standard normal distribution
MANY_MASKED = 1000  # such measurements tell what passing over cells costs, and have no like with the other waiting rule [tokens]


def fit(header: Mapping[str, Any], rows: Sequence[Measurement], specs: Mapping[str, ModelSpec], seed: int = 0) -> Coefficients:
    """Fit everything that the measurements support.

    Args:
        header: ``machine``, ``engine``, ``cores``, ``measured_on`` of the measurement file.
        rows: raw measurements.
        specs: model name → model, for every model measured.
        seed: of the bootstrap.

    Raises:
        NotCalibratedError: a kind of measurement that the fit needs is missing.
    """
    rows = [row for row in rows if row.values.get("duration_s") != 0.0]  # tokens that all came at once tell no time
    _require_kinds(rows, int(header["cores"]))
    threads = sorted({row.threads for row in rows if row.kind in ("prefill", "decode") and row.spincount is None})
    paced = at_mean_pace(rows)
    observations = {count: step_observations(paced, specs, count) for count in threads}
    cache_bytes = fit_cache(observations.values())
    steps = {count: fit_steps(members, cache_bytes, seed) for count, members in observations.items()}
    if not any(MASKED_CELLS in row.values for row in rows):
        steps = {
            count: one.model_copy(update={name: core_s / count for name, core_s in MASKED_CORE_S.items()})
            for count, one in steps.items()
        }
    unseen: dict[str, list[LeftOut]] = {"prefill": [], "decode": []}
    for members in observations.values():
        for phase, left_out in leave_one_model_out(members, cache_bytes).items():
            unseen[phase] += left_out
    overheads = [row.number("overhead_s") for row in of_kind(rows, "request")]
    return Coefficients(
        machine=str(header["machine"]),
        engine=str(header["engine"]),
        cores=int(header["cores"]),
        measured_on=str(header["measured_on"]),
        measured_at_s=measured_at_s(rows),
        measurements=len(rows),
        models=tuple(sorted({row.model for row in rows})),
        steps=steps,
        yielding_price=_yielding_price(rows, max(threads)),
        request_s=float(np.median(overheads)) if overheads else 0.0,
        rests=rests(of_kind(rows, "rest")),
        machine_log_spread=_machine_spread(rows),
        model_log_spread={
            phase: max(MODEL_SPREAD_FLOOR, _robust_spread([one.own_error for one in left_out]))
            for phase, left_out in unseen.items()
        },
        contention=contention(rows, specs, int(header["cores"])),
        loading=_loading(of_kind(rows, "load"), of_kind(rows, "unload"), specs),
        memory=_memory(of_kind(rows, "memory"), of_kind(rows, "prefill"), specs, overhead_of_build(str(header["engine"]))),
        errors={
            f"unseen_model_{phase}_median_absolute": float(np.median(np.abs(np.expm1([one.log_error for one in left_out]))))
            if left_out
            else 0.0
            for phase, left_out in unseen.items()
        },
    )


def _machine_spread(rows: Sequence[Measurement]) -> float:
    """Spread of a run's speed: over minutes, as far as rounds were apart, and the mean over them is off by a part of that itself;
    and over hours, which a calibration cannot see."""
    rounds = 1 + max((int(row.number(ROUND)) for row in rows if ROUND in row.values), default=0)
    return math.hypot(HOURS_SPREAD, minutes_spread(rows) * math.sqrt(1 + 1 / rounds))


def _require_kinds(rows: Sequence[Measurement], cores: int) -> None:
    """What is missing after an interruption would otherwise count as free of cost."""
    needed = {kind: [row for row in rows if row.kind == kind and row.spincount is None] for kind in ("prefill", "decode")}
    needed |= {"load": of_kind(rows, "load"), "memory": of_kind(rows, "memory")}
    if cores > 1:
        company = of_kind(rows, "company")
        for set_up in ("within", "yielding", "spinning"):
            needed[f"{set_up} company"] = [row for row in company if row.values["set_up"] == set_up]
    missing = [name for name, found in needed.items() if not found]
    if missing:
        raise NotCalibratedError(f"the measurements hold no {' and no '.join(missing)}; run: mmpredict calibrate run")


def _robust_spread(errors: Sequence[float]) -> float:
    """Standard deviation of a normal distribution with the same median absolute error."""
    return float(np.median(np.abs(errors))) / NORMAL_QUARTILE if errors else 0.0


def _root_mean_square(values: Sequence[float]) -> float:
    return math.sqrt(sum(value * value for value in values) / len(values)) if values else 0.0


def _yielding_price(rows: Sequence[Measurement], threads: int) -> dict[str, float]:
    """Time with the yielding waiting rule ÷ time with the default, over equal measurements; at least 1."""
    price = {}
    for phase in ("prefill", "decode"):
        times: dict[bool, dict[tuple[Any, ...], list[float]]] = {True: {}, False: {}}
        for row in rows:
            if row.kind == phase and row.threads == threads and float(row.values.get(MASKED_CELLS, 0)) < MANY_MASKED:
                _, size, depth, _ = condition_of(row)
                times[row.spincount is not None].setdefault((row.model, size, depth), []).append(duration_s(row))
        ratios = [np.median(found) / np.median(times[False][key]) for key, found in times[True].items() if key in times[False]]
        price[phase] = max(1.0, float(np.median(ratios))) if ratios else 1.0
    return price


def _loading(rows: Sequence[Measurement], unloads: Sequence[Measurement], specs: Mapping[str, ModelSpec]) -> LoadCoefficients:
    private = [(1.0, load_features(specs[row.model], row.number("kv_cache_bytes"), False)[2]) for row in unloads]
    unload_s, unload_byte_s = _nonnegative(private, [row.number("duration_s") for row in unloads]) if unloads else (0.0, 0.0)
    features = [load_features(specs[row.model], row.number("kv_cache_bytes"), bool(row.values["cold"])) for row in rows]
    durations = [row.number("duration_s") for row in rows]
    start, mapped, own, vocabulary, cold = _nonnegative(features, durations)
    predicted = np.array(features) @ np.array([start, mapped, own, vocabulary, cold])
    spread = _root_mean_square([float(error) for error in np.log(predicted / np.array(durations))])
    return LoadCoefficients(
        start_s=start,
        mapped_byte_s=mapped,
        private_byte_s=own,
        vocabulary_s=vocabulary,
        cold_byte_s=cold,
        unload_s=unload_s,
        unload_byte_s=unload_byte_s,
        log_spread=max(LOAD_SPREAD_FLOOR, spread),
    )


def _memory(
    rows: Sequence[Measurement], prefills: Sequence[Measurement], specs: Mapping[str, ModelSpec], overhead: Overhead
) -> MemoryCoefficients:
    """How far the computed memory is from what servers had after the prompts that they were given."""
    errors = []
    for row in rows:
        lengths = [int(p.number("tokens")) for p in prefills if (p.model, p.threads) == (row.model, row.threads)]
        context, slots, ubatch = (int(row.number(name)) for name in ("context_tokens", "slots", "ubatch_tokens"))
        options = CacheOptions(context, slots, ubatch)
        touched = Touched(max(lengths, default=options.ubatch_tokens), slots)
        computed = instance_memory(specs[row.model], options, overhead, threads=row.threads, touched=touched).host.total
        errors.append(math.log(computed / row.number("proportional_bytes")))
    return MemoryCoefficients(log_spread=max(MEMORY_SPREAD_FLOOR, _root_mean_square(errors)))


def _nonnegative(features: Sequence[Sequence[float]], observed: Sequence[float]) -> list[float]:
    """Non-negative least squares in relative error."""
    from scipy.optimize import nnls

    values = np.maximum(np.asarray(observed, dtype=float), 1e-9)
    matrix = np.asarray(features, dtype=float) / values[:, None]
    scale = np.where(matrix.max(axis=0) > 0, matrix.max(axis=0), 1.0)
    solved, _ = nnls(matrix / scale, np.ones(len(values)))
    return [float(value) for value in solved / scale]
