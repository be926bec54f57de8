"""What ``validate serving`` runs, and how it compares: with servers that do as the model says, slower ones, and failing ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mmpredict.cost.chain import CostModel
from mmpredict.cost.coefficients import Coefficients
from mmpredict.errors import EngineError
from mmpredict.models.catalog import uniform_spec
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.models.spec import ModelSpec
from mmpredict.results.records import Records
from mmpredict.results.serving_check import ServingRow, passed, summary
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.run import simulate
from mmpredict.validation import serving
from mmpredict.workload.request import Workload

SHAPES = {serving.SMALL: "smollm2-135m", serving.MIDDLE: "qwen2.5-0.5b", serving.OTHER: "gemma3-270m"}
SPECS = {name: uniform_spec(shape, weight_type("q8_0")) for name, shape in SHAPES.items()}


def run(
    coefficients: Coefficients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: float = 1.0, fails: bool = False
) -> Any:
    """Quick cases on servers that take ``factor`` times as long as the model says."""

    def execute(plan: Plan, workload: Workload, specs: Mapping[str, ModelSpec], memory_bytes: float, logs: Path) -> Records:
        records = simulate(plan, workload, specs, CostModel(coefficients), memory_bytes)
        for row in records.requests:
            row.first_token_s, row.finish_s = (
                row.arrival_s + factor * (at - row.arrival_s) for at in (row.first_token_s, row.finish_s)
            )
            row.load_wait_s *= factor
            row.status = "timeout" if fails else "ok"
        return records

    monkeypatch.setattr(serving, "execute_plan", execute)
    monkeypatch.setattr(serving, "DRAWS", 20)
    cases = serving.serving_cases(coefficients, SPECS, quick=True)
    return serving.run_cases(cases, coefficients, 64e9, 1, tmp_path, tmp_path / "raw.jsonl", lambda label, part: None)


def test_servers_that_do_as_predicted_are_predicted(
    coefficients: Coefficients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = run(coefficients, tmp_path, monkeypatch)
    assert {row.group for row in rows} == {serving.SINGLE, serving.COMPANY, serving.RELOAD}
    assert max(abs(row.error_frac) for row in rows) < 0.1, "the median of the draws is not the run of medians"
    assert passed(rows)
    kept = [json.loads(line) for line in (tmp_path / "raw.jsonl").read_text("utf-8").splitlines()]
    assert len(kept) == 3 and all(one["records"]["requests"] for one in kept)


def test_servers_that_take_twice_as_long_are_not(
    coefficients: Coefficients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = run(coefficients, tmp_path, monkeypatch, factor=2.0)
    latencies = [row for row in rows if row.metric != "makespan_s"]
    assert [row.error_frac for row in latencies] == pytest.approx([-0.5] * len(latencies), abs=0.06)
    assert not any(row.inside for row in latencies)
    assert not passed(rows)


def test_failed_requests_are_no_measurement(coefficients: Coefficients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match=r"requests failed \(timeout\)"):
        run(coefficients, tmp_path, monkeypatch, fails=True)


def test_requests_are_the_same_in_every_run_and_come_at_the_load_asked_for(coefficients: Coefficients) -> None:
    first, second = (serving.serving_cases(coefficients, SPECS) for _ in range(2))
    assert [case.workload for case in first] == [case.workload for case in second]
    single = [case for case in first if case.group == serving.SINGLE]
    assert len(single) == len(serving.SLOTS) * len(serving.UTILISATIONS)
    for calm, busy in zip(single[::3], single[2::3], strict=True):
        assert calm.workload.requests[-1].arrival_s > 1.5 * busy.workload.requests[-1].arrival_s


def test_a_summary_by_hand() -> None:
    rows = [ServingRow("g", str(n), "makespan_s", predicted, 0.9, 1.1, 1.0) for n, predicted in enumerate((0.9, 1.02, 1.3))]
    found = summary(rows)["g"]["makespan_s"]
    assert (found["median_error_frac"], found["largest_error_frac"]) == pytest.approx((0.1, 0.3))
    assert (found["bias_frac"], found["inside_frac"]) == pytest.approx((0.02, 1.0))
    assert not passed(rows), "8 % are allowed"
    assert passed(rows[1:2])
