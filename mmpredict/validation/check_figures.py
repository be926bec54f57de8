"""Rows of our own checks (memory, speed, serving, scenarios) as figures and runs of the history."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmpredict.errors import FileFormatError
from mmpredict.results.history import Figure
from mmpredict.results.memory import MemoryRow
from mmpredict.results.records import Records
from mmpredict.results.saved_rows import Field, read_records
from mmpredict.results.scenarios_check import ScenarioRow
from mmpredict.results.serving_check import ServingRow
from mmpredict.results.speed_check import TimedRow
from mmpredict.validation.executed import Executed
from mmpredict.validation.raw_runs import RawRuns
from mmpredict.validation.scenarios import measures
from mmpredict.validation.serving import ServingCase


def memory_figures(rows: Sequence[MemoryRow]) -> list[Figure]:
    """A figure per part of a server; predictions of sizes have no bounds [bytes]."""
    return [
        Figure(
            f"{row.model} {row.options}",
            0,
            f"{row.part.replace(' ', '_')}_bytes",
            row.predicted_bytes,
            math.nan,
            math.nan,
            row.measured_bytes,
        )
        for row in rows
    ]


def speed_figures(rows: Sequence[TimedRow]) -> list[Figure]:
    """A figure per test and repeat [s]."""
    return [
        Figure(f"{row.model} {row.test}", turn, f"{row.phase}_s", row.predicted_s, row.low_s, row.high_s, measured_s)
        for row in rows
        for turn, measured_s in enumerate(row.measured_s)
    ]


def serving_runs(cases: Sequence[ServingCase], rows: Sequence[ServingRow], raw_path: Path) -> list[tuple[list[Figure], Executed]]:
    """Figures and records of every real run.

    Args:
        cases: what was run.
        rows: what was predicted.
        raw_path: the file of the runs.

    Raises:
        FileFormatError: the file holds something else.
    """
    known = {(case.group, case.name): case for case in cases}
    found = []
    try:
        for line in raw_path.read_text("utf-8").splitlines():
            data = json.loads(line)
            case, turn = known[data["group"], data["case"]], int(data["turn"])
            figures = [
                Figure(case.name, turn, row.metric, row.predicted_s, row.low_s, row.high_s, float(data[row.metric]))
                for row in rows
                if (row.group, row.case) == (case.group, case.name)
            ]
            found.append(
                (figures, _executed(case, read_records(Field(data["records"], f"{raw_path}: {case.name}", "records")), turn))
            )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{raw_path} holds no runs of these cases: {error}") from error
    return found


def scenario_runs(
    raw: RawRuns, rows: Sequence[ScenarioRow], made: Iterable[tuple[int, int]]
) -> list[tuple[list[Figure], Executed]]:
    """Figures and records of real runs in which no request failed.

    Args:
        raw: cases and runs.
        rows: what was predicted.
        made: (number of the case, round) of the runs that are meant.
    """
    found = []
    for number, turn in sorted(made):
        case, records = raw.cases[number], raw.runs[number, turn]
        if any(row.status != "ok" for row in records.requests):
            continue
        measured = measures(records)
        figures = [
            Figure(f"{case.name} {row.strategy}", turn, row.metric, *_bounds(row), measured[row.metric])
            for row in rows
            if (row.group, row.case, row.strategy) == (case.group, case.name, case.plan.strategy)
        ]
        found.append((figures, _executed(case, records, turn)))
    return found


def _bounds(row: ScenarioRow) -> tuple[float, float, float]:
    return row.predicted.value, row.predicted.low, row.predicted.high


def _executed(case: ServingCase, records: Records, turn: int) -> Executed:
    return Executed(case.plan, case.workload, {name: spec.name for name, spec in case.specs.items()}, records, turn)
