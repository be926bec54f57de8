"""What a run comes to: a few numbers computed from its records, whoever made them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

from mmpredict.results.columns import RequestRow
from mmpredict.results.records import Records


@dataclass(frozen=True, slots=True)
class Summary:
    """Metrics of one run; definitions in ``docs/metrics.md``. A metric that no request supports is ``nan``.

    Attributes:
        makespan_s: last finish − first arrival [s]; ``nan`` when a request failed, because less work was done.
        throughput_tokens_per_s: output tokens ÷ makespan [tokens/s]; ``nan`` likewise.
        ttft_p50_s, ttft_p95_s: first content token − arrival [s].
        itl_p50_s: median over requests of (last − first token) ÷ (n − 1) [s].
        e2e_p50_s, e2e_p95_s: last token − arrival [s].
        memory_peak_bytes: largest memory of all instances together [bytes].
        completed, failed: requests [1].
    """

    makespan_s: float
    throughput_tokens_per_s: float
    ttft_p50_s: float
    ttft_p95_s: float
    itl_p50_s: float
    e2e_p50_s: float
    e2e_p95_s: float
    memory_peak_bytes: float
    completed: int
    failed: int

    def to_dict(self) -> dict[str, float | int | None]:
        """Plain data for JSON."""
        return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in asdict(self).items()}


METRICS = (
    "makespan_s",
    "throughput_tokens_per_s",
    "ttft_p50_s",
    "ttft_p95_s",
    "itl_p50_s",
    "e2e_p50_s",
    "e2e_p95_s",
    "memory_peak_bytes",
)
"""The metrics that are predicted with an interval and compared with measurements."""


def inter_token_latency_s(row: RequestRow) -> float:
    """(last − first token) ÷ (n − 1) [s]; ``nan`` for fewer than two tokens."""
    return (row.finish_s - row.first_token_s) / (row.output_tokens - 1) if row.output_tokens > 1 else math.nan


def summarize(records: Records) -> Summary:
    """Compute the summary of a run."""
    done = [row for row in records.requests if row.status == "ok"]
    memory = [row.used for row in records.states if row.resource == "memory"]
    start_s = min((row.arrival_s for row in records.requests), default=math.nan)
    complete = bool(done) and len(done) == len(records.requests)
    makespan_s = max(row.finish_s for row in done) - start_s if complete else math.nan
    ttft = [row.first_token_s - row.arrival_s for row in done]
    itl = [value for row in done if not math.isnan(value := inter_token_latency_s(row))]
    e2e = [row.finish_s - row.arrival_s for row in done]
    return Summary(
        makespan_s=makespan_s,
        throughput_tokens_per_s=sum(row.output_tokens for row in done) / makespan_s if complete else math.nan,
        ttft_p50_s=percentile(ttft, 50),
        ttft_p95_s=percentile(ttft, 95),
        itl_p50_s=percentile(itl, 50),
        e2e_p50_s=percentile(e2e, 50),
        e2e_p95_s=percentile(e2e, 95),
        memory_peak_bytes=max(memory, default=math.nan),
        completed=len(done),
        failed=len(records.requests) - len(done),
    )


def percentile(values: list[float], rank: float) -> float:
    """The ``rank``-th percentile, linearly interpolated; ``nan`` for no values."""
    return float(np.percentile(values, rank)) if values else math.nan
