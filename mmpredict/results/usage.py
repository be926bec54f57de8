"""How a run used its machine: what company cost, how busy its resources were, what was loaded and unloaded."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import pairwise

from mmpredict.results.columns import StateRow
from mmpredict.results.records import Records


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run made of its machine.

    Attributes:
        contention: phase → time taken ÷ time alone on the machine, weighted by time; 1 without company [1].
        mean, peak: resource → amount in use over the whole run, in the resource's unit; weighted by time, and the largest.
        capacity: resource → amount there is.
        loads, unloads: of all instances [1].
    """

    contention: dict[str, float]
    mean: dict[str, float]
    peak: dict[str, float]
    capacity: dict[str, float]
    loads: int
    unloads: int

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return asdict(self)


def usage(records: Records) -> Usage:
    """Compute the use of a run; simulated ones know what company cost, measured ones do not."""
    taken: dict[str, float] = {}
    alone: dict[str, float] = {}
    for row in records.activities:
        length_s = row.end_s - row.start_s
        if row.slowdown > 0 and length_s > 0:
            taken[row.kind] = taken.get(row.kind, 0.0) + length_s
            alone[row.kind] = alone.get(row.kind, 0.0) + length_s / row.slowdown
    by_resource: dict[str, list[StateRow]] = {}
    for state in sorted(records.states, key=lambda row: row.time_s):
        by_resource.setdefault(state.resource, []).append(state)
    end_s = max((row.end_s for row in records.activities if not math.isnan(row.end_s)), default=0.0)
    kinds = [row.kind for row in records.activities]
    return Usage(
        contention={kind: taken[kind] / alone[kind] for kind in sorted(taken)},
        mean={name: _mean(rows, end_s) for name, rows in by_resource.items()},
        peak={name: max(row.used for row in rows) for name, rows in by_resource.items()},
        capacity={name: rows[-1].capacity for name, rows in by_resource.items()},
        loads=kinds.count("load"),
        unloads=kinds.count("unload"),
    )


def _mean(rows: Iterable[StateRow], end_s: float) -> float:
    """Amount in use, weighted by time, from the start of the run to its end; nothing was in use before the first row."""
    known = list(rows)
    last = known[-1]
    span_s = sum(row.used * (after.time_s - row.time_s) for row, after in pairwise(known))
    span_s += last.used * max(0.0, end_s - last.time_s)
    return span_s / end_s if end_s > 0 else last.used
