"""Predicted against measured: errors, coverage, regret."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.results.columns import RequestRow, StateRow
from mmpredict.results.compare import MetricComparison, PlanComparison, compare, median_absolute_error, regret
from mmpredict.results.metrics import METRICS, summarize
from mmpredict.results.prediction import Interval, Prediction
from mmpredict.results.records import Records


def measured(makespan_s: float, status: str = "ok") -> Records:
    rows = [RequestRow("r", "m", "m", 0.0, 10, 5, first_token_s=makespan_s / 2, finish_s=makespan_s, status=status)]
    return Records("measured", rows, [], [StateRow(0.0, "memory", 2e9, 4e9)])


def predicted(strategy: str, makespan_s: float) -> Prediction:
    value = Interval(makespan_s, 0.9 * makespan_s, 1.1 * makespan_s)
    return Prediction(strategy, measured(makespan_s), dict.fromkeys(METRICS, value), 10)


def pair(strategy: str, predicted_s: float, measured_s: float, status: str = "ok") -> PlanComparison:
    return compare(predicted(strategy, predicted_s), measured(measured_s, status))


def test_every_metric_is_compared_with_its_measurement() -> None:
    found = pair("parallel", 8.0, 10.0)
    assert list(found.metrics) == list(METRICS)
    summary = summarize(measured(10.0))
    assert found.measured == summary
    assert {name: one.measured for name, one in found.metrics.items()} == {name: getattr(summary, name) for name in METRICS}
    assert found.metrics["makespan_s"].error_frac == pytest.approx(-0.2)


@given(st.floats(0.1, 1e3), st.floats(0.1, 1e3))
def test_an_error_is_relative_to_the_measurement(value: float, real: float) -> None:
    one = MetricComparison("makespan_s", Interval(value, value, value), real)
    assert (1 + one.error_frac) * real == pytest.approx(value)
    assert one.covered == (value == real)


@pytest.mark.parametrize(("real", "covered"), [(9.0, True), (11.0, True), (8.9, False), (11.1, False)])
def test_coverage_is_within_the_interval(real: float, covered: bool) -> None:
    assert pair("parallel", 10.0, real).metrics["makespan_s"].covered is covered


def test_what_was_not_measured_has_no_error() -> None:
    one = pair("parallel", 10.0, 10.0, status="timeout").metrics["makespan_s"]
    assert math.isnan(one.error_frac) and not one.covered
    assert one.to_dict() == {
        "predicted": Interval(10.0, 9.0, 11.0).to_dict(),
        "measured": None,
        "runs": [None],
        "error_frac": None,
        "noise_frac": None,
        "covered": False,
    }
    assert math.isnan(MetricComparison("itl_p50_s", Interval(1, 1, 1), 0.0).error_frac)


def test_the_median_error_is_over_plans_that_were_measured() -> None:
    pairs = [pair("a", 11.0, 10.0), pair("b", 7.0, 10.0), pair("c", 12.0, 10.0), pair("d", 1.0, 10.0, status="timeout")]
    assert median_absolute_error(pairs) == pytest.approx(0.2)
    assert median_absolute_error(pairs, "ttft_p50_s") == pytest.approx(1.2)
    assert math.isnan(median_absolute_error(pairs[3:]))
    assert math.isnan(median_absolute_error([]))


def test_regret_is_against_the_best_measured() -> None:
    pairs = [pair("a", 1.0, 12.0), pair("b", 2.0, 10.0), pair("c", 3.0, 30.0), pair("d", 4.0, 1.0, status="timeout")]
    assert regret("a", pairs) == pytest.approx(0.2)
    assert regret("b", pairs) == 0.0
    assert regret("c", pairs) == pytest.approx(2.0)
    assert math.isnan(regret("d", pairs)) and math.isnan(regret("none", pairs)) and math.isnan(regret("a", []))


@given(st.lists(st.floats(0.1, 1e3), min_size=1, max_size=5))
def test_somebody_has_no_regret_and_nobody_a_negative_one(reals: list[float]) -> None:
    pairs = [pair(str(number), 1.0, real) for number, real in enumerate(reals)]
    found = [regret(str(number), pairs) for number in range(len(reals))]
    assert min(found) == 0.0


def test_plain_data_is_json_without_nan() -> None:
    data = pair("parallel", 10.0, 10.0, status="timeout").to_dict()
    read = json.loads(json.dumps(data, allow_nan=False))
    assert read["strategy"] == "parallel"
    assert set(read["metrics"]) == set(METRICS)
    assert read["measured_summary"]["failed"] == 1
    assert read["prediction"]["interval_level"] == 0.8
