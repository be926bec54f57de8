"""A run as the schedule of the guide that the project began with: which model worked from when to when, in milliseconds."""

from __future__ import annotations

import math
from typing import Any

from mmpredict.results.columns import NO_WORK, RequestRow
from mmpredict.results.records import Records

MS_PER_S = 1e3


def schedule(records: Records) -> dict[str, Any]:
    """The schedule of a run, as plain data.

    Returns:
        ``total_execution_time``: from the beginning to the last activity's end [ms]; ``execution_order``: models by their first
        request served; ``timeline``: an event per stretch of work of a request, load or unload, in order of time, with ``model``,
        ``instance``, ``kind``, ``request``, ``start_time`` and ``end_time`` [ms]; ``batches``: groups of requests that were
        in their servers at the same time, each with its ``requests``, ``start_time`` and ``end_time`` [ms].
    """
    served = [row for row in records.requests if row.status == "ok" and not math.isnan(row.prefill_start_s + row.finish_s)]
    model_of = {row.instance: row.model for row in records.requests if row.instance}
    events: list[dict[str, Any]] = [
        {
            "model": model_of.get(row.instance, row.instance),
            "instance": row.instance,
            "kind": row.kind,
            "request": row.request,
            "start_time": MS_PER_S * row.start_s,
            "end_time": MS_PER_S * row.end_s,
        }
        for row in sorted(records.activities, key=lambda row: (row.start_s, row.end_s, row.instance, row.request))
        if row.kind not in NO_WORK and not math.isnan(row.start_s + row.end_s)
    ]
    order = dict.fromkeys(row.model for row in sorted(served, key=lambda row: (row.prefill_start_s, row.request)))
    return {
        "total_execution_time": max((event["end_time"] for event in events), default=0.0),
        "execution_order": list(order),
        "timeline": events,
        "batches": _batches(served),
    }


def _batches(served: list[RequestRow]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for row in sorted(served, key=lambda row: (row.prefill_start_s, row.finish_s, row.request)):
        start_ms, end_ms = MS_PER_S * row.prefill_start_s, MS_PER_S * row.finish_s
        if found and start_ms < found[-1]["end_time"]:
            found[-1]["requests"].append(row.request)
            found[-1]["end_time"] = max(found[-1]["end_time"], end_ms)
        else:
            found.append({"requests": [row.request], "start_time": start_ms, "end_time": end_ms})
    return found
