"""What a plan comes to while one thing of the question changes: a load curve, and where it bends."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, cast

from mmpredict.results.display import Shown, show
from mmpredict.results.plain import plain
from mmpredict.results.prediction import Interval

SWEPT = (
    "ttft_mean_s",
    "ttft_p50_s",
    "ttft_p95_s",
    "itl_p50_s",
    "latency_mean_s",
    "latency_p95_s",
    "throughput_tokens_per_s",
    "requests_per_s",
    "makespan_s",
    "memory_bytes",
)
"""Metrics of a point, in the order of a table's columns."""


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One plan at one value of what is swept.

    Attributes:
        key: what is swept, as in the scenario file.
        value: its value: a number, or a word.
        strategy: name of the plan.
        metrics: name (of ``SWEPT``) → median and bounds.
        offered_per_s: requests that arrive in a second; ``nan`` where they wait for one another, so that the plan decides it [1/s].
        failed: requests without an answer, at the median [1].
        saturated: whether requests pile up (see ``sweeping``).
        reason: why the plan cannot be run at this value; empty if it can.
    """

    key: str
    value: float | str
    strategy: str
    metrics: dict[str, Interval]
    offered_per_s: float = math.nan
    failed: int = 0
    saturated: bool = False
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        data = asdict(self)
        data["metrics"] = {name: interval.to_dict() for name, interval in self.metrics.items()}
        data["offered_per_s"] = plain(self.offered_per_s)
        return data


@dataclass(frozen=True, slots=True)
class Knee:
    """Where the curve of one plan bends: beyond, a little more load costs much more time.

    Attributes:
        strategy: name of the plan.
        metric: what was looked at.
        value: of what is swept, at the knee.
        reached: the metric there, in its unit.
        strength: how far the curve is from a straight line there, 0 to 1 [1].
    """

    strategy: str
    metric: str
    value: float
    reached: float
    strength: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Sweep:
    """All points, by strategy and then by value, and the knees of those curves that have one."""

    key: str
    points: tuple[SweepPoint, ...]
    knees: tuple[Knee, ...] = ()

    def plot(self) -> Shown:
        """Its curves: a picture that a notebook shows and ``.save("x.svg")`` writes."""
        return cast("Shown", show("sweep_plot", self))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "key": self.key,
            "points": [point.to_dict() for point in self.points],
            "knees": [knee.to_dict() for knee in self.knees],
        }

    def to_csv(self) -> str:
        """A line per point: value, strategy, every metric with its bounds; times in seconds, sizes in bytes."""
        header = ["value", "strategy", "offered_per_s", "failed", "saturated"]
        header += [f"{name}{bound}" for name in SWEPT for bound in ("", "_low", "_high")]
        lines = [[self.key, *header[1:]]]
        for point in self.points:
            known = [point.metrics.get(name, Interval(math.nan, math.nan, math.nan)) for name in SWEPT]
            numbers = [number for one in known for number in (one.value, one.low, one.high)]
            told = [_cell(point.value), point.strategy, _cell(point.offered_per_s), str(point.failed), str(point.saturated).lower()]
            lines.append([*told, *map(_cell, numbers)])
        return "".join(",".join(map(_quoted, line)) + "\n" for line in lines)


def _cell(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return "" if math.isnan(value) else f"{value:.9g}"


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(letter in cell for letter in ',"\n') else cell
