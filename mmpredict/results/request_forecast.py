"""Latencies of each request over the draws of a prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmpredict.results.columns import RequestRow
from mmpredict.results.prediction import INTERVAL_LEVEL, Interval, column_intervals
from mmpredict.results.records import Records

MOST_REQUESTS = 500
"""Requests of a plan up to which each of them has intervals of its own: more are neither kept nor read."""

LATENCIES = ("ttft_s", "e2e_s")
"""Arrival to the first token, and to the last one."""


@dataclass(frozen=True, slots=True)
class RequestForecast:
    """One request: median and bounds over the draws that answered it; ``nan`` where none did.

    Attributes:
        request, model: which it is.
        ttft_s: from its arrival to its first token [s].
        e2e_s: from its arrival to its last token [s].
    """

    request: str
    model: str
    ttft_s: Interval
    e2e_s: Interval

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"model": self.model, "ttft_s": self.ttft_s.to_dict(), "e2e_s": self.e2e_s.to_dict()}


def latencies_s(row: RequestRow) -> tuple[float, float]:
    """``LATENCIES`` of a request; ``nan`` when it was not answered [s]."""
    if row.status != "ok":
        return math.nan, math.nan
    return row.first_token_s - row.arrival_s, row.finish_s - row.arrival_s


def all_latencies_s(records: Records) -> NDArray[np.float64]:
    """``latencies_s`` of every request, in order of their ids, so that draws can be put beside each other [s]; requests × 2."""
    rows = sorted(records.requests, key=lambda row: row.request)
    return np.array([latencies_s(row) for row in rows], dtype=np.float64).reshape(-1, len(LATENCIES))


def request_forecasts(
    records: Records, drawn: Sequence[NDArray[np.float64]], level: float = INTERVAL_LEVEL
) -> tuple[RequestForecast, ...]:
    """Intervals of every request, in the order of the records.

    Args:
        records: a run of the same requests.
        drawn: ``all_latencies_s`` of every draw.
        level: share of measurements that intervals are meant to contain [1].
    """
    if not drawn:
        return ()
    found = column_intervals(np.array(drawn, dtype=np.float64).reshape(len(drawn), -1), level)
    place = {request: 2 * number for number, request in enumerate(sorted(row.request for row in records.requests))}
    return tuple(
        RequestForecast(row.request, row.model, found[place[row.request]], found[place[row.request] + 1])
        for row in records.requests
    )
