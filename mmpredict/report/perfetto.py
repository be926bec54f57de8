"""Runs as Chrome Trace Event JSON, which https://ui.perfetto.dev and chrome://tracing open."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmpredict.report.rows import Lane, lanes
from mmpredict.results.columns import StateRow
from mmpredict.results.records import Records
from mmpredict.saving import save

_COUNTER_UNITS = {
    "memory": "bytes",
    "vram": "bytes",
    "gtt": "bytes",
    "cores": "cores",
    "gpu": "part of its time",
    "bandwidth": "part of all",
    "power": "W",
    "temperature": "°C",
}


def perfetto_trace(runs: Sequence[tuple[str, Records]]) -> dict[str, Any]:
    """Lay runs out as trace events.

    Every run gets one process for the machine, with a counter per resource of its states (``columns.StateRow``) in that resource's
    unit, and one process per instance, with one thread for each slot, or for each piece of work that goes on at the same time.
    Times are whole microseconds since the start of the run. A slowdown that is not known is left out.

    Args:
        runs: (label, records), for example ``("predicted · parallel", records)``.
    """
    events: list[dict[str, Any]] = []
    pid = 0
    for label, records in runs:
        pid += 1
        events += _name(pid, f"{label} · machine")
        events += [event for row in records.states if (event := _counter(pid, row))]
        for lane in lanes(records):
            pid += 1
            events += _name(pid, f"{label} · {lane.instance}")
            events += _lane_events(pid, lane)
    return {"displayTimeUnit": "ms", "traceEvents": events}


def write_trace(runs: Sequence[tuple[str, Records]], path: Path) -> Path:
    """Write ``perfetto_trace(runs)`` as JSON; the same runs give the same bytes.

    Raises:
        StorageError: the file could not be written.
    """
    text = json.dumps(perfetto_trace(runs), sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return save(text.encode(), path)


def _name(pid: int, name: str) -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": name}}
    yield {"ph": "M", "name": "process_sort_index", "pid": pid, "tid": 0, "args": {"sort_index": pid}}


def _lane_events(pid: int, lane: Lane) -> Iterator[dict[str, Any]]:
    for row, name in enumerate(lane.names):
        yield {"ph": "M", "name": "thread_name", "pid": pid, "tid": row + 1, "args": {"name": name}}
    for activity, row in zip(lane.activities, lane.rows, strict=True):
        start_us, end_us = _microseconds(activity.start_s), _microseconds(activity.end_s)
        args: dict[str, Any] = {"request": activity.request} if activity.request else {}
        if not math.isnan(activity.slowdown):
            args["slowdown"] = activity.slowdown
        yield {
            "ph": "X",
            "name": f"{activity.kind} {activity.request}".rstrip(),
            "cat": activity.kind,
            "pid": pid,
            "tid": row + 1,
            "ts": start_us,
            # The difference of rounded ends, not the rounded difference: neighbours in a thread must not overlap.
            "dur": end_us - start_us,
            "args": args,
        }


def _counter(pid: int, row: StateRow) -> dict[str, Any] | None:
    if math.isnan(row.time_s) or math.isnan(row.used):
        return None
    unit = _COUNTER_UNITS.get(row.resource.partition(":")[0], "used")
    return {"ph": "C", "name": row.resource, "pid": pid, "tid": 0, "ts": _microseconds(row.time_s), "args": {unit: row.used}}


def _microseconds(time_s: float) -> int:
    return round(time_s * 1e6)
