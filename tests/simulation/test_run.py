"""Whole plans: times computed by hand, laws of scale, refusals, and what is uncertain."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_plans import AT_ONCE, BUSY, MODELS, SPECS, run

from mmpredict.cost.chain import CostModel, InstanceCost
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.draw import Draw
from mmpredict.cost.piece import PromptPiece
from mmpredict.errors import InputError
from mmpredict.models.cache import CacheOptions
from mmpredict.results.metrics import summarize
from mmpredict.results.records import Records
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.strategy.options import ServerOptions
from mmpredict.strategy.table import STRATEGIES, make_plan
from mmpredict.workload.request import Request, Workload


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
        is_time = name.endswith(("_s", "_s.value")) or ".far_s." in name
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
