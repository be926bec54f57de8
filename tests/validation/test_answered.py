"""Answers that models ended before they were as long as asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmpredict import api
from mmpredict.cost.chain import CostModel
from mmpredict.cost.coefficients import Coefficients
from mmpredict.costing import CalibratedCosting
from mmpredict.demo import demo_scenario
from mmpredict.forecasting import Forecaster
from mmpredict.hardware.library import find_profile
from mmpredict.live import execute
from mmpredict.models.spec import ModelSpec
from mmpredict.results.columns import RequestRow
from mmpredict.results.compare import compare
from mmpredict.results.prediction import Prediction
from mmpredict.results.records import Records
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.run import simulate
from mmpredict.validation.answered import as_answered
from mmpredict.validation.executed import Executed
from mmpredict.workload.request import Workload


def answers(workload: Workload, **tokens: int) -> Records:
    """Records of a workload, with other lengths of some answers."""
    rows = []
    for one in workload.requests:
        row = RequestRow(one.id, one.model, one.model, 0.0, one.prompt_tokens, tokens.get(one.id, one.output_tokens))
        row.status = "ok" if row.output_tokens else "timeout"
        rows.append(row)
    return Records("measured", rows, [], [])


@pytest.fixture
def forecaster(coefficients: Coefficients) -> Forecaster:
    profile = find_profile("ms-s1-max")
    own = coefficients.model_copy(update={"cores": profile.cpu.cores})
    return Forecaster(demo_scenario(), profile, CalibratedCosting(profile, own), draws=4)


def test_answers_as_long_as_asked_for_change_nothing() -> None:
    asked = demo_scenario().workload()
    assert as_answered(asked, [answers(asked)]) is None
    first = asked.requests[0]
    assert as_answered(asked, [answers(asked, **{first.id: 0})]) is None, "one that never came is as long as asked for"
    assert as_answered(asked, [answers(asked, **{first.id: first.output_tokens + 1})]) is None, "longer ones are no answers"


def test_the_middle_of_the_runs_counts() -> None:
    asked = demo_scenario().workload()
    first, *others = asked.requests
    runs = [answers(asked, **{first.id: tokens}) for tokens in (9, 5, 0, 7)]
    found = as_answered(asked, runs)
    assert found is not None
    assert found.requests == (replace(first, output_tokens=7), *others)


def test_runs_are_held_against_as_many_tokens_as_came(forecaster: Forecaster) -> None:
    question = forecaster.question
    asked = question.workload()
    plan = question.plans(forecaster.profile.cpu.cores)[0]
    before = forecaster.predict(plan)
    assert forecaster.of_answers(before, plan, [answers(asked)]) is before
    cut = Workload(tuple(replace(one, output_tokens=one.output_tokens // 2) for one in asked.requests))
    measured = forecaster.predict(plan, cut).records
    assert compare(before, measured).metrics["makespan_s"].error_frac > 0.1, "what was not answered took no time"
    held = forecaster.of_answers(before, plan, [measured])
    assert abs(compare(held, measured).metrics["makespan_s"].error_frac) < 0.05
    count = len(asked.requests)
    assert held.warnings[-1].startswith(f"{count} of {count} answers were shorter than asked for")


def test_validation_holds_every_run_against_its_own_answers(
    coefficients: Coefficients, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def cut(plan: Plan, workload: Workload, specs: Mapping[str, ModelSpec], *_: Any, **__: Any) -> Records:
        half = Workload(tuple(replace(one, output_tokens=one.output_tokens // 2) for one in workload.requests))
        return simulate(plan, half, specs, CostModel(coefficients), 1e12)

    monkeypatch.setattr(execute, "execute_plan", cut)
    kept: list[Prediction] = []

    def keep(_: Executed, prediction: Prediction) -> None:
        kept.append(prediction)

    question = demo_scenario().model_copy(update={"strategies": ("sequential",)})
    found = api.validate(question, tmp_path, draws=4, coefficients=coefficients, keep=keep)
    assert found.median_error_frac < 0.05
    (plan,) = found.comparisons
    assert "shorter than asked for" in plan.prediction.warnings[-1]
    assert kept[0].metrics == plan.prediction.metrics != found.forecast.predictions[0].metrics
