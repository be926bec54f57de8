"""How times of requests are distributed, and how many requests meet what was asked of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmpredict.results.plain import plain_fields
from mmpredict.results.request_table import RequestTable

RANKS = (50, 90, 95, 99)


@dataclass(frozen=True, slots=True)
class Distribution:
    """Mean and percentiles of a time over requests [s]; ``nan`` for no request."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float

    def to_dict(self) -> dict[str, float | None]:
        """Plain data for JSON."""
        return plain_fields(self)


@dataclass(frozen=True, slots=True)
class Objectives:
    """What requests should reach; a limit that is not given is always met.

    Attributes:
        ttft_s: to the first token [s].
        itl_s: between tokens, in the mean of a request [s].
        e2e_s: to the last token [s].
    """

    ttft_s: float = math.inf
    itl_s: float = math.inf
    e2e_s: float = math.inf


def request_times(table: RequestTable) -> dict[str, NDArray[np.float64]]:
    """Times of the requests that were answered [s].

    Returns:
        ``load_wait``: until the model was loaded; ``queueing``: from there, or the arrival, to the first prompt token;
        ``ttft``, ``e2e``: from the arrival; ``itl``: between tokens, ``nan`` for answers of one token.
    """
    ok = table.ok
    arrival_s, load_wait_s, prefill_s, first_s, finish_s = (
        table.times_s(name)[ok] for name in ("arrival_s", "load_wait_s", "prefill_start_s", "first_token_s", "finish_s")
    )
    load_wait_s = np.nan_to_num(load_wait_s)
    steps = table.tokens("output_tokens")[ok] - 1.0
    return {
        "load_wait": load_wait_s,
        "queueing": np.maximum(0.0, prefill_s - arrival_s - load_wait_s),
        "ttft": first_s - arrival_s,
        "itl": np.divide(finish_s - first_s, steps, out=np.full(len(steps), math.nan), where=steps > 0),
        "e2e": finish_s - arrival_s,
    }


def distributions(table: RequestTable) -> dict[str, Distribution]:
    """Distribution of each of ``request_times``."""
    return {name: _distribution(times[~np.isnan(times)]) for name, times in request_times(table).items()}


def goodput(table: RequestTable, objectives: Objectives) -> tuple[float, float]:
    """Requests that meet all objectives: how many a second, from the first arrival to the last token, and which part of all [1]."""
    if not len(table):
        return 0.0, math.nan
    times = request_times(table)
    limits: Mapping[str, float] = {"ttft": objectives.ttft_s, "itl": objectives.itl_s, "e2e": objectives.e2e_s}
    met = np.ones(len(times["e2e"]), dtype=bool)
    for name, limit_s in limits.items():
        met &= ~(times[name] > limit_s)  # what has no such time cannot miss it
    finish_s = table.times_s("finish_s")[table.ok]
    span_s = float(finish_s.max() - table.times_s("arrival_s").min()) if len(finish_s) else math.nan
    return float(met.sum()) / span_s if span_s > 0 else 0.0, float(met.sum()) / len(table)


def deadlines_met_frac(table: RequestTable) -> float:
    """Part of the requests with a deadline that were answered within it [1]; ``nan`` where none has one."""
    deadline_s = table.times_s("deadline_s")
    asked = ~np.isnan(deadline_s)
    if not asked.any():
        return math.nan
    in_time = table.times_s("finish_s") - table.times_s("arrival_s") <= deadline_s
    return float((in_time & table.ok)[asked].mean())


def _distribution(times: NDArray[np.float64]) -> Distribution:
    if not len(times):
        return Distribution(*[math.nan] * (1 + len(RANKS)))
    return Distribution(float(times.mean()), *(float(value) for value in np.percentile(times, RANKS)))
