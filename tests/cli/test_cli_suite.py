"""``mmpredict suite`` and ``mmpredict validate scenarios`` as commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Call, assert_one_line

from mmpredict.calibrate.store import save_coefficients
from mmpredict.cost.coefficients import Coefficients

RECORDED = Path(__file__).parent.parent / "validation" / "data" / "recorded-scenario.jsonl"


@pytest.fixture
def recorded_machine(place: Path, coefficients: Coefficients) -> None:
    """A calibration of the machine that the recorded file was made on."""
    header = json.loads(RECORDED.read_text("utf-8").splitlines()[0])
    save_coefficients(coefficients.model_copy(update={"machine": header["machine"], "engine": header["engine"]}))


def test_a_suite_is_told_and_its_report_written(call: Call, tmp_path: Path) -> None:
    outcome = call("suite", "jetson", "--only", "A2", "--only", "B4", "--draws", "2", "--output", str(tmp_path / "out"))
    assert outcome.code == 0
    assert "B4 7B model swap-in time" in outcome.out and "simulated only" in outcome.out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"report.md", "results.csv", "results.json"}
    again = call("suite", "jetson", "--only", "A2", "--only", "B4", "--draws", "2", "--json")
    document = json.loads(again.out)
    assert document == json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))
    assert [test["id"] for test in document["tests"]] == ["A2", "B4"]


def test_mistakes_of_a_suite_are_one_line(call: Call) -> None:
    assert_one_line(call("suite", "jetsom"), 2, "unknown suite 'jetsom'", "did you mean jetson?")
    assert_one_line(call("suite", "jetson", "--live"), 2, "--hardware this-machine")


@pytest.mark.usefixtures("recorded_machine")
def test_recorded_runs_are_predicted_anew(call: Call) -> None:
    outcome = call("validate", "scenarios", "--from", str(RECORDED), "--draws", "5", "--json")
    assert outcome.code == 4, "a calibration of an invented machine does not hold"
    document = json.loads(outcome.out)
    assert document["runs"] == 6 and document["misses"]
    assert set(document["metrics"]) == set(document["beyond_the_cores"])
    assert document["within_tolerance"] is False
    (choice,) = document["recommendations"]
    assert set(choice["expected_s"]) == {"sequential", "parallel-divided", "parallel-yielding"}
    table = call("validate", "scenarios", "--from", str(RECORDED), "--draws", "5")
    assert "beyond the cores (not judged)" in table.out and "peak memory" in table.out


def test_mistakes_with_raw_files_are_one_line(call: Call, place: Path) -> None:
    assert_one_line(call("validate", "scenarios", "--from", str(RECORDED)), 1, "no calibration of", "copy it to")
    assert_one_line(call("validate", "scenarios", "--from", "gone.jsonl"), 2, "cannot read gone.jsonl")
    both = call("validate", "scenarios", "--from", "a", "--resume", "b")
    assert_one_line(both, 2, "--resume and --from exclude each other")
    assert_one_line(call("validate", "scenarios", "--from", "a", "--count", "3"), 2, "exclude each other")
    assert_one_line(call("validate", "speed", "--count", "3"), 2, "--count goes with `mmpredict validate scenarios`,")
    assert_one_line(call("validate", "memory", "--tolerance", "0.1"), 2, "--tolerance goes with a scenario file, not with 'memory'")
    assert_one_line(call("validate", "history", "--repeat", "3"), 2, "--repeat goes with a scenario file, not with 'history'")
    assert_one_line(call("validate", "a.toml", "--quick"), 2, "--quick goes with")
