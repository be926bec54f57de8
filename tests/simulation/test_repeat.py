"""Repeated runs: intervals, shared luck, seeds, warnings, processes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from small_plans import MEMORY_BYTES, predict, run

from mmpredict.cost.chain import CalibratedSource
from mmpredict.cost.coefficients import Coefficients, Estimate
from mmpredict.cost.draw import Draw
from mmpredict.models.catalog import uniform_spec
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.results.metrics import METRICS, summarize
from mmpredict.simulation import repeat
from mmpredict.simulation.repeat import predict_plan
from mmpredict.strategy.table import STRATEGIES, make_plan
from mmpredict.workload.request import Request, Workload


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_intervals_contain_the_median_and_mostly_the_run_at_the_median(coefficients: Coefficients, strategy: str) -> None:
    prediction = predict(coefficients, strategy)
    assert set(prediction.metrics) == set(METRICS)
    at_median = summarize(prediction.records)
    for name, interval in prediction.metrics.items():
        assert interval.low <= interval.value <= interval.high, name
        assert interval.low < interval.high, name
        if strategy != "parallel":  # spinning servers are a mixture of two states; the middle may be between them
            assert interval.contains(getattr(at_median, name)), name
    assert prediction.draws == len(prediction.makespans_s) == 40


def test_intervals_are_as_wide_as_the_spreads_say(coefficients: Coefficients) -> None:
    # one model, one request: machine and model factors apply to nearly all of the time
    one = Workload((Request("r", "large", 10, 400),))
    prediction = predict(coefficients, "sequential", one, draws=200)
    interval = prediction.metrics["itl_p50_s"]
    spread = float(np.hypot(coefficients.machine_log_spread, coefficients.model_log_spread["decode"]))
    assert np.log(interval.high / interval.low) == pytest.approx(2 * 1.2816 * spread, rel=0.25)


def test_without_uncertainty_there_is_no_interval(coefficients: Coefficients) -> None:
    own = coefficients.contention
    certain = coefficients.model_copy(
        update={
            "machine_log_spread": 0.0,
            "request_s": 0.0,  # nobody is late
            "model_log_spread": {"prefill": 0.0, "decode": 0.0},
            "contention": own.model_copy(
                update={
                    "within_efficiency": Estimate(value=own.within_efficiency.value),
                    "yielding_efficiency": Estimate(value=own.yielding_efficiency.value),
                    "spinning_efficiency": {phase: Estimate(value=e.value) for phase, e in own.spinning_efficiency.items()},
                    "stacked_layer_s": Estimate(value=own.stacked_layer_s.value),
                    "stacked_probability": 0.0,
                }
            ),
            "loading": coefficients.loading.model_copy(update={"log_spread": 0.0}),
            "memory": coefficients.memory.model_copy(update={"log_spread": 0.0}),
        }
    )
    for strategy in STRATEGIES:
        prediction = predict(certain, strategy, draws=3)
        at_median = summarize(prediction.records)
        for name, interval in prediction.metrics.items():
            assert interval.low == interval.value == interval.high == getattr(at_median, name), name


def test_two_plans_share_the_luck_of_a_draw(coefficients: Coefficients) -> None:
    one, other = predict(coefficients, "sequential", draws=60), predict(coefficients, "parallel-yielding", draws=60)
    elsewhere = predict(coefficients, "parallel-yielding", draws=60, seed=1)

    def spread(first: Sequence[float], second: Sequence[float]) -> float:
        return float(np.std(np.log(np.array(first) / np.array(second))))

    assert spread(one.makespans_s, other.makespans_s) < 0.75 * spread(one.makespans_s, elsewhere.makespans_s)
    assert np.corrcoef(one.makespans_s, other.makespans_s)[0, 1] > 0.5
    assert abs(np.corrcoef(one.makespans_s, elsewhere.makespans_s)[0, 1]) < 0.35


def test_a_prediction_is_a_function_of_its_seed(coefficients: Coefficients) -> None:
    first, again, other = (predict(coefficients, "parallel", draws=5, seed=seed) for seed in (7, 7, 8))
    assert json.dumps(first.to_dict()) == json.dumps(again.to_dict())
    assert not set(first.makespans_s) & set(other.makespans_s), "no draw is shared between seeds"
    assert first.records == other.records, "the run at the median is nobody's luck"


def test_more_draws_begin_with_the_same_ones(coefficients: Coefficients) -> None:
    few, many = (predict(coefficients, "batched", draws=draws).makespans_s for draws in (4, 9))
    assert many[:4] == few


def test_the_reader_is_warned_of_what_cannot_be_trusted(coefficients: Coefficients) -> None:
    for harmless in ("parallel-yielding", "parallel-divided"):
        assert predict(coefficients, harmless, draws=1).warnings == ()
    (warning,) = predict(coefficients, "parallel", draws=1).warnings
    assert "12 threads on 4 cores" in warning and "divide the threads or set GOMP_SPINCOUNT" in warning
    unmeasured = {"small": replace(uniform_spec("probe-wide", weight_type("q6_k")), name="small")}
    one = Workload((Request("r", "small", 1, 1),))
    found = predict_plan(
        make_plan("sequential", ["small"], 4), one, unmeasured, CalibratedSource(coefficients), MEMORY_BYTES, draws=1
    )
    assert any("small holds weights of a type that was not calibrated (q6_k)" in warning for warning in found.warnings)


def test_a_prediction_says_what_it_rests_on(coefficients: Coefficients) -> None:
    assert "100 measurements of invented with none" in predict(coefficients, "sequential", draws=1).provenance[0]


def test_processes_share_draws_without_changing_them(coefficients: Coefficients, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = predict(coefficients, "parallel", draws=4)
    monkeypatch.setattr(repeat, "PARALLEL_REQUESTS", 1)
    shared = predict(coefficients, "parallel", draws=4)
    assert json.dumps(shared.to_dict()) == json.dumps(alone.to_dict())


def test_many_requests_are_drawn_less_often() -> None:
    assert [repeat.usual_draws(requests) for requests in (1, 1000, 4000, 100_000)] == [200, 200, 50, 20]


def test_by_chance_a_server_wakes_so_late_that_two_requests_share_a_batch(coefficients: Coefficients) -> None:
    pair = Workload((Request("one", "small", 40, 4), Request("two", "small", 40, 4)))

    def together(draw: Draw | None) -> bool:
        first, second = run(coefficients, "parallel", pair, draw=draw).requests
        assert first.prefill_start_s <= second.prefill_start_s
        return first.first_token_s == second.first_token_s

    assert not together(None), "at the median it begins with the first before the second is sent"
    shared = sum(together(Draw(0, number)) for number in range(60))
    assert 10 < shared < 50, "a request is sent every request_s, and lateness is exponential around that: 37 %"
