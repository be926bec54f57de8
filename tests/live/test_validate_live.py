"""One scenario predicted and run twice on real servers, kept, and read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmpredict import api
from mmpredict.cost.coefficients import Coefficients
from mmpredict.hardware.detect import usable_cores
from mmpredict.models.resolve import resolve
from mmpredict.results.history import Check
from mmpredict.results.prediction import Prediction
from mmpredict.scenario import RequestSection, Scenario, ServerSection
from mmpredict.validation.executed import Executed
from mmpredict.validation.history import History
from mmpredict.validation.live_residuals import Group, residuals
from mmpredict.validation.recorder import Recorder

MODEL = "synthetic:smollm2-135m@q4_0"


@pytest.mark.live
def test_two_rounds_of_a_small_scenario(
    coefficients: Coefficients, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMPREDICT_CACHE", str(cache))
    asked = tuple(RequestSection(model=MODEL, prompt_tokens=tokens, output_tokens=4, id=str(tokens)) for tokens in (24, 48))
    scenario = Scenario(strategies=("sequential",), server=ServerSection(context_tokens=256), requests=asked)
    own = coefficients.model_copy(update={"cores": usable_cores()})
    check = Check("2026-11-27T08:00:00+00:00", "scenario", "small", scenario.digest, "m", "e", "2026-11-27", "0")
    recorder = Recorder(check, tmp_path / "runs.jsonl", History(tmp_path / "history.sqlite3"), pytest.fail)
    kept: list[Executed] = []

    def keep(run: Executed, prediction: Prediction) -> None:
        recorder.keep(run, prediction)
        kept.append(run)

    found = api.validate(scenario, tmp_path / "logs", draws=5, coefficients=own, repeats=2, keep=keep)
    (comparison,) = found.comparisons
    assert comparison.failed == 0
    assert [run.turn for run in kept] == [0, 1]
    assert {one.request: len(one.e2e_s.runs) for one in comparison.requests} == {"24": 2, "48": 2}
    for one in comparison.requests:
        assert 0.0 < one.ttft_s.measured < one.e2e_s.measured <= comparison.metrics["makespan_s"].measured
    back, left_out = recorder.history.runs("m", "e")
    assert ([one.run.records.to_dict() for one in back], left_out) == ([run.records.to_dict() for run in kept], [])
    parts = residuals(back[0].run, {MODEL: resolve(MODEL)}, own)
    # what a request costs besides has no logarithm where the server's time for the prompt is all that the client saw
    assert {group.part for group in parts} - {"request"} == {"prefill", "decode", "load"}
    assert set(parts[Group("load", 0)]) == {MODEL}
