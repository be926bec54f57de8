"""What loads at the same time cost each other, from servers that were started at once."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from mmpredict.calibrate.measurement import ROUND, Measurement, of_kind
from mmpredict.calibrate.repeats import capped_mean, warm_loads_s
from mmpredict.cost.coefficients import Estimate
from mmpredict.cost.contention import Contention, Demand

UNMEASURED_WITHIN = Estimate(value=0.97, log_spread=0.05)
UNMEASURED_BEYOND = Estimate(value=0.92, log_spread=0.06)
"""Where it was not measured (before 2026-11-28): two, and three to five, probes started at once on two cores of a Xeon."""

SPREAD_FLOOR = 0.04
LEAST, MOST = 0.2, 1.0  # an efficiency beyond is no matter of sharing
HALVINGS = 30
_LOAD = Demand("load", 1, False, 1.0, 0.0, False)


def load_efficiencies(rows: Sequence[Measurement], cores: int) -> tuple[Estimate, Estimate]:
    """Speed of loads at the same time ÷ their fair share: as many as there are cores or fewer, and more.

    Args:
        rows: raw measurements.
        cores: of the machine [1].
    """
    alone = {key: capped_mean(found) for key, found in warm_loads_s(rows).items()}
    groups: dict[tuple[int, int], list[Measurement]] = defaultdict(list)
    for row in of_kind(rows, "joint-load"):
        groups[int(row.values.get(ROUND, 0)), int(row.number("servers"))].append(row)
    whole = [
        members
        for (_, servers), members in groups.items()
        if len(members) == servers and all((row.model, row.threads) in alone for row in members)
    ]

    def told(beyond: bool, law: Callable[[float], Contention]) -> list[float]:
        return [
            _efficiency([alone[row.model, row.threads] for row in members], [row.number("duration_s") for row in members], law)
            for members in whole
            if (len(members) > cores) is beyond
        ]

    within = _estimate(told(False, lambda value: loads_law(cores, value, 1.0)), UNMEASURED_WITHIN)
    return within, _estimate(told(True, lambda value: loads_law(cores, within.value, value)), UNMEASURED_BEYOND)


def loads_law(cores: int, within: float, beyond: float) -> Contention:
    """How loads alone share a machine with these efficiencies [1]."""
    return Contention(cores, 1.0, 1.0, 1.0, 1.0, 0.0, load_within_efficiency=within, load_beyond_efficiency=beyond)


def together_s(alone_s: Sequence[float], law: Contention) -> list[float]:
    """How long loads of one thread take that begin at once [s].

    Args:
        alone_s: how long each takes alone [s].
        law: by which they share the machine.
    """
    done = [0.0] * len(alone_s)
    now_s, worked_s = 0.0, 0.0
    left = len(alone_s)
    for place in sorted(range(len(alone_s)), key=lambda one: alone_s[one]):
        now_s += (alone_s[place] - worked_s) / law.rates([_LOAD] * left)[0]
        worked_s, done[place], left = alone_s[place], now_s, left - 1
    return done


def _efficiency(alone_s: Sequence[float], measured_s: Sequence[float], law: Callable[[float], Contention]) -> float:
    """The one that explains the geometric mean of the durations, by halving an interval."""
    low, high = LEAST, MOST
    wanted = float(np.mean(np.log(measured_s)))
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        slow = float(np.mean(np.log(together_s(alone_s, law(middle))))) > wanted
        low, high = (middle, high) if slow else (low, middle)
    return (low + high) / 2.0


def _estimate(values: Sequence[float], unmeasured: Estimate) -> Estimate:
    """Geometric mean and spread of a further one."""
    if not values:
        return unmeasured
    logs = np.log(values)
    spread = float(np.std(logs, ddof=1)) * math.sqrt(1 + 1 / len(logs)) if len(logs) > 1 else unmeasured.log_spread
    return Estimate(value=float(np.exp(np.mean(logs))), log_spread=max(SPREAD_FLOOR, spread))
