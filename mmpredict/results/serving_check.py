"""Predicted serving held against real servers: a row per case and metric, and a summary per group of cases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from mmpredict.results.plain import plain, plain_fields

TOLERANCE_FRAC = {"ttft_p50_s": 0.20, "e2e_p50_s": 0.12, "makespan_s": 0.08, "load_wait_s": 0.20}
"""Largest median of the absolute error, by metric, that still passes."""

METRIC_NAMES = {"ttft_p50_s": "TTFT p50", "e2e_p50_s": "e2e p50", "makespan_s": "makespan", "load_wait_s": "load waits"}


@dataclass(frozen=True, slots=True)
class ServingRow:
    """One metric of one case, predicted and measured.

    Attributes:
        group, case: what was run.
        metric: of ``TOLERANCE_FRAC``.
        predicted_s, low_s, high_s: value and its 80 % interval [s].
        measured_s: the real one, in the median of repeats [s].
        noise_frac: how far repeats are from their median, in the median; ``nan`` for one run [1].
    """

    group: str
    case: str
    metric: str
    predicted_s: float
    low_s: float
    high_s: float
    measured_s: float
    noise_frac: float = math.nan

    @property
    def error_frac(self) -> float:
        """(predicted − measured) ÷ measured [1]."""
        return self.predicted_s / self.measured_s - 1

    @property
    def inside(self) -> bool:
        """Whether the measurement lies in the interval."""
        return self.low_s <= self.measured_s <= self.high_s

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return plain_fields(self) | {"error_frac": plain(self.error_frac), "inside": self.inside}


def summary(rows: Sequence[ServingRow]) -> dict[str, dict[str, Any]]:
    """Per group and metric: cases, median and largest absolute error, bias, share inside the interval [1]."""
    found: dict[str, dict[str, Any]] = {}
    for key in dict.fromkeys((row.group, row.metric) for row in rows):
        own = [row for row in rows if (row.group, row.metric) == key]
        errors = [abs(row.error_frac) for row in own]
        found.setdefault(key[0], {})[key[1]] = {
            "cases": len(own),
            "median_error_frac": median(errors),
            "largest_error_frac": max(errors),
            "bias_frac": median(row.error_frac for row in own),
            "inside_frac": sum(row.inside for row in own) / len(own),
        }
    return found


def passed(rows: Sequence[ServingRow]) -> bool:
    """Whether the median error of every metric of every group is within its tolerance."""
    return all(
        found["median_error_frac"] <= TOLERANCE_FRAC[metric] for group in summary(rows).values() for metric, found in group.items()
    )
