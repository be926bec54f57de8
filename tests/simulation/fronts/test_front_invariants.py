"""What holds for every front and every workload."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served_runs import GB, MODELS, SPEC, SecondCosts, ask, plan_of, run, spans

from mmpredict.results.records import Records
from mmpredict.simulation.run import simulate_stream
from mmpredict.simulation.serving import (
    SERVINGS,
    Group,
    LlamaSwapServing,
    OllamaServing,
    PoolServing,
    RouterServing,
    Serving,
    SwapServing,
)
from mmpredict.workload.request import Request, Workload

NEEDS = {"a": 4.4 * GB, "b": 0.9 * GB, "c": 1.5 * GB, "d": 3 * GB, "e": 6 * GB}
BUDGET_BYTES = 5 * GB
RULES: dict[str, Serving] = {
    "ollama": OllamaServing(max_loaded_models=2, keep_alive_s=3, max_queue=3),
    "ollama, two at a time": OllamaServing(num_parallel=2, max_loaded_models=1),
    "router": RouterServing(models_max=2),
    "router that sleeps": RouterServing(models_max=2, sleep_idle_s=1),
    "llama-swap": LlamaSwapServing(ttl_s=2, concurrency_limit=4),
    "llama-swap with groups": LlamaSwapServing(groups={"x": Group(("a", "b"), swap=False, exclusive=False, persistent=True)}),
    "pool": PoolServing(budget_bytes=BUDGET_BYTES),
    "swap": SwapServing(unload_s=0.5),
}
MOST = {
    "ollama": 2,
    "ollama, two at a time": 1,
    "router": 2,
    "router that sleeps": 2,
    "llama-swap": 1,
    "llama-swap with groups": 3,
    "pool": 5,
    "swap": 1,
}

arrivals = st.lists(
    st.tuples(st.sampled_from(MODELS), st.floats(0, 40), st.integers(1, 6), st.sampled_from([None, None, 0.0, 5.0, -1.0])),
    min_size=1,
    max_size=25,
)


def asked(cases: Sequence[tuple[str, float, int, float | None]], follow: bool = False) -> list[Request]:
    found: list[Request] = []
    for number, (model, arrival_s, seconds, keep_alive_s) in enumerate(cases):
        after = (found[-1].id,) if follow and found and number % 3 else ()
        found.append(ask(f"r{number:02}", model, arrival_s, seconds, keep_alive_s=keep_alive_s, after=after))
    return found


def resident(records: Records) -> list[tuple[float, dict[str, float]]]:
    """After every change, the models that are loaded or loading, or have not quite gone."""
    changes = [(start_s, 1, name) for name, start_s, _ in spans(records, "load")]
    changes += [(end_s, 0, name) for name, _, end_s in spans(records, "unload")]
    present: dict[str, float] = {}
    found = []
    for time_s, begins, name in sorted(changes):
        if begins:
            present[name] = NEEDS[name]
        else:
            present.pop(name)
        found.append((time_s, dict(present)))
    return found


@pytest.mark.parametrize("name", RULES)
@given(cases=arrivals, follow=st.booleans())
def test_every_request_ends_and_nothing_comes_before_its_cause(
    name: str, cases: list[tuple[str, float, int, float | None]], follow: bool
) -> None:
    records = run(RULES[name], *asked(cases, follow), needs=NEEDS)
    assert len(records.requests) == len(cases)
    loads = spans(records, "load")
    for row in records.requests:
        if row.status != "ok":
            assert row.status in ("queue full", "too many requests", "out of memory", "starved")
            assert math.isnan(row.finish_s)
            continue
        assert row.arrival_s <= row.arrival_s + row.load_wait_s <= row.dispatched_s + 1e-9
        assert row.dispatched_s <= row.prefill_start_s < row.first_token_s <= row.finish_s
        assert any(instance == row.model and end_s <= row.dispatched_s + 1e-3 for instance, _, end_s in loads)
        waits = sum(a.end_s - a.start_s for a in records.activities if a.kind == "queue" and a.request == row.request)
        assert waits == pytest.approx(row.dispatched_s - row.arrival_s), "every moment of waiting has its cause"


@pytest.mark.parametrize("name", RULES)
@given(cases=arrivals)
def test_no_more_models_are_resident_than_allowed(name: str, cases: list[tuple[str, float, int, float | None]]) -> None:
    records = run(RULES[name], *asked(cases), needs=NEEDS)
    for _, present in resident(records):
        assert len(present) <= MOST[name]
        if name == "pool":
            assert sum(present.values()) <= BUDGET_BYTES
    for instance in MODELS:
        own = sorted([*spans(records, "load"), *spans(records, "unload")], key=lambda span: span[1])
        mine = [span for span in own if span[0] == instance]
        assert all(before[2] <= after[1] + 1e-9 for before, after in pairwise(mine)), "one life after another"


@pytest.mark.parametrize("name", RULES)
@given(cases=arrivals)
def test_a_model_that_is_alone_is_loaded_once(name: str, cases: list[tuple[str, float, int, float | None]]) -> None:
    rules = RULES[name]
    if isinstance(rules, OllamaServing):
        rules = replace(rules, keep_alive_s=300, max_queue=512)
    if isinstance(rules, LlamaSwapServing):
        rules = replace(rules, ttl_s=0, concurrency_limit=1000)
    if isinstance(rules, RouterServing):
        rules = replace(rules, sleep_idle_s=-1)
    records = run(rules, *asked([("b", arrival_s, seconds, None) for _, arrival_s, seconds, _ in cases]), needs=NEEDS)
    (load,) = spans(records, "load")
    assert all(row.status == "ok" for row in records.requests)
    assert all(row.load_wait_s < 1e-9 for row in records.requests if row.arrival_s > load[2] + 1)


@pytest.mark.parametrize("name", RULES)
@given(cases=arrivals)
def test_the_same_question_has_the_same_answer(name: str, cases: list[tuple[str, float, int, float | None]]) -> None:
    first, second = (json.dumps(run(RULES[name], *asked(cases), needs=NEEDS).to_dict()) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", RULES)
@given(cases=arrivals, follow=st.booleans())
def test_a_stream_of_requests_has_the_same_answer(
    name: str, cases: list[tuple[str, float, int, float | None]], follow: bool
) -> None:
    requests = Workload(tuple(asked(cases, follow))).requests
    whole = run(RULES[name], *requests, needs=NEEDS)
    specs = {model: replace(SPEC, name=model) for model in MODELS}
    plan, costs = plan_of(RULES[name]), SecondCosts({}, NEEDS, {})
    table = simulate_stream(plan, iter(requests), specs, costs, 100 * GB, follow=follow)
    streamed = zip(table.times_s("arrival_s"), table.times_s("finish_s"), strict=True)
    kept = ((row.arrival_s, row.finish_s) for row in whole.requests)
    assert sorted(f"{arrival:.9f} {finish:.9f}" for arrival, finish in streamed) == sorted(
        f"{arrival:.9f} {finish:.9f}" for arrival, finish in kept
    )


def test_every_rule_is_among_them() -> None:
    assert {serving.rules for serving in RULES.values()} == SERVINGS.keys() - {"stages"}
