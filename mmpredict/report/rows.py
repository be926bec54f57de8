"""Where the bars of a timeline go: one lane per instance, one row per piece of work that goes on at the same time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mmpredict.results.columns import NO_WORK, ActivityRow, StateRow
from mmpredict.results.records import Records

_SLOT = "slot "


@dataclass(frozen=True, slots=True)
class Lane:
    """The finished activities of one instance.

    Attributes:
        instance: server instance.
        activities: in order of their beginning.
        rows: for every activity, its row in the lane, from 0.
        names: of the rows: the slot of the server whose requests are there, where only one is; at least one row.
        resident: (begin, end) of the times in which its model is loaded, from the end of a load on [s].
        waits: (begin, end) of the times in which at least one request waits for it: from its arrival to its first prompt token [s].
    """

    instance: str
    activities: tuple[ActivityRow, ...]
    rows: tuple[int, ...]
    names: tuple[str, ...]
    resident: tuple[tuple[float, float], ...] = ()
    waits: tuple[tuple[float, float], ...] = ()

    @property
    def depth(self) -> int:
        """Rows in the lane [1]."""
        return len(self.names)


def first_fit(spans: Sequence[tuple[float, float]], keys: Sequence[str] | None = None) -> list[int]:
    """Give every span the first row that is free, so that no two spans of a row overlap.

    Needs as many rows as spans overlap at one moment, which is the least possible. A span that ends where another begins
    does not overlap it.

    Args:
        spans: (begin, end), in any order; begin ≤ end.
        keys: one per span; a span returns to the row where its key was last, if that is free. An empty key has no such row.
    """
    row_ends: list[float] = []
    last_row: dict[str, int] = {}
    found = [0] * len(spans)
    for index in sorted(range(len(spans)), key=lambda i: spans[i]):
        begin, end = spans[index]
        key = keys[index] if keys else ""
        row = last_row.get(key, 0) if key else 0
        if row >= len(row_ends) or row_ends[row] > begin:
            row = next((i for i, row_end in enumerate(row_ends) if row_end <= begin), len(row_ends))
        if row == len(row_ends):
            row_ends.append(end)
        row_ends[row] = end
        last_row[key] = row
        found[index] = row
    return found


def instance_names(*runs: Records) -> list[str]:
    """Every instance of the runs: by its first activity in the first run that has it, then those that only have requests."""
    names: dict[str, None] = {}
    for records in runs:
        for activity in sorted(finished(records), key=lambda row: (row.start_s, row.instance)):
            names.setdefault(activity.instance)
    for records in runs:
        for name in sorted({row.instance for row in records.requests if row.instance}):
            names.setdefault(name)
    return list(names)


def lanes(records: Records, instances: Sequence[str] | None = None) -> list[Lane]:
    """Lay out a run, one lane per instance.

    Args:
        records: the run.
        instances: lanes to make, in this order; by default those of the run.
    """
    found = []
    last_s = end_s(records)
    slots = {row.request: f"{_SLOT}{row.slot}" for row in records.requests if row.slot >= 0}
    for name in instance_names(records) if instances is None else instances:
        own = sorted(
            (row for row in finished(records) if row.instance == name), key=lambda row: (row.start_s, row.end_s, row.request)
        )
        keys = [slots.get(row.request, row.request) for row in own]
        spans = [(row.start_s, row.end_s) for row in own]
        rows = _by_slot(spans, keys) or first_fit(spans, keys)
        resident, waiting = residencies(own, last_s), joined(_waits(records, name, last_s))
        found.append(Lane(name, tuple(own), tuple(rows), _row_names(rows, keys), resident, waiting))
    return found


def residencies(activities: Sequence[ActivityRow], last_s: float) -> tuple[tuple[float, float], ...]:
    """From when to when a model was loaded [s].

    Args:
        activities: of one instance, finished, in order of their beginning; without a load nothing is known.
        last_s: end of the run, which ends what was not unloaded [s].
    """
    loads = [row.end_s for row in activities if row.kind == "load"]
    unloads = [row.start_s for row in activities if row.kind == "unload"]
    found = []
    for number, begin in enumerate(loads):
        next_load = loads[number + 1] if number + 1 < len(loads) else last_s
        end = next((time_s for time_s in unloads if begin <= time_s <= next_load), next_load)
        found.append((begin, end))
    return tuple(found)


def joined(spans: Iterable[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Spans that overlap or touch as one; in order."""
    found: list[tuple[float, float]] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((begin, end))
    return tuple(found)


def _waits(records: Records, instance: str, last_s: float) -> Iterator[tuple[float, float]]:
    for row in records.requests:
        if row.instance == instance and not math.isnan(row.arrival_s):
            begun = [time_s for time_s in (row.prefill_start_s, row.first_token_s, row.finish_s) if not math.isnan(time_s)]
            end = begun[0] if begun else last_s
            if end > row.arrival_s:
                yield row.arrival_s, end


def _row_names(rows: Sequence[int], keys: Sequence[str]) -> tuple[str, ...]:
    kept: dict[int, set[str]] = {0: set()}
    for row, key in zip(rows, keys, strict=True):
        kept.setdefault(row, set()).add(key)
    names = []
    for row in range(len(kept)):
        only = {key for key in kept[row] if key}
        slot = only.pop() if len(only) == 1 else ""
        names.append(slot if slot.startswith(_SLOT) else f"row {row + 1}")
    return tuple(names)


def _by_slot(spans: Sequence[tuple[float, float]], keys: Sequence[str]) -> list[int]:
    """A row per slot, in their order, what concerns all slots in the first; none where that would put two spans in one place."""
    names = {key for key in keys if key}
    if not names or not all(name.startswith(_SLOT) for name in names):
        return []
    order = sorted(names, key=lambda name: int(name.removeprefix(_SLOT)))
    rows = [order.index(key) if key else 0 for key in keys]
    row_ends = [-math.inf] * len(order)
    for (begin, end), row in sorted(zip(spans, rows, strict=True)):
        if begin < row_ends[row]:
            return []
        row_ends[row] = end
    return rows


def finished(records: Records) -> list[ActivityRow]:
    """The activities with a begin and an end that are work; one that was cut off (``nan``) has no length to draw."""
    return [row for row in records.activities if row.kind not in NO_WORK and not math.isnan(row.start_s + row.end_s)]


def memory_steps(records: Records) -> list[StateRow]:
    """The known states of the memory [bytes], in order of time."""
    return state_steps(records, "memory")


def state_steps(records: Records, resource: str) -> list[StateRow]:
    """The known states of a resource, in order of time."""
    known = [row for row in records.states if row.resource == resource and not math.isnan(row.time_s + row.used)]
    return sorted(known, key=lambda row: row.time_s)


def end_s(records: Records) -> float:
    """When the last activity ended, the last request finished or the memory was last looked at [s]; 0 for an empty run."""
    times = [row.end_s for row in finished(records)] + [row.finish_s for row in records.requests]
    times += [row.time_s for row in memory_steps(records)]
    return max((time_s for time_s in times if not math.isnan(time_s)), default=0.0)
