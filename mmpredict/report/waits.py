"""Who waited, for how long, and for what: a table from the records of one run."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

from rich import box
from rich.table import Table

from mmpredict.report.table import UNKNOWN
from mmpredict.results.columns import ActivityRow, RequestRow
from mmpredict.results.records import Records
from mmpredict.units import format_seconds

_ROOM = "room for "


@dataclass(frozen=True, slots=True)
class Wait:
    """What one request waited for.

    Attributes:
        request: its record.
        causes: what it waited for, and how long for each, in order [s].
        evicted: models that went to make room for it.
    """

    request: RequestRow
    causes: tuple[tuple[str, float], ...]
    evicted: tuple[str, ...]

    @property
    def wait_s(self) -> float:
        """All waiting before it was sent, or refused [s]."""
        return sum(duration_s for _, duration_s in self.causes)


def waits(records: Records) -> list[Wait]:
    """What every request that waited, or was refused, waited for; in order of arrival."""
    queued: dict[str, list[ActivityRow]] = defaultdict(list)
    evicted: dict[str, list[str]] = defaultdict(list)
    for row in sorted(records.activities, key=lambda row: row.start_s):
        if row.kind == "queue":
            queued[row.request].append(row)
        elif row.kind == "unload" and row.cause.startswith(_ROOM):
            evicted[row.cause.removeprefix(_ROOM)].append(row.instance)
    found = []
    for request in sorted(records.requests, key=lambda row: (row.arrival_s, row.request)):
        name = request.request
        if queued[name] or request.status != "ok":
            causes = tuple((row.cause, row.end_s - row.start_s) for row in queued[name])
            found.append(Wait(request, causes, tuple(evicted[name])))
    return found


def waits_table(records: Records) -> Table:
    """Table of every request that waited: when it came, how long it waited for what, and who had to go for it."""
    table = Table(box=box.SIMPLE_HEAD, caption=_caption(records), caption_justify="left")
    for name in ("request", "model", "arrival", "waited", "for what", "evicted", "e2e"):
        table.add_column(name, justify="right" if name in ("arrival", "waited", "e2e") else "left", overflow="fold")
    for wait in waits(records):
        table.add_row(*wait_cells(wait))
    return table


def wait_cells(wait: Wait) -> tuple[str, ...]:
    """Request, model, arrival, how long it waited, for what, who had to go, and how long it took or how it failed."""
    row = wait.request
    what = ", ".join(f"{cause} ({format_seconds(duration_s)})" for cause, duration_s in wait.causes) or UNKNOWN
    end = format_seconds(row.finish_s - row.arrival_s) if row.status == "ok" and not math.isnan(row.finish_s) else row.status
    evicted = ", ".join(wait.evicted) or UNKNOWN
    return row.request, row.model, format_seconds(row.arrival_s), format_seconds(wait.wait_s), what, evicted, end


def _caption(records: Records) -> str:
    """What happened in all, in one line."""
    loads = sum(row.kind == "load" for row in records.activities)
    evictions = sum(row.kind == "unload" and row.cause.startswith(_ROOM) for row in records.activities)
    waited = sum(bool(wait.causes) for wait in waits(records))
    failed = sum(row.status != "ok" for row in records.requests)
    return f"{waited} of {len(records.requests)} requests waited, {failed} were refused; {loads} loads, {evictions} evictions"
