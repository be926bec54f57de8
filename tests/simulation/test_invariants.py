"""What must hold of every run, whatever is asked of whom."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_plans import MODELS, run

from mmpredict.cost.coefficients import Coefficients
from mmpredict.results.columns import RequestRow
from mmpredict.results.usage import usage
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.workload.request import Request, Workload

requests = st.builds(
    Request,
    id=st.just("r"),
    model=st.sampled_from(MODELS),
    prompt_tokens=st.integers(1, 200),
    output_tokens=st.integers(1, 30),
    arrival_s=st.one_of(st.just(0.0), st.floats(0, 4)),
)
workloads = st.lists(requests, min_size=1, max_size=10).map(
    lambda found: Workload(tuple(replace(request, id=f"r{number}") for number, request in enumerate(found)))
)


def what_happened(row: RequestRow) -> tuple[float, ...]:
    return row.arrival_s, row.dispatched_s, row.prefill_start_s, row.first_token_s, row.finish_s


@given(workloads, st.sampled_from(["sequential", "parallel", "parallel-divided", "batched"]))
@settings(max_examples=60)
def test_times_are_in_order_and_tokens_are_conserved(coefficients: Coefficients, workload: Workload, strategy: str) -> None:
    records = run(coefficients, strategy, workload)
    assert sorted(row.request for row in records.requests) == sorted(request.id for request in workload.requests)
    asked = {request.id: request for request in workload.requests}
    for row in records.requests:
        assert list(what_happened(row)) == sorted(what_happened(row))
        assert (row.prompt_tokens, row.output_tokens) == (asked[row.request].prompt_tokens, asked[row.request].output_tokens)
        assert row.prefill_slowdown >= 1 - 1e-9 and row.decode_slowdown >= 1 - 1e-9
    for state in records.states:
        assert 0 <= state.used <= state.capacity


@given(workloads)
@settings(max_examples=40)
def test_a_lone_model_is_never_slowed_down(coefficients: Coefficients, workload: Workload) -> None:
    alone = Workload(tuple(replace(request, model="small") for request in workload.requests))
    records = run(coefficients, "parallel", alone)
    for row in records.requests:
        assert (row.prefill_slowdown, row.decode_slowdown) == pytest.approx((1.0, 1.0), rel=1e-9)
    assert all(factor == pytest.approx(1.0, rel=1e-9) for factor in usage(records).contention.values())


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_equal_requests_at_the_same_moment_may_change_names(coefficients: Coefficients, groups: list[int], random: object) -> None:
    made = [Request(f"r{g}.{n}", "small", 40 * g + 8, 10, 1.5 * g) for g, count in enumerate(groups) for n in range(count)]
    names = [request.id for request in made]
    random.shuffle(names)  # type: ignore[attr-defined]
    renamed = [replace(request, id=name) for request, name in zip(made, names, strict=True)]
    before, after = (run(coefficients, "parallel", Workload(tuple(one))) for one in (made, renamed))
    assert sorted(map(what_happened, before.requests)) == sorted(map(what_happened, after.requests))


@given(workloads)
@settings(max_examples=30)
def test_slots_of_their_own_take_as_long_as_shared_ones_while_one_request_is_there(
    coefficients: Coefficients, workload: Workload
) -> None:
    lone = Workload(workload.requests[:1])
    model = lone.requests[0].model
    ends = []
    for unified in (True, False):
        instance = InstancePlan("server", model, 4, context_tokens=8192, unified=unified)
        (row,) = run(coefficients, Plan("one", (instance,), (Stage(("server",)),)), lone).requests
        ends.append(row.finish_s)
    assert ends[0] == pytest.approx(ends[1], rel=1e-12)
