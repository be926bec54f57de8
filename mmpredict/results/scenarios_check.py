"""Predictions of many scenarios held against real servers: rows, their summary by metric, and what a recommendation cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import numpy as np

from mmpredict.results.plain import plain, plain_fields
from mmpredict.results.prediction import Interval

TARGET_FRAC: dict[str, float] = {
    "makespan_s": 0.05,
    "e2e_p50_s": 0.08,
    "e2e_mean_s": 0.08,
    "ttft_p50_s": 0.15,
    "ttft_mean_s": 0.15,
    "throughput_tokens_per_s": 0.05,
    "memory_peak_bytes": 0.04,
}
"""Largest median of the absolute error that is aimed at, by metric; others are shown only."""
TARGET_COVERAGE = (0.7, 0.9)
"""Share of measurements that should lie in their 80 % intervals."""
NEAR_FRAC, TARGET_NEAR, TARGET_REGRET_FRAC = 0.05, 0.9, 0.03
"""A recommendation is good within so much of the best; so many should be; mean of what they cost."""

METRIC_NAMES = {
    "makespan_s": "makespan",
    "e2e_p50_s": "e2e p50",
    "e2e_mean_s": "e2e mean",
    "ttft_p50_s": "TTFT p50",
    "ttft_mean_s": "TTFT mean",
    "throughput_tokens_per_s": "throughput",
    "memory_peak_bytes": "peak memory",
    "load_wait_s": "load waits",
}


@dataclass(frozen=True, slots=True)
class ScenarioRow:
    """One metric of one case, predicted and measured, in the metric's unit.

    Attributes:
        group, case, strategy: what was run.
        metric: of ``METRIC_NAMES``.
        predicted: median and 80 % interval of the draws.
        measured: median of the runs; ``nan`` when none ended.
        noise_frac: how far runs are from their median, in the median; ``nan`` for one run [1].
        runs, failed: that ended, and in which a request failed or was given up [1].
        expected: mean over the draws, by which recommendations are made.
    """

    group: str
    case: str
    strategy: str
    metric: str
    predicted: Interval
    measured: float
    noise_frac: float
    runs: int
    failed: int
    expected: float

    @property
    def error_frac(self) -> float:
        """(predicted − measured) ÷ measured [1]."""
        return self.predicted.value / self.measured - 1 if self.measured else math.nan

    @property
    def inside(self) -> bool:
        """Whether the measurement lies in the interval."""
        return self.predicted.contains(self.measured)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return plain_fields(self) | {"error_frac": plain(self.error_frac), "inside": self.inside}


@dataclass(frozen=True, slots=True)
class MetricSummary:
    """One metric over many cases; fractions are ``nan`` where nothing was measured [1].

    Attributes:
        cases: that were measured [1].
        median_frac, p90_frac: of the absolute error.
        bias_frac: median error with its sign.
        inside_frac: share of measurements inside their 80 % intervals.
        noise_frac: median over cases of how far runs are from their median.
    """

    cases: int
    median_frac: float
    p90_frac: float
    bias_frac: float
    inside_frac: float
    noise_frac: float

    def to_dict(self) -> dict[str, float | int | None]:
        """Plain data for JSON."""
        return plain_fields(self)


@dataclass(frozen=True, slots=True)
class CheckedChoice:
    """What was recommended for one scenario, and what it cost.

    Attributes:
        case: the scenario.
        expected_s, measured_s: strategy → makespan, in the order of the strategies; infinite when no run ended [s].
    """

    case: str
    expected_s: dict[str, float]
    measured_s: dict[str, float]

    @property
    def recommended(self) -> str:
        """Strategy of the shortest expected makespan."""
        return min(self.expected_s, key=lambda name: self.expected_s[name])

    @property
    def best(self) -> str:
        """Strategy of the shortest measured makespan."""
        return min(self.measured_s, key=lambda name: self.measured_s[name])

    @property
    def regret_frac(self) -> float:
        """Measured makespan of the recommended strategy ÷ that of the best − 1 [1]."""
        return self.measured_s[self.recommended] / self.measured_s[self.best] - 1

    @property
    def in_order(self) -> bool:
        """Whether the strategies' order was predicted."""
        return _ranked(self.expected_s) == _ranked(self.measured_s)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "case": self.case,
            "expected_s": self.expected_s,
            "measured_s": plain(self.measured_s),
            "recommended": self.recommended,
            "best": self.best,
            "regret_frac": plain(self.regret_frac),
            "in_order": self.in_order,
        }


def summaries(rows: Sequence[ScenarioRow]) -> dict[str, MetricSummary]:
    """Summary of every metric, in the order of ``METRIC_NAMES``."""
    found = {}
    for metric in METRIC_NAMES:
        own = [row for row in rows if row.metric == metric]
        measured = [row for row in own if not math.isnan(row.measured)]
        if not own:
            continue
        errors = [row.error_frac for row in measured]
        sizes = [abs(error) for error in errors]
        noises = [row.noise_frac for row in measured if not math.isnan(row.noise_frac)]
        found[metric] = MetricSummary(
            len(measured),
            median(sizes) if sizes else math.nan,
            float(np.quantile(sizes, 0.9)) if sizes else math.nan,
            median(errors) if errors else math.nan,
            fmean(row.inside for row in measured) if measured else math.nan,
            median(noises) if noises else math.nan,
        )
    return found


def choices(rows: Sequence[ScenarioRow]) -> list[CheckedChoice]:
    """What was recommended for each scenario that was run by several strategies, in order of the scenarios."""
    makespans = [row for row in rows if row.metric == "makespan_s"]
    found = []
    for case in dict.fromkeys(row.case for row in makespans):
        own = [row for row in makespans if row.case == case]
        if len(own) > 1 and not all(math.isnan(row.measured) for row in own):
            expected_s = {row.strategy: row.expected for row in own}
            measured_s = {row.strategy: math.inf if math.isnan(row.measured) else row.measured for row in own}
            found.append(CheckedChoice(case, expected_s, measured_s))
    return found


def misses(rows: Sequence[ScenarioRow], found: Sequence[CheckedChoice]) -> list[str]:
    """What is beyond its target, a sentence each; empty when all is well.

    Args:
        rows: of the groups that are judged.
        found: what was recommended.
    """
    said = []
    if failed := sum(row.failed for row in rows if row.metric == "makespan_s"):
        said.append(f"in {failed} runs a request failed")
    for metric, summary in summaries(rows).items():
        target, name = TARGET_FRAC.get(metric), METRIC_NAMES[metric]
        if target is None:
            continue
        if not summary.median_frac <= target:
            said.append(f"{name}: median error {summary.median_frac:.1%}, at most {target:.0%} is aimed at")
        if not TARGET_COVERAGE[0] <= summary.inside_frac <= TARGET_COVERAGE[1]:
            low, high = TARGET_COVERAGE
            said.append(f"{name}: {summary.inside_frac:.0%} inside the 80 % intervals, {low:.0%} to {high:.0%} are aimed at")
    if found:
        near, regret_frac = near_frac(found), fmean(choice.regret_frac for choice in found)
        if near < TARGET_NEAR:
            said.append(f"recommendations: {near:.0%} within {NEAR_FRAC:.0%} of the best, {TARGET_NEAR:.0%} are aimed at")
        if not regret_frac <= TARGET_REGRET_FRAC:
            said.append(f"recommendations: mean regret {regret_frac:.1%}, at most {TARGET_REGRET_FRAC:.0%} is aimed at")
    return said


def near_frac(found: Sequence[CheckedChoice]) -> float:
    """Share of the recommendations that are the best or nearly as good [1]."""
    return fmean(choice.regret_frac <= NEAR_FRAC for choice in found)


def _ranked(makespans_s: dict[str, float]) -> list[str]:
    return sorted(makespans_s, key=lambda name: makespans_s[name])
