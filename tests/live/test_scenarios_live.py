"""A very short check of scenarios against real servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmpredict.scenario import Scenario
from mmpredict.validation.raw_runs import Header, begin, read_raw
from mmpredict.validation.scenario_cases import METRICS, RANDOM
from mmpredict.validation.scenarios import measures, run_cases
from mmpredict.validation.serving import ServingCase

MODEL = "synthetic:smollm2-135m@q4_0"


@pytest.mark.live
@pytest.mark.usefixtures("small_model")
def test_a_scenario_is_run_and_kept(small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmpredict.models.synthetic.cache_directory", lambda: small_model.parent)
    load = {"kind": "closed", "users": 1, "requests_per_user": 2, "model": MODEL, "prompt_tokens": 24, "output_tokens": 4}
    scenario = Scenario.model_validate({"strategies": ["sequential"], "load": [load]})
    (plan,) = scenario.plans(2)
    case = ServingCase(RANDOM, "one", plan, scenario.workload(), scenario.specs(), METRICS)
    path = tmp_path / "runs.jsonl"
    raw = begin(path, Header("here", "engine", 8e9, 0, 1), [case])
    run_cases(raw, path, tmp_path / "logs", lambda label, part: None)
    (records,) = read_raw(path).of(0)
    assert records.origin == "measured"
    assert [row.status for row in records.requests] == ["ok", "ok"]
    found = measures(records)
    assert found["makespan_s"] >= found["e2e_p50_s"] > found["ttft_p50_s"] > 0
    assert found["memory_peak_bytes"] > 50e6
