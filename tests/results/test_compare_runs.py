"""Several runs of a plan against its prediction, and requests one by one."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from mmpredict.results.columns import RequestRow
from mmpredict.results.compare import PlanComparison, compare, errors_of, metric_errors, request_errors
from mmpredict.results.metrics import METRICS, summarize
from mmpredict.results.prediction import Interval, Prediction, intervals
from mmpredict.results.records import Records
from mmpredict.results.request_forecast import all_latencies_s, request_forecasts


def run(factor: float, failed: str = "", origin: str = "measured") -> Records:
    """Two requests: first tokens after 1 and 3 s, ends after 2 and 6 s, all times ``factor``."""
    return Records(
        origin,
        [
            RequestRow(
                name,
                "m",
                "m",
                0.5,
                10,
                5,
                load_wait_s=factor,
                first_token_s=0.5 + factor * first_s,
                finish_s=0.5 + 2 * factor * first_s,
                status="timeout" if name == failed else "ok",
            )
            for name, first_s in (("b", 1.0), ("a", 3.0))
        ],
    )


def prediction(*factors: float) -> Prediction:
    drawn = [run(factor, origin="simulated") for factor in factors]
    forecasts = request_forecasts(drawn[0], [all_latencies_s(records) for records in drawn])
    return Prediction("s", drawn[0], intervals([summarize(one) for one in drawn]), len(factors), requests=forecasts)


def compared(*factors: float) -> PlanComparison:
    return compare(prediction(0.9, 1.0, 1.1), *(run(factor) for factor in factors))


def test_intervals_of_requests_are_quantiles_of_their_own_draws() -> None:
    found = {one.request: one for one in prediction(0.9, 1.0, 1.1, 1.2, 1.3).requests}
    assert list(found) == ["b", "a"], "in the order of the records"
    assert found["a"].ttft_s.value == pytest.approx(3 * 1.1)
    assert (found["b"].e2e_s.low, found["b"].e2e_s.high) == pytest.approx((2 * 0.94, 2 * 1.26))


def test_a_draw_that_failed_a_request_tells_nothing_of_it() -> None:
    drawn = [all_latencies_s(run(1.0)), all_latencies_s(run(5.0, failed="a"))]
    assert np.isnan(drawn[1]).tolist() == [[True, True], [False, False]], "in the order of the names"
    found = {one.request: one for one in request_forecasts(run(1.0), drawn)}
    assert found["a"].ttft_s == Interval(3.0, 3.0, 3.0)
    assert found["b"].ttft_s.value == pytest.approx(3.0)
    assert request_forecasts(run(1.0), []) == ()


def test_the_median_of_several_runs_is_compared_and_their_noise_told() -> None:
    found = compared(1.0, 1.3, 1.1)
    makespan = found.metrics["makespan_s"]
    assert makespan.measured == pytest.approx(6.6)
    assert makespan.runs == pytest.approx((6.0, 7.8, 6.6))
    assert makespan.error_frac == pytest.approx(6.0 / 6.6 - 1)
    assert makespan.noise_frac == pytest.approx(0.6 / 6.6)
    assert found.metrics["load_wait_s"].measured == pytest.approx(2.2)
    assert found.measured_records is found.runs[2], "the run with the median makespan is shown"
    assert math.isnan(compared(1.0).metrics["makespan_s"].noise_frac)


def test_requests_are_matched_by_their_ids() -> None:
    found = {one.request: one for one in compared(1.0, 1.2).requests}
    assert found["a"].e2e_s.measured == pytest.approx(6.6)
    assert found["b"].ttft_s.error_frac == pytest.approx(1 / 1.1 - 1)
    assert found["b"].ttft_s.covered is False and compared(1.05).requests[0].ttft_s.covered is True
    stranger = Records("measured", [RequestRow("c", "m", "m", 0.0, 1, 1, first_token_s=1.0, finish_s=2.0)])
    assert all(math.isnan(one.ttft_s.measured) for one in compare(prediction(1.0), stranger).requests)


def test_a_run_that_failed_a_request_does_not_count_where_it_is_missed() -> None:
    found = compare(prediction(1.0), run(2.0, failed="a"), run(1.0), run(1.0, failed="b"))
    assert found.failed == 2
    assert found.metrics["makespan_s"].measured == pytest.approx(6.0)
    assert found.measured_records is found.runs[1]
    assert {one.request: one.ttft_s.measured for one in found.requests} == pytest.approx({"a": 3.0, "b": 1.5})


def test_errors_by_hand() -> None:
    found = errors_of(one.metrics["makespan_s"] for one in (compared(1.25), compared(0.8), compared(2.0)))
    assert found.compared == 3
    assert (found.median_absolute_frac, found.bias_frac) == pytest.approx((0.25, -0.2))
    assert found.inside_frac == 0.0
    assert request_errors([compared(1.0)])["ttft_s"].inside_frac == 1.0
    assert errors_of([]).compared == 0
    assert set(metric_errors([compared(1.0)])) == set(METRICS)


def test_everything_is_told_once() -> None:
    document = json.loads(json.dumps(compared(1.0, 1.3, 1.1).to_dict(), allow_nan=False))
    assert set(document["requests"]) == {"a", "b"}
    assert document["request_errors"]["ttft_s"]["compared"] == 2
    ends = [records["requests"][0]["finish_s"] for records in [document["measured_records"], *document["further_runs"]]]
    assert ends == pytest.approx([2.7, 2.5, 3.1])
    assert set(document["prediction"]["requests"]) == {"a", "b"}


def test_no_run_is_no_comparison() -> None:
    with pytest.raises(ValueError, match="'s' was not executed"):
        compare(prediction(1.0))
