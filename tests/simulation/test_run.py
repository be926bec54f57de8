"""Whole plans: times computed by hand, laws of scale, refusals, and what is uncertain."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.cost.chain import CalibratedSource, CostModel, InstanceCost
from mmpredict.cost.coefficients import Coefficients, Estimate
from mmpredict.cost.draw import Draw
from mmpredict.cost.piece import PromptPiece
from mmpredict.errors import InputError
from mmpredict.models.cache import CacheOptions
from mmpredict.models.catalog import uniform_spec
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.models.spec import ModelSpec
from mmpredict.results.metrics import METRICS, summarize
from mmpredict.results.records import Records
from mmpredict.simulation import repeat
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.simulation.repeat import predict_plan
from mmpredict.simulation.run import simulate
from mmpredict.strategy.options import ServerOptions
from mmpredict.strategy.table import STRATEGIES, make_plan
from mmpredict.workload.request import Request, Workload

MEMORY_BYTES = 64e9
MODELS = ("small", "middle", "large")
SPECS: dict[str, ModelSpec] = {
    name: replace(uniform_spec(shape, weight_type(matrices)), name=name)
    for name, shape, matrices in (
        ("small", "smollm2-135m", "q8_0"),
        ("middle", "smollm2-360m", "q4_0"),
        ("large", "qwen2.5-0.5b", "q8_0"),
    )
}
BUSY = Workload(
    tuple(
        Request(f"{name}{number}", name, 40 + 60 * number, 8 + 5 * number, 0.4 * number) for name in MODELS for number in range(3)
    )
)
AT_ONCE = Workload(tuple(replace(request, arrival_s=0.0) for request in BUSY.requests))


def run(
    coefficients: Coefficients,
    strategy: str | Plan,
    workload: Workload,
    specs: Mapping[str, ModelSpec] = SPECS,
    draw: Draw | None = None,
    cold: bool = False,
) -> Records:
    asked = [name for name in MODELS if name in workload.models]
    plan = make_plan(strategy, asked, coefficients.cores) if isinstance(strategy, str) else strategy
    return simulate(plan, workload, specs, CostModel(coefficients, draw), MEMORY_BYTES, cold)


def cost_of(coefficients: Coefficients, name: str, threads: int = 4) -> InstanceCost:
    return CostModel(coefficients).instance(SPECS[name], threads, None, CacheOptions(4096, 4, 512))


def alone_s(cost: InstanceCost, request: Request) -> float:
    """One request that has a server to itself."""
    prompt_s = cost.prices.batch_s([], [PromptPiece(0, request.prompt_tokens, True)])
    return prompt_s + cost.prices.decode_s([request.prompt_tokens], request.output_tokens - 1)


def makespan_s(records: Records) -> float:
    return summarize(records).makespan_s


@pytest.mark.parametrize("cold", [False, True])
def test_sequential_is_the_sum_of_its_parts(coefficients: Coefficients, cold: bool) -> None:
    expected_s = 0.0
    for name in MODELS:
        cost = cost_of(coefficients, name)
        mine = [request for request in AT_ONCE.requests if request.model == name]
        expected_s += cost.load_s(cold) + sum(coefficients.request_s + alone_s(cost, request) for request in mine)
        expected_s += cost.unload_s if name != MODELS[-1] else 0.0
    assert makespan_s(run(coefficients, "sequential", AT_ONCE, cold=cold)) == pytest.approx(expected_s, rel=1e-9)


def test_one_request_is_timed_event_by_event(coefficients: Coefficients) -> None:
    request = Request("r", "large", 200, 50)
    cost = cost_of(coefficients, "large")
    (row,) = run(coefficients, "parallel", Workload((request,))).requests
    sent_s = cost.load_s(False)
    prefill_s = sent_s + coefficients.request_s
    first_s = prefill_s + cost.prices.batch_s([], [PromptPiece(0, 200, True)])
    assert (row.dispatched_s, row.load_wait_s) == pytest.approx((sent_s, sent_s))
    assert (row.prefill_start_s, row.first_token_s) == pytest.approx((prefill_s, first_s))
    assert row.finish_s == pytest.approx(first_s + cost.prices.decode_s([200], 49))


def test_a_single_model_is_the_same_under_every_strategy_but_for_the_price_of_yielding(coefficients: Coefficients) -> None:
    one = Workload((Request("r", "small", 64, 16),))
    found = {name: makespan_s(run(coefficients, name, one)) for name in STRATEGIES}
    yielding_s = found.pop("parallel-yielding")
    assert len({round(value, 12) for value in found.values()}) == 1
    assert found["parallel"] < yielding_s < 1.1 * found["parallel"]


def test_stages_follow_each_other(coefficients: Coefficients) -> None:
    records = run(coefficients, "sequential", BUSY)
    spans = {
        kind: {row.instance: (row.start_s, row.end_s) for row in records.activities if row.kind == kind}
        for kind in ("load", "unload")
    }
    for before, after in pairwise(MODELS):
        assert spans["load"][after][0] == spans["unload"][before][1]
    for row in records.activities:
        assert spans["load"][row.instance][0] <= row.start_s <= row.end_s <= spans["unload"][row.instance][1]


def test_sequential_sends_one_request_at_a_time(coefficients: Coefficients) -> None:
    rows = sorted(run(coefficients, "sequential", AT_ONCE).requests, key=lambda row: row.dispatched_s)
    assert [row.model for row in rows] == [name for name in MODELS for _ in range(3)]
    for before, after in pairwise(rows):
        assert after.dispatched_s >= before.finish_s


def test_late_requests_find_their_server_ready(coefficients: Coefficients) -> None:
    late = Workload((Request("early", "small", 10, 2), Request("late", "small", 10, 2, arrival_s=500.0)))
    early, later = run(coefficients, "parallel", late).requests
    assert early.load_wait_s == early.dispatched_s == pytest.approx(cost_of(coefficients, "small").load_s(False))
    assert (later.dispatched_s, later.load_wait_s) == (500.0, 0.0)
    assert later.finish_s - later.arrival_s == pytest.approx(early.finish_s - early.dispatched_s)


def test_requests_of_one_client_are_sent_one_after_the_other(coefficients: Coefficients) -> None:
    rows = run(coefficients, "parallel-divided", Workload(tuple(Request(str(i), "small", 10, 2) for i in range(3)))).requests
    first = min(row.prefill_start_s for row in rows)
    assert first == pytest.approx(rows[0].dispatched_s + coefficients.request_s)


def test_loads_at_the_same_time_share_the_cores(coefficients: Coefficients) -> None:
    single = coefficients.model_copy(update={"cores": 2})
    loads = {row.instance: row for row in run(single, "parallel", AT_ONCE).activities if row.kind == "load"}
    shortest = min(loads.values(), key=lambda row: row.end_s)
    assert shortest.slowdown == pytest.approx(1.5), "three threads on two cores"
    assert all(1.0 <= row.slowdown <= 1.5 for row in loads.values())


def test_a_model_that_nobody_asks_is_not_loaded(coefficients: Coefficients) -> None:
    plan = make_plan("sequential", MODELS, coefficients.cores)
    records = run(coefficients, plan, Workload((Request("r", "middle", 10, 2),)))
    assert {row.instance for row in records.activities} == {"middle"}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("draw", [None, Draw(0, 1), Draw(0, 2)])
def test_every_request_is_served_once_within_the_machine(coefficients: Coefficients, strategy: str, draw: Draw | None) -> None:
    records = run(coefficients, strategy, BUSY, draw=draw)
    assert sorted(row.request for row in records.requests) == sorted(request.id for request in BUSY.requests)
    asked = {request.id: request for request in BUSY.requests}
    for row in records.requests:
        request = asked[row.request]
        assert (row.model, row.prompt_tokens, row.output_tokens) == (request.model, request.prompt_tokens, request.output_tokens)
        assert row.arrival_s <= row.dispatched_s < row.prefill_start_s < row.first_token_s < row.finish_s
    for state in records.states:
        assert 0 <= state.used <= state.capacity
    kinds = [row.kind for row in records.activities]
    assert [kinds.count(kind) for kind in ("load", "prefill", "decode", "unload")] == [3, 9, 9, 3]
    assert records.states[-1].used == 0


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_inputs_give_the_same_bytes(coefficients: Coefficients, strategy: str) -> None:
    def once() -> str:
        return json.dumps(run(coefficients, strategy, BUSY, draw=Draw(3, 5)).to_dict())

    assert once() == once()


def scaled(coefficients: Coefficients, factor: float) -> Coefficients:
    """Every time that a machine takes, multiplied; everything else as it was."""
    data = coefficients.model_dump()

    def walk(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: walk(inner, f"{name}.{key}") for key, inner in value.items()}
        if isinstance(value, tuple):
            return tuple(walk(inner, name) for inner in value)
        if name.endswith("_bytes_per_s"):
            return value / factor
        is_time = name.endswith(("_s", "_s.value"))
        return value * factor if is_time and isinstance(value, float) else value

    return Coefficients.model_validate(walk(data))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("draw", [None, Draw(0, 3)])
def test_a_machine_twice_as_fast_takes_half_the_time(coefficients: Coefficients, strategy: str, draw: Draw | None) -> None:
    quick = Workload(tuple(replace(request, arrival_s=request.arrival_s / 2) for request in BUSY.requests))
    slow, fast = run(coefficients, strategy, BUSY, draw=draw), run(scaled(coefficients, 0.5), strategy, quick, draw=draw)
    for before, after in zip(slow.requests, fast.requests, strict=True):
        assert after.first_token_s == pytest.approx(before.first_token_s / 2, rel=1e-9)
        assert after.finish_s == pytest.approx(before.finish_s / 2, rel=1e-9)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("workload", [BUSY, AT_ONCE], ids=["spread", "at once"])
def test_a_faster_machine_or_one_of_more_cores_is_never_slower(
    coefficients: Coefficients, strategy: str, workload: Workload
) -> None:
    two = coefficients.model_copy(update={"cores": 2})
    plan = make_plan(strategy, MODELS, 2)
    slow_s = makespan_s(run(two, plan, workload))
    assert makespan_s(run(coefficients, plan, workload)) <= slow_s
    assert makespan_s(run(scaled(two, 0.5), plan, workload)) < slow_s


@given(st.integers(1, 400), st.integers(1, 60), st.sampled_from(sorted(STRATEGIES)))
def test_more_tokens_never_end_earlier(coefficients: Coefficients, prompt: int, output: int, strategy: str) -> None:
    def end_s(prompt: int, output: int) -> float:
        requests = tuple(Request(name, name, prompt, output) for name in MODELS[:2])
        return makespan_s(run(coefficients, strategy, Workload(requests)))

    base_s = end_s(prompt, output)
    assert end_s(prompt + 50, output) > base_s
    assert end_s(prompt, output + 5) > base_s


def test_spinning_servers_beyond_the_cores_are_far_slower_than_yielding_ones(coefficients: Coefficients) -> None:
    found = {name: makespan_s(run(coefficients, name, AT_ONCE)) for name in STRATEGIES}
    assert found["parallel"] > 1.25 * found["parallel-yielding"]
    stacked = coefficients.contention.model_copy(update={"stacked_probability": 1.0})
    worst_s = makespan_s(run(coefficients.model_copy(update={"contention": stacked}), "parallel", AT_ONCE))
    assert worst_s > 3 * found["parallel"]


def test_a_context_that_cannot_hold_the_requests_is_refused(coefficients: Coefficients) -> None:
    def attempt(strategy: str, context_tokens: int) -> Records:
        plan = make_plan(strategy, MODELS[:1], 4, ServerOptions(context_tokens=context_tokens, slots=2))
        requests = tuple(Request(str(i), "small", tokens, 10) for i, tokens in enumerate((90, 190, 290)))
        return run(coefficients, plan, Workload(requests))

    with pytest.raises(InputError, match=r"small: the 2 largest requests in flight together need 500 tokens, .* holds 499"):
        attempt("parallel", 499)
    assert len(attempt("parallel", 500).requests) == 3
    with pytest.raises(InputError, match=r"the 1 largest requests .* 300 tokens, .* holds 299; raise server.context_tokens"):
        attempt("sequential", 299)
    assert len(attempt("sequential", 300).requests) == 3


def test_a_model_that_no_instance_serves_is_named(coefficients: Coefficients) -> None:
    plan = make_plan("parallel", ["small"], 4)
    with pytest.raises(InputError, match="request 'lost' asks for 'large', which no instance of plan 'parallel' serves"):
        run(coefficients, plan, Workload((Request("r", "small", 1, 1), Request("lost", "large", 1, 1))))


def test_more_threads_than_cores_are_refused(coefficients: Coefficients) -> None:
    with pytest.raises(InputError, match="8 threads on 4 cores"):
        run(coefficients, make_plan("parallel", ["small"], 8), Workload((Request("r", "small", 1, 1),)))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: InstancePlan("a", "m", 0), "instance 'a': threads is 0; it must be between 1 and 1024"),
        (lambda: InstancePlan("a", "m", 1, slots=0), "slots is 0"),
        (lambda: InstancePlan("a", "m", 1, context_tokens=8), "context_tokens is 8"),
        (lambda: InstancePlan("a", "m", 1, spincount=-1), "spincount is -1; it must be 0 or more"),
        (lambda: Plan("p", (InstancePlan("a", "m", 1),) * 2, (Stage(("a", "a")),)), "two instances have the same name"),
        (lambda: Plan("p", (InstancePlan("a", "m", 1),), ()), "each must be in one stage"),
        (lambda: Plan("p", (InstancePlan("a", "m", 1),), (Stage(("a",)), Stage(("a",)))), "each must be in one stage"),
        (lambda: Plan("p", (InstancePlan("a", "m", 1),), (Stage(("a", "b")),)), "each must be in one stage"),
    ],
)
def test_impossible_plans_are_refused(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build()


def predict(coefficients: Coefficients, strategy: str, workload: Workload = AT_ONCE, **options: Any) -> Any:
    plan = make_plan(strategy, MODELS, coefficients.cores)
    return predict_plan(
        plan, workload, SPECS, CalibratedSource(coefficients), **{"memory_bytes": MEMORY_BYTES, "draws": 40, **options}
    )


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
