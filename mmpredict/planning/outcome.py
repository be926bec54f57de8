"""What one simulated run of a plan comes to: the numbers that plans are compared by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmpredict.planning.goals import Objective
from mmpredict.results.latency import request_times
from mmpredict.results.records import Records
from mmpredict.results.request_table import RequestTable
from mmpredict.workload.request import Workload

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Numbers of one run; definitions in ``docs/metrics.md``.

    Attributes:
        metrics: name → value; ``nan`` where no request supports it, or where one failed and less work was done.
        failed: requests without an answer [1].
        deadlines_frac: part of the requests with a deadline that were answered within it; ``nan`` if none has one [1].
        objectives_s: reached value of each objective [s].
    """

    metrics: Mapping[str, float]
    failed: int
    deadlines_frac: float
    objectives_s: tuple[float, ...]


def outcome(
    records: Records, deadlines_s: Mapping[str, float], objectives: Sequence[Objective], device_bytes: Mapping[str, float]
) -> Outcome:
    """Compute the numbers of a run.

    Args:
        records: of the run.
        deadlines_s: request → time after its arrival within which it must be answered [s].
        objectives: times to look at.
        device_bytes: server → what it takes of a GPU's own memory [bytes].
    """
    table = RequestTable(records.requests)
    ok, times = table.ok, request_times(table)
    tokens = table.tokens("output_tokens")[ok]
    complete = bool(len(tokens)) and len(tokens) == len(table)
    makespan_s = float(table.times_s("finish_s").max() - table.times_s("arrival_s").min()) if complete else math.nan
    itl_s = times["itl"]
    metrics = {
        "makespan_s": makespan_s,
        "throughput_tokens_per_s": float(tokens.sum()) / makespan_s if complete else math.nan,
        "latency_mean_s": _mean(times["e2e"]),
        "latency_p95_s": percentile(times["e2e"], 95),
        "ttft_mean_s": _mean(times["ttft"]),
        "ttft_p50_s": percentile(times["ttft"], 50),
        "ttft_p95_s": percentile(times["ttft"], 95),
        "itl_p50_s": percentile(itl_s[~np.isnan(itl_s)], 50),
        "memory_bytes": _memory_bytes(records, device_bytes),
    }
    return Outcome(
        metrics,
        len(table) - len(tokens),
        _deadlines_frac(records, deadlines_s),
        tuple(_reached_s(table, times, objective) for objective in objectives),
    )


def percentile(values: Floats, rank: float) -> float:
    """A percentile, linear between values; ``nan`` of none."""
    if not len(values):
        return math.nan
    ordered = np.sort(values)
    place = (len(ordered) - 1) * rank / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (ordered[above] - ordered[below]) * (place - below))


def deadlines_of(workload: Workload) -> dict[str, float]:
    """Request → deadline, of those that have one [s after arrival]."""
    return {request.id: request.deadline_s for request in workload.requests if request.deadline_s is not None}


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else math.nan


def _deadlines_frac(records: Records, deadlines_s: Mapping[str, float]) -> float:
    if not deadlines_s:
        return math.nan
    met = sum(
        row.status == "ok" and row.finish_s - row.arrival_s <= deadlines_s[row.request]
        for row in records.requests
        if row.request in deadlines_s
    )
    return met / len(deadlines_s)


def _reached_s(table: RequestTable, times: Mapping[str, Floats], objective: Objective) -> float:
    values = times[objective.time]
    if objective.model:
        numbers, words = table.words("model")
        mine = numbers[table.ok] == (words.index(objective.model) if objective.model in words else -1)
        values = values[mine]
    values = values[~np.isnan(values)]
    return _mean(values) if objective.statistic == "mean" else percentile(values, float(objective.statistic[1:]))


def _memory_bytes(records: Records, device_bytes: Mapping[str, float]) -> float:
    """Largest memory of all servers: main memory, and beside it that of a GPU [bytes]."""
    host = max((row.used for row in records.states if row.resource == "memory"), default=math.nan)
    if not any(device_bytes.values()):
        return host
    changes = [(row.end_s, 1, device_bytes[row.instance]) for row in records.activities if row.kind == "load"]
    changes += [(row.end_s, 0, -device_bytes[row.instance]) for row in records.activities if row.kind == "unload"]
    used = peak = 0.0
    for _, _, change in sorted(changes):
        used += change
        peak = max(peak, used)
    return host + peak
