"""Numbers of one run that criteria ask for, from its records, whoever made them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import fields

import numpy as np

from mmpredict.errors import UnknownNameError
from mmpredict.results.columns import ActivityRow
from mmpredict.results.latency import request_times
from mmpredict.results.metrics import Summary, summarize
from mmpredict.results.records import Records
from mmpredict.results.request_table import RequestTable

_SUMMARY = tuple(field.name for field in fields(Summary))
_ROOM = "room for "
"""How an unload begins its cause where another model takes the place."""


def measure(records: Records, name: str) -> float:
    """One number.

    Args:
        records: of the run.
        name: a metric of ``Summary``; or one of these, with what stands behind the colon:

            - ``loads``, ``evictions``: how many [1]
            - ``resident``: instances loaded at the same time, at most [1]
            - ``at_once``: requests in work at the same time, at most [1]
            - ``swapped_bytes``: what did not fit, at most [bytes]
            - ``load_s[:INSTANCE]``, ``unload_s[:INSTANCE]``: the longest; ``nan`` without any [s]
            - ``e2e_s:REQUEST``: from arrival to last token [s]
            - ``served_during_load:INSTANCE``: requests of others that had a part of their work while it was loaded [1]

    Raises:
        UnknownNameError: no such measure.
    """
    head, _, of = name.partition(":")
    if head in _SUMMARY and not of:
        return float(getattr(summarize(records), head))
    if head not in _MEASURES:
        raise UnknownNameError("measure", head, (*_SUMMARY, *_MEASURES))
    return float(_MEASURES[head](records, of))


def binds(records: Records) -> str:
    """What the requests' time goes to, the largest part first."""
    table = RequestTable(records.requests)
    times, ok = request_times(table), table.ok
    total_s = float(times["e2e"].sum())
    if not total_s:
        return "no request was answered"
    prefill_s = (table.times_s("first_token_s") - table.times_s("prefill_start_s"))[ok]
    decode_s = (table.times_s("finish_s") - table.times_s("first_token_s"))[ok]
    parts = {
        "waiting for loads": float(times["load_wait"].sum()),
        "waiting for others": float(times["queueing"].sum()),
        "prompts": float(np.nansum(prefill_s)),
        "generation": float(np.nansum(decode_s)),
    }
    shown = sorted((-part_s / total_s, what) for what, part_s in parts.items() if part_s / total_s >= 0.05)
    said = [f"{what} {-share:.0%}" for share, what in shown]
    if evictions := measure(records, "evictions"):
        said.append(f"evictions: {evictions:.0f}")
    return ", ".join(said)


def _activities(records: Records, kind: str, instance: str = "") -> list[ActivityRow]:
    return [row for row in records.activities if row.kind == kind and instance in ("", row.instance)]


def _longest_s(kind: str) -> Callable[[Records, str], float]:
    def found(records: Records, instance: str) -> float:
        return max((row.end_s - row.start_s for row in _activities(records, kind, instance)), default=math.nan)

    return found


def _evictions(records: Records, of: str) -> float:
    return sum(row.cause.startswith(_ROOM) for row in _activities(records, "unload"))


def _resident(records: Records, of: str) -> float:
    """Instances between the end of a load and the beginning of the next unload."""
    spans = []
    for load in _activities(records, "load"):
        ends = [row.start_s for row in _activities(records, "unload", load.instance) if row.start_s >= load.end_s]
        spans.append((load.end_s, min(ends, default=math.inf)))
    return _most(spans)


def _at_once(records: Records, of: str) -> float:
    return _most((row.prefill_start_s, row.finish_s) for row in records.requests if row.status == "ok")


def _most(spans: Iterable[tuple[float, float]]) -> float:
    """How many spans overlap, at most; one that begins where another ends does not overlap it."""
    changes = sorted((time_s, step) for start_s, end_s in spans for time_s, step in ((start_s, 1), (end_s, -1)))
    now = most = 0
    for _, step in changes:
        now += step
        most = max(most, now)
    return most


def _swapped(records: Records, of: str) -> float:
    return max((row.used for row in records.states if row.resource == "swapped"), default=0.0)


def _e2e_s(records: Records, request: str) -> float:
    return next((row.finish_s - row.arrival_s for row in records.requests if row.request == request), math.nan)


def _served_during_load(records: Records, instance: str) -> float:
    spans = [(row.start_s, row.end_s) for row in _activities(records, "load", instance)]
    others = [row for row in records.requests if row.status == "ok" and row.instance != instance]
    return sum(any(row.prefill_start_s < end_s and row.finish_s > start_s for start_s, end_s in spans) for row in others)


_MEASURES: dict[str, Callable[[Records, str], float]] = {
    "loads": lambda records, of: len(_activities(records, "load")),
    "evictions": _evictions,
    "resident": _resident,
    "at_once": _at_once,
    "swapped_bytes": _swapped,
    "load_s": _longest_s("load"),
    "unload_s": _longest_s("unload"),
    "e2e_s": _e2e_s,
    "served_during_load": _served_during_load,
}
