"""Measuring the machine's pace: a few servers of its calibration again, in seconds, against what they took then.

For each phase and number of threads the pace is the median of the ratios now ÷ then. It is drawn towards 1 as far as the
measurement itself is unsure, with the drift since the calibration as prior (``cost.drift``): the posterior mean of a normal
distribution of logarithms.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mmpredict.calibrate.fit import MANY_MASKED
from mmpredict.calibrate.measurement import MASKED_CELLS, Measurement, MeasurementLog, made_now, measured_at_s, of_kind
from mmpredict.calibrate.measuring import Measuring, short_name
from mmpredict.calibrate.protocol import NARROW, WIDE, Protocol
from mmpredict.calibrate.repeats import (
    DEVIATION_OF_MEDIAN,
    MEDIAN_OF_MEAN,
    capped_mean,
    condition_of,
    duration_s,
    minutes_spread,
    warm_loads_s,
)
from mmpredict.calibrate.rest import rests
from mmpredict.calibrate.run import Progress
from mmpredict.cost.coefficients import Coefficients, Pace
from mmpredict.cost.draw import REST_LOG_SPREAD
from mmpredict.cost.drift import HOURS_SPREAD, hours_spread
from mmpredict.cost.pace import with_pace
from mmpredict.errors import InputError
from mmpredict.live.build import Build
from mmpredict.models.resolve import materialize
from mmpredict.models.spec import ModelSpec
from mmpredict.models.synthetic import PREFIX
from mmpredict.simulation.plan import InstancePlan

LEAST_FIGURES = 2  # of a phase and a number of threads; fewer say nothing
MOST_TYPES = 2  # eight servers with one and with all threads: 21 s on two cores
LENGTHS = (4, 32, 128)  # the first is what decoding begins with, as in calibrations
SEQUENCES = (1, 2)

_Key = tuple[str, int, str, int, int]  # model, threads, kind, size, depth


def pace_models(rows: Sequence[Measurement]) -> list[str]:
    """Models of a calibration that are measured again: narrow and wide, in the types in which both were measured most often.

    Raises:
        InputError: there are none.
    """
    counts = Counter(row.model for row in rows if row.kind == "decode")
    types = {name.rpartition("@")[2] for name in counts}
    both = sorted(
        (kind for kind in types if counts[f"{PREFIX}{NARROW}@{kind}"] and counts[f"{PREFIX}{WIDE}@{kind}"]),
        key=lambda kind: (-counts[f"{PREFIX}{WIDE}@{kind}"], kind),
    )[:MOST_TYPES]
    if not both:
        raise InputError("the calibration measured no model that tells the pace; run: mmpredict calibrate run")
    return [f"{PREFIX}{probe}@{kind}" for kind in both for probe in (NARROW, WIDE)]


def measure_pace(
    names: Sequence[str],
    specs: Mapping[str, ModelSpec],
    cores: int,
    log_directory: Path,
    log: MeasurementLog,
    build: Build,
    progress: Progress,
) -> None:
    """Measure servers of a calibration again.

    Args:
        names: see ``pace_models``.
        specs: model → what it is.
        cores: of this machine [1].
        log_directory: where servers log.
        log: takes the figures.
        build: that was calibrated.
        progress: told what is being measured and the fraction done.

    Raises:
        EngineError: a server could not be started or did not answer.
        StorageError: a figure or a model could not be written.
    """
    measuring = Measuring(Protocol(), cores, {name: materialize(specs[name]) for name in names}, log_directory, build.start)
    starts = [(name, threads) for threads in sorted({1, cores}) for name in names]
    for number, (name, threads) in enumerate(starts):
        progress(f"{short_name(name)}, {threads} of {cores} threads", number / len(starts))
        instance = InstancePlan(name, name, threads)
        for row in measuring.steps(specs[name], instance, LENGTHS, SEQUENCES, ()):
            log.add(made_now(row))
    progress("done", 1.0)


def pace_of(then: Sequence[Measurement], now: Sequence[Measurement], coefficients: Coefficients, measured_at: str) -> Pace:
    """The pace that these measurements tell.

    Args:
        then: of the calibration.
        now: the same again.
        coefficients: fitted to the former.
        measured_at: date and time of the latter (ISO).

    Raises:
        InputError: too few of them have a like.
    """
    before, again = _durations(then), _durations(now)
    logs: dict[tuple[str, int], list[float]] = defaultdict(list)
    for key in sorted(before.keys() & again.keys()):
        _, threads, kind, _, _ = key
        logs[kind, threads].append(math.log(float(np.median(again[key])) / capped_mean(before[key])))
    told = {key: values for key, values in logs.items() if len(values) >= LEAST_FIGURES}
    if {kind for kind, _ in told} < {"prefill", "decode"}:
        raise InputError(
            "too few of the calibration's measurements could be made again to tell a pace; run: mmpredict calibrate run"
        )
    minutes = minutes_spread(then)
    begin_s, end_s = measured_at_s(then), measured_at_s(now)
    drift = HOURS_SPREAD if begin_s is None or end_s is None else hours_spread(end_s - begin_s)
    means = {key: _posterior(values, minutes, drift) for key, values in told.items()}
    loads = _loads(then, now)
    own = with_pace(coefficients, None)
    unsure = max(spread for _, spread in means.values())
    return Pace(
        measured_at=measured_at,
        prefill={threads: math.exp(mean) for (kind, threads), (mean, _) in means.items() if kind == "prefill"},
        decode={threads: math.exp(mean) for (kind, threads), (mean, _) in means.items() if kind == "decode"},
        load=math.exp(_posterior(loads, minutes, drift)[0]) if len(loads) >= LEAST_FIGURES else 1.0,
        rest=_rest(of_kind(now, "rest"), own),
        figures=sum(map(len, told.values())),
        log_spread=math.hypot(unsure, minutes),
        calibrated_log_spread=own.machine_log_spread,
    )


def _posterior(logs: Sequence[float], minutes: float, drift: float) -> tuple[float, float]:
    """Mean and spread of what ratios have in common: their median, with the drift since the calibration as prior.

    All figures of a moment share its drift (``minutes``), so that their number alone does not make them sure.
    """
    middle = float(np.median(logs))
    deviation = DEVIATION_OF_MEDIAN * float(np.median(np.abs(np.array(logs) - middle)))
    variance = (MEDIAN_OF_MEAN * deviation) ** 2 / len(logs) + minutes**2
    prior = drift**2
    weight = prior / (prior + variance) if prior else 0.0
    return weight * middle, math.sqrt(weight * variance)


def _rest(now: Sequence[Measurement], own: Coefficients) -> float:
    """What the longest pause adds now ÷ then [1]: one round is as unsure as hours are apart, so the mean with 1, as a logarithm.

    Differences of a few milliseconds may have any ratio; none counts as more than two spreads.
    """
    found = rests(now)
    if not found or not own.rests or min(found[-1][1], own.rests[-1][1]) <= 0.0:
        return 1.0
    ratio, most = math.log(found[-1][1] / own.rests[-1][1]), 2 * REST_LOG_SPREAD
    return math.exp(max(-most, min(most, ratio)) / 2)


def _durations(rows: Sequence[Measurement]) -> dict[_Key, list[float]]:
    """Repeats of every figure of servers with the default waiting rule."""
    found: dict[_Key, list[float]] = defaultdict(list)
    for row in rows:
        comparable = row.spincount is None and float(row.values.get(MASKED_CELLS, 0.0)) < MANY_MASKED
        if row.kind in ("prefill", "decode") and comparable:
            kind, size, depth, _ = condition_of(row)
            found[row.model, row.threads, kind, size, depth].append(duration_s(row))
    return found


def _loads(then: Sequence[Measurement], now: Sequence[Measurement]) -> list[float]:
    """Logarithms of the time of warm loads now ÷ then, one per server."""
    before, again = warm_loads_s(then), warm_loads_s(now)
    return [math.log(float(np.median(again[key])) / capped_mean(before[key])) for key in sorted(before.keys() & again.keys())]
