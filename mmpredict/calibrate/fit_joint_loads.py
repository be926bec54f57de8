"""What loads at the same time cost each other, from servers that were started at once."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from mmpredict.calibrate.measurement import ROUND, Measurement, of_kind
from mmpredict.calibrate.repeats import capped_mean
from mmpredict.cost.coefficients import Estimate

UNMEASURED_WITHIN = Estimate(value=0.97, log_spread=0.05)
UNMEASURED_BEYOND = Estimate(value=0.92, log_spread=0.06)
"""Where it was not measured (before 2026-11-28): two, and three to five, probes started at once on two cores of a Xeon."""

SPREAD_FLOOR = 0.04
LEAST, MOST = 0.2, 1.0  # an efficiency beyond is no matter of sharing
HALVINGS = 30


def load_efficiencies(rows: Sequence[Measurement], cores: int) -> tuple[Estimate, Estimate]:
    """Speed of loads at the same time ÷ their fair share: as many as there are cores or fewer, and more.

    Args:
        rows: raw measurements.
        cores: of the machine [1].
    """
    alone = _alone(rows)
    groups: dict[tuple[int, int], list[Measurement]] = defaultdict(list)
    for row in of_kind(rows, "joint-load"):
        groups[int(row.values.get(ROUND, 0)), int(row.number("servers"))].append(row)
    found: dict[bool, list[float]] = {False: [], True: []}
    for (_, servers), members in groups.items():
        if len(members) == servers and all((row.model, row.threads) in alone for row in members):
            expected = [alone[row.model, row.threads] for row in members]
            found[servers > cores].append(_efficiency(expected, [row.number("duration_s") for row in members], cores))
    return _estimate(found[False], UNMEASURED_WITHIN), _estimate(found[True], UNMEASURED_BEYOND)


def together_s(alone_s: Sequence[float], cores: int, efficiency: float) -> list[float]:
    """How long loads of one thread take that begin at once, by ``cost.contention`` [s].

    Args:
        alone_s: how long each takes alone [s].
        cores: of the machine [1].
        efficiency: speed ÷ fair share of those that are not alone [1].
    """
    done = [0.0] * len(alone_s)
    now_s, worked_s = 0.0, 0.0
    left = len(alone_s)
    for place in sorted(range(len(alone_s)), key=lambda one: alone_s[one]):
        rate = efficiency * min(1.0, cores / left) if left > 1 else 1.0
        now_s += (alone_s[place] - worked_s) / rate
        worked_s, done[place], left = alone_s[place], now_s, left - 1
    return done


def _efficiency(alone_s: Sequence[float], measured_s: Sequence[float], cores: int) -> float:
    """The one that explains the geometric mean of the durations, by halving an interval."""
    low, high = LEAST, MOST
    wanted = float(np.mean(np.log(measured_s)))
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        slow = float(np.mean(np.log(together_s(alone_s, cores, middle)))) > wanted
        low, high = (middle, high) if slow else (low, middle)
    return (low + high) / 2.0


def _alone(rows: Sequence[Measurement]) -> dict[tuple[str, int], float]:
    """Model and threads → its warm load alone [s]."""
    times: dict[tuple[str, int], list[float]] = defaultdict(list)
    for row in of_kind(rows, "load"):
        if not row.values["cold"] and row.spincount is None:
            times[row.model, row.threads].append(row.number("duration_s"))
    return {key: capped_mean(found) for key, found in times.items()}


def _estimate(values: Sequence[float], unmeasured: Estimate) -> Estimate:
    """Geometric mean and spread of a further one."""
    if not values:
        return unmeasured
    logs = np.log(values)
    spread = float(np.std(logs, ddof=1)) * math.sqrt(1 + 1 / len(logs)) if len(logs) > 1 else unmeasured.log_spread
    return Estimate(value=float(np.exp(np.mean(logs))), log_spread=max(SPREAD_FLOOR, spread))
