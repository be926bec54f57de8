"""Predictions of many scenarios against real servers: the runs, and the rows that they come to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmpredict.cost.chain import CostModel
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.draw import Draw
from mmpredict.live.execute import DEFAULT_LIMIT_S, execute_plan
from mmpredict.models.resolve import materialize
from mmpredict.results.compare import compared
from mmpredict.results.latency import distributions
from mmpredict.results.metrics import summarize
from mmpredict.results.prediction import column_intervals
from mmpredict.results.records import Records
from mmpredict.results.request_table import RequestTable
from mmpredict.results.scenarios_check import ScenarioRow
from mmpredict.saving import make_directory
from mmpredict.simulation.run import simulate
from mmpredict.validation.each_model import Progress
from mmpredict.validation.raw_runs import RawRuns, append
from mmpredict.validation.scenario_cases import BEYOND, rounds
from mmpredict.validation.serving import ServingCase

DRAWS = 100
BEYOND_LIMIT_S = 90.0
"""Servers that spin may take minutes for a token; their runs are given up after this time."""


def run_cases(raw: RawRuns, path: Path, log_directory: Path, progress: Progress) -> None:
    """Run what the raw file does not hold yet; each run is in it as soon as it exists.

    Args:
        raw: what is to be run, and what was; runs are added.
        path: its file.
        log_directory: where servers log.
        progress: called with (what is happening, fraction done).

    Raises:
        EngineError: a server could not be started.
        DoesNotFitError: a case needs more memory, or its models more room on the disk, than there is.
        StorageError: a file could not be written.
    """
    specs = {spec.name: spec for case in raw.cases for spec in case.specs.values()}
    for name, spec in specs.items():
        progress(f"writing {name}", 0.0)
        materialize(spec)
    order = rounds(len(raw.cases), raw.header.repeats, raw.header.seed)
    for done, (number, turn) in enumerate(order):
        if (number, turn) in raw.runs:
            continue
        case = raw.cases[number]
        progress(f"{case.name}: {case.plan.strategy}", done / len(order))
        logs = make_directory(log_directory / f"{number}-{turn}")
        limit_s = BEYOND_LIMIT_S if case.group == BEYOND else DEFAULT_LIMIT_S
        memory_bytes = raw.header.memory_bytes
        records = execute_plan(case.plan, case.workload, case.specs, memory_bytes, logs, limit_s=limit_s)
        append(path, number, turn, records)
        raw.runs[number, turn] = records
    progress("done", 1.0)


def scenario_rows(raw: RawRuns, own: Coefficients, progress: Progress, draws: int = DRAWS) -> list[ScenarioRow]:
    """Rows of all cases that were run: a row per case and metric.

    Args:
        raw: cases and runs.
        own: coefficients to predict with.
        progress: called with (what is happening, fraction done).
        draws: simulations behind the intervals [1].
    """
    rows: list[ScenarioRow] = []
    for number, case in enumerate(raw.cases):
        if runs := raw.of(number):
            progress(f"predicting {case.name}: {case.plan.strategy}", number / len(raw.cases))
            rows.extend(_rows(case, own, raw.header.memory_bytes, runs, draws))
    progress("done", 1.0)
    return rows


def _rows(case: ServingCase, own: Coefficients, memory_bytes: float, runs: Sequence[Records], draws: int) -> list[ScenarioRow]:
    drawn = [
        measures(simulate(case.plan, case.workload, case.specs, CostModel(own, Draw(0, number)), memory_bytes))
        for number in range(draws)
    ]
    seen = [measures(records) for records in runs if all(row.status == "ok" for row in records.requests)]
    failed = len(runs) - len(seen)
    values = np.array([[one[metric] for metric in case.metrics] for one in drawn])
    rows = []
    for metric, interval, expected in zip(case.metrics, column_intervals(values), np.nanmean(values, axis=0), strict=True):
        one = compared(metric, interval, [run[metric] for run in seen])
        rows.append(
            ScenarioRow(
                case.group,
                case.name,
                case.plan.strategy,
                one.metric,
                one.predicted,
                one.measured,
                one.noise_frac,
                len(seen),
                failed,
                float(expected),
            )
        )
    return rows


def measures(records: Records) -> dict[str, float]:
    """All metrics of a run: those of its summary, and means over requests [s]."""
    summary = summarize(records)
    times = distributions(RequestTable(records.requests))
    return {
        "makespan_s": summary.makespan_s,
        "e2e_p50_s": summary.e2e_p50_s,
        "e2e_mean_s": times["e2e"].mean,
        "ttft_p50_s": summary.ttft_p50_s,
        "ttft_mean_s": times["ttft"].mean,
        "throughput_tokens_per_s": summary.throughput_tokens_per_s,
        "memory_peak_bytes": summary.memory_peak_bytes,
        "load_wait_s": summary.load_wait_s,
    }
