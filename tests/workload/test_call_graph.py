"""Tasks of several calls: who waits for whom, who reads what, and what is cached."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.errors import InputError
from mmpredict.workload.arrivals import Constant, Poisson
from mmpredict.workload.call_graph import Call, CallGraph
from mmpredict.workload.distributions import Exponential, Fixed, Uniform
from mmpredict.workload.lengths import Lengths
from mmpredict.workload.request import MAX_TOKENS, Request, Workload
from mmpredict.workload.source import Source, Starts


def fixed(name: str, prompt: int, output: int, after: Sequence[str] = (), model: str = "m", **more: object) -> Call:
    return Call(name, model, Lengths.fixed(prompt), Lengths.fixed(output), tuple(after), **more)  # type: ignore[arg-type]


def tasks(calls: Sequence[Call], count: int = 1) -> list[Request]:
    return list(CallGraph(Source(priority=1, deadline_s=60.0), Starts(Constant(1.0), count), tuple(calls)).stream())


AGENT = (
    fixed("router", 50, 5, model="small"),
    fixed("coder", 400, 300, ["router"], model="coder", copies=3, reads_answers=True, delay=Fixed(2.0)),
    fixed("critic", 100, 40, ["coder"], model="small", reads_answers=True),
    fixed("fix", 10, 80, ["critic", "router"], model="small", continues="critic", reads_answers=True),
)


def test_an_agent_fans_out_and_joins() -> None:
    found = {request.id.removeprefix("load.1."): request for request in tasks(AGENT)}
    assert list(found) == ["router", "coder.1", "coder.2", "coder.3", "critic", "fix"]
    copies = ("load.1.coder.1", "load.1.coder.2", "load.1.coder.3")
    assert found["coder.2"].after == ("load.1.router",) and found["critic"].after == copies
    assert [found[name].prompt_tokens for name in found] == [50, 405, 405, 405, 100 + 3 * 300, 1000 + 40 + 5 + 10]
    assert [found[name].arrival_s for name in found] == [0.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    assert found["coder.1"].delay_s == 2.0 and found["router"].model == "small"
    assert {(one.priority, one.deadline_s) for one in found.values()} == {(1, 60.0)}


def test_a_call_that_continues_another_finds_its_prompt_and_answer_cached() -> None:
    found = {request.id.removeprefix("load.1."): request for request in tasks(AGENT)}
    assert found["critic"].session == found["fix"].session == "load.1.critic"
    assert (found["critic"].shared_tokens, found["fix"].shared_tokens) == (0, 1000 + 40)
    assert found["router"].session == found["coder.1"].session == ""


def test_a_chain_of_continued_calls_is_one_session() -> None:
    calls = [fixed("a", 10, 1)] + [fixed(name, 5, 2, [before], continues=before) for before, name in ("ab", "bc", "cd")]
    found = tasks(calls)
    assert {request.session for request in found} == {"load.1.a"}
    assert [(request.prompt_tokens, request.shared_tokens) for request in found] == [(10, 0), (16, 11), (23, 18), (30, 25)]


@given(st.integers(1, 7), st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_any_graph_without_a_circle_can_be_asked(count: int, seed: int, random: Random) -> None:
    calls = []
    for number in range(count):
        after = tuple(f"c{one}" for one in random.sample(range(number), random.randint(0, min(2, number))))
        calls.append(
            Call(
                f"c{number}",
                "m",
                Lengths(Uniform(1, 99)),
                Lengths(Uniform(1, 99)),
                after,
                Exponential(1.0),
                copies=random.randint(1, 3),
                reads_answers=random.random() < 0.5,
            )
        )
    random.shuffle(calls)
    load = CallGraph(Source(seed=seed), Starts(Poisson(1.0), 4), tuple(calls))
    requests = list(load.stream())
    assert requests == list(load.stream())
    assert Workload(tuple(requests)).requests == tuple(requests)
    assert len(requests) == 4 * sum(call.copies for call in calls)


def test_a_prompt_of_too_many_answers_is_cut() -> None:
    calls = [fixed("a", 1, MAX_TOKENS, copies=2), fixed("b", 1, 1, ["a"], reads_answers=True)]
    assert tasks(calls)[-1].prompt_tokens == MAX_TOKENS


@pytest.mark.parametrize(
    ("calls", "message"),
    [
        ([], "a task has 0 calls"),
        ([fixed("a", 1, 1), fixed("a", 1, 1)], "two calls are called 'a'"),
        ([fixed("a", 1, 1, ["b"]), fixed("b", 1, 1, ["a"])], "calls wait for one another in a circle"),
        (
            [fixed("router", 1, 1), fixed("b", 1, 1, ["ruoter"])],
            "call 'b': after names 'ruoter', which is no call; did you mean 'router'",
        ),
        ([fixed("a", 0, 1)], "call 'a': a prompt and an answer need at least 1 token"),
        ([fixed("a", 1, 1, copies=0)], "call 'a': copies is 0"),
        ([fixed("a", 1, 1), fixed("b", 1, 1, continues="a")], "continues names 'a'; it must be one of after"),
        ([fixed("a", 1, 1), fixed("b", 1, 1, ["a"], model="n", continues="a")], "asks another model"),
        ([fixed("a", 1, 1, copies=2), fixed("b", 1, 1, ["a"], continues="a")], "neither has copies"),
        ([fixed("a", 1, 1), *(fixed(name, 1, 1, ["a"], continues="a") for name in "bc")], "one call alone can do so"),
    ],
)
def test_impossible_graphs_are_refused(calls: list[Call], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tasks(calls)
