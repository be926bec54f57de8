"""What a run comes to: a few numbers computed from its records, whoever made them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mmpredict.results.energy import total_energy_j
from mmpredict.results.latency import deadlines_met_frac, request_times
from mmpredict.results.plain import plain_fields
from mmpredict.results.records import Records
from mmpredict.results.request_table import RequestTable


@dataclass(frozen=True, slots=True)
class Summary:
    """Metrics of one run; definitions in ``docs/metrics.md``. A metric that no request supports is ``nan``.

    Attributes:
        makespan_s: last finish − first arrival [s]; ``nan`` when a request failed, because less work was done.
        throughput_tokens_per_s: output tokens ÷ makespan [tokens/s]; ``nan`` likewise.
        ttft_p50_s, ttft_p95_s: first content token − arrival [s].
        itl_p50_s: median over requests of (last − first token) ÷ (n − 1) [s].
        e2e_p50_s, e2e_p95_s: last token − arrival [s].
        load_wait_s: time that requests waited for their model to be loaded, all together [s]; ``nan`` as the makespan.
        memory_peak_bytes: largest memory of all instances together [bytes].
        completed, failed: requests [1].
        deadlines_met_frac: part of the requests with a deadline that were answered within it [1].
        energy_j: power over the run, as far as the machine tells its power [J].
    """

    makespan_s: float
    throughput_tokens_per_s: float
    ttft_p50_s: float
    ttft_p95_s: float
    itl_p50_s: float
    e2e_p50_s: float
    e2e_p95_s: float
    load_wait_s: float
    memory_peak_bytes: float
    completed: int
    failed: int
    deadlines_met_frac: float = math.nan
    energy_j: float = math.nan

    def to_dict(self) -> dict[str, float | int | None]:
        """Plain data for JSON."""
        return plain_fields(self)


METRICS = (
    "makespan_s",
    "throughput_tokens_per_s",
    "ttft_p50_s",
    "ttft_p95_s",
    "itl_p50_s",
    "e2e_p50_s",
    "e2e_p95_s",
    "load_wait_s",
    "memory_peak_bytes",
)
"""The metrics that are predicted with an interval and compared with measurements."""


def summarize(records: Records) -> Summary:
    """Compute the summary of a run."""
    memory = (row.used for row in records.states if row.resource == "memory")
    summary = summarize_table(RequestTable(records.requests), max(memory, default=math.nan))
    return replace(summary, energy_j=total_energy_j(records.states))


def summarize_table(table: RequestTable, memory_peak_bytes: float = math.nan) -> Summary:
    """Compute the summary of many requests.

    Args:
        table: requests.
        memory_peak_bytes: largest memory of all instances together [bytes].
    """
    ok, times = table.ok, request_times(table)
    tokens = table.tokens("output_tokens")[ok]
    complete = bool(len(tokens)) and len(tokens) == len(table)
    makespan_s = float(table.times_s("finish_s").max() - table.times_s("arrival_s").min()) if complete else math.nan
    ttft_p50_s, ttft_p95_s = _percentiles(times["ttft"], (50, 95))
    e2e_p50_s, e2e_p95_s = _percentiles(times["e2e"], (50, 95))
    (itl_p50_s,) = _percentiles(times["itl"][~np.isnan(times["itl"])], (50,))
    return Summary(
        makespan_s=makespan_s,
        throughput_tokens_per_s=float(tokens.sum()) / makespan_s if complete else math.nan,
        ttft_p50_s=ttft_p50_s,
        ttft_p95_s=ttft_p95_s,
        itl_p50_s=itl_p50_s,
        e2e_p50_s=e2e_p50_s,
        e2e_p95_s=e2e_p95_s,
        load_wait_s=float(times["load_wait"].sum()) if complete else math.nan,
        memory_peak_bytes=memory_peak_bytes,
        completed=len(tokens),
        failed=len(table) - len(tokens),
        deadlines_met_frac=deadlines_met_frac(table),
    )


def _percentiles(values: NDArray[np.float64], ranks: Sequence[float]) -> list[float]:
    return [float(value) for value in np.percentile(values, ranks)] if len(values) else [math.nan] * len(ranks)
