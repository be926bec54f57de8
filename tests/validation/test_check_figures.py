"""Rows of our own checks in the history."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from made_up import APART, SMALL, WORKLOAD, check, executed

from mmpredict.cost.coefficients import Coefficients
from mmpredict.errors import FileFormatError
from mmpredict.models.resolve import resolve
from mmpredict.results.memory import MemoryRow
from mmpredict.results.prediction import Interval
from mmpredict.results.scenarios_check import ScenarioRow
from mmpredict.results.serving_check import ServingRow
from mmpredict.results.speed_check import TimedRow
from mmpredict.validation.check_figures import memory_figures, scenario_runs, serving_runs, speed_figures
from mmpredict.validation.history import History
from mmpredict.validation.raw_runs import Header, RawRuns
from mmpredict.validation.serving import ServingCase


def test_sizes_have_no_bounds() -> None:
    (figure,) = memory_figures([MemoryRow("m", "llama", "ctx 512", "compute buffer", 9e6, 1e7)])
    assert (figure.subject, figure.metric, figure.predicted, figure.measured) == ("m ctx 512", "compute_buffer_bytes", 9e6, 1e7)
    assert math.isnan(figure.low) and math.isnan(figure.high)


def test_every_repeat_of_a_test_is_a_figure() -> None:
    figures = speed_figures([TimedRow("m", "pp128", "prompt", 128, 1.0, 0.9, 1.1, (1.02, 1.04))])
    assert [(one.subject, one.turn, one.metric, one.measured) for one in figures] == [
        ("m pp128", 0, "prompt_s", 1.02),
        ("m pp128", 1, "prompt_s", 1.04),
    ]


def test_runs_of_servings_are_kept_whole(coefficients: Coefficients, tmp_path: Path) -> None:
    run = executed(coefficients, APART)
    case = ServingCase("g", "c", APART, WORKLOAD, {name: resolve(name) for name in run.models}, ("makespan_s",))
    rows = [ServingRow("g", "c", "makespan_s", 1.0, 0.9, 1.1, 1.05)]
    raw_path = tmp_path / "raw.jsonl"
    data = {"group": "g", "case": "c", "turn": 1, "makespan_s": 1.2, "records": run.records.to_dict()}
    raw_path.write_text(json.dumps(data) + "\n")
    ((figures, kept),) = serving_runs([case], rows, raw_path)
    assert [(one.turn, one.measured, one.predicted) for one in figures] == [(1, 1.2, 1.0)]
    history = History(tmp_path / "history.sqlite3")
    history.add(history.begin(check(1)), figures, kept)
    ((back,), _) = history.runs("invented", "none")
    assert back.run.models[SMALL] == SMALL
    assert back.run.records.to_dict() == run.records.to_dict()
    raw_path.write_text("{}\n")
    with pytest.raises(FileFormatError, match="holds no runs of these cases"):
        serving_runs([case], rows, raw_path)


def test_runs_of_scenarios_are_kept_but_for_those_that_failed(coefficients: Coefficients) -> None:
    run, broken = executed(coefficients, APART), executed(coefficients, APART)
    broken.records.requests[0].status = "timeout"
    case = ServingCase("g", "c", APART, WORKLOAD, {name: resolve(name) for name in run.models}, ("makespan_s",))
    raw = RawRuns(
        Header("invented", "none", 8e9, 0, 3), (case,), {(0, 0): run.records, (0, 1): run.records, (0, 2): broken.records}
    )
    rows = [ScenarioRow("g", "c", APART.strategy, "makespan_s", Interval(1.0, 0.9, 1.1), 1.05, 0.0, 2, 1, 1.0)]
    ((figures, kept),) = scenario_runs(raw, rows, {(0, 1), (0, 2)})
    makespan_s = max(row.finish_s for row in run.records.requests) - min(row.arrival_s for row in run.records.requests)
    assert [(one.turn, one.predicted, one.measured) for one in figures] == [(1, 1.0, pytest.approx(makespan_s))]
    assert (kept.turn, kept.records) == (1, run.records)
