"""llama-swap's groups and scheduler, rule by rule, with times computed by hand."""

from __future__ import annotations

import pytest
from served_runs import GB, ask, causes, rows, run, spans, times

from mmpredict.errors import InputError
from mmpredict.simulation.policies.llama_swap import collides, evictions
from mmpredict.simulation.serving import Group, LlamaSwapServing
from mmpredict.simulation.site import Site

ALONE = LlamaSwapServing()
TOGETHER = LlamaSwapServing(groups={"pair": Group(("a", "b", "c"), swap=False)})


def test_readiness_is_seen_at_a_quarter_second_and_every_second_after() -> None:
    found = run(ALONE, ask("r", "a", 0, 1), loads_s={"a": 0.2})
    assert times(found)["r"] == (0.25, 1.25)
    assert times(run(ALONE, ask("r", "a", 0, 1), loads_s={"a": 2.0}))["r"] == (2.25, 3.25)
    assert times(run(ALONE, ask("r", "a", 0, 1), loads_s={"a": 2.3}))["r"] == (3.25, 4.25)


def test_one_model_at_a_time_unless_grouped() -> None:
    asked = ask("r1", "a", 0, 4), ask("r2", "b", 1, 2)
    found = run(ALONE, *asked)
    # a is ready at 2.25 and busy until 6.25; 0.1 s to stop it, and 2.25 s until b is seen
    assert times(found) == {"r1": (2.25, 6.25), "r2": (8.6, 10.6)}
    assert causes(found, "queue", request="r2") == ["load of a", "a in use", "unload of a", "load of b"]
    assert causes(found, "unload") == ["room for r2"]
    assert times(run(TOGETHER, *asked)) == {"r1": (2.25, 6.25), "r2": (3.25, 5.25)}


def test_requests_for_one_model_are_served_together_before_the_next() -> None:
    order = "abcabc"
    found = run(ALONE, *(ask(f"r{number}", model, 0.1 * number) for number, model in enumerate(order)))
    assert [row.model for row in sorted(found.requests, key=lambda row: row.dispatched_s)] == list("aabbcc")
    assert len(spans(found, "load")) == 3


def test_a_ready_model_overtakes_the_queue() -> None:
    found = run(ALONE, ask("r1", "a", 0, 4), ask("r2", "b", 3), ask("r3", "a", 5, 4))
    assert times(found)["r3"] == (5, 10.25), "it is sent at once, and its server serves it after r1"
    assert times(found)["r2"][0] == pytest.approx(10.25 + 0.1 + 2.25)


def test_a_request_joins_the_load_of_its_model() -> None:
    found = run(ALONE, ask("r1", "a", 0), ask("r2", "a", 2))
    assert [row.dispatched_s for row in found.requests] == [2.25, 2.25]
    assert causes(found, "queue", request="r2") == ["load of a"]


def test_the_eleventh_request_of_a_model_is_too_many() -> None:
    found = rows(run(ALONE, *(ask(f"r{number:02}", "a", 0.01 * number) for number in range(12)), ask("other", "b", 1)))
    assert [name for name, row in found.items() if row.status == "too many requests"] == ["r10", "r11"]
    assert found["other"].status == "ok"


def test_the_limit_counts_those_that_wait_and_ends_with_them() -> None:
    rules = LlamaSwapServing(concurrency_limit=1)
    found = rows(run(rules, ask("r1", "a", 0, 2), ask("r2", "b", 1), ask("r3", "b", 2), ask("r4", "a", 4.5)))
    assert {name: row.status for name, row in found.items()} == {
        "r1": "ok", "r2": "ok", "r3": "too many requests", "r4": "ok",
    }  # fmt: skip


def test_loads_that_concern_nobody_else_run_at_the_same_time() -> None:
    found = run(TOGETHER, *(ask(model, model, 0) for model in "abc"))
    assert spans(found, "load") == [("a", 0, 2), ("b", 0, 2), ("c", 0, 2)]


def test_a_member_of_an_exclusive_group_stops_all_others_and_stays_clear_of_their_loads() -> None:
    rules = LlamaSwapServing(groups={"x": Group(("a", "b"), swap=False), "y": Group(("c",))})
    found = run(rules, ask("ra", "a", 0), ask("rb", "b", 0), ask("rc", "c", 1, 1), ask("late", "a", 20))
    assert spans(found, "unload")[:2] == [("a", 3.25, 3.35), ("b", 3.25, 3.35)]
    assert times(found)["rc"] == (5.6, 6.6)
    assert spans(found, "unload")[2] == ("c", 20, 20.1)


def test_persistent_members_stay() -> None:
    rules = LlamaSwapServing(groups={"small": Group(("a",), persistent=True)})
    found = run(rules, ask("ra", "a", 0), ask("rb", "b", 10), ask("rc", "c", 20))
    assert [name for name, _, _ in spans(found, "unload")] == ["b"]


def test_a_group_that_is_not_exclusive_leaves_others_alone_but_is_not_left_alone() -> None:
    rules = LlamaSwapServing(groups={"side": Group(("a",), exclusive=False)})
    found = run(rules, ask("rb", "b", 0), ask("ra", "a", 10), ask("rc", "c", 20))
    assert [name for name, _, _ in spans(found, "unload")] == ["a", "b"]
    assert spans(found, "unload")[0][1] == 20


def test_a_ready_model_may_have_to_wait_for_others_to_go() -> None:
    rules = LlamaSwapServing(groups={"side": Group(("b",), exclusive=False)}, stop_s=1.0)
    found = run(rules, ask("r1", "a", 0), ask("r2", "b", 10), ask("r3", "a", 20))
    assert times(found)["r3"] == (21, 22), "b left a alone, but a does not bear it; a need not be loaded again"
    assert len(spans(found, "load")) == 2


def test_higher_priorities_come_first() -> None:
    rules = LlamaSwapServing(priorities={"c": 5})
    found = run(rules, ask("ra", "a", 0, 9), ask("rb", "b", 1), ask("rc", "c", 2))
    assert times(found)["rc"][0] < times(found)["rb"][0]
    plain = run(ALONE, ask("ra", "a", 0, 9), ask("rb", "b", 1), ask("rc", "c", 2))
    assert times(plain)["rb"][0] < times(plain)["rc"][0]


def test_idle_models_are_stopped_at_the_first_check_after_their_time() -> None:
    rules = LlamaSwapServing(ttl_s=2)
    found = run(rules, ask("r1", "a", 0, 1), ask("r2", "a", 4, 1), ask("r3", "a", 30, 1))
    # ready at 2.25, checked at 3.25, 4.25, ...; r2 ends at 5: more than 2 s later, at 7.25
    assert spans(found, "unload") == [("a", 7.25, 7.35)]
    assert causes(found, "unload") == ["time to live"]
    assert rows(found)["r3"].load_wait_s == 2.25


def test_a_request_for_a_model_that_is_being_stopped_waits_for_that() -> None:
    rules = LlamaSwapServing(ttl_s=2, stop_s=1.0)
    found = run(rules, ask("r1", "a", 0, 1), ask("r2", "a", 6.5, 1))
    assert spans(found, "unload") == [("a", 6.25, 7.25)], "r1 ends at 3.25; exactly two seconds later is not more"
    assert times(found)["r2"][0] == 9.5


def test_memory_is_not_looked_at() -> None:
    needs = dict.fromkeys("abc", 4 * GB)
    asked = [ask(name, name, 10.0 * number, 30) for number, name in enumerate("abc")]
    assert {name: row.status for name, row in rows(run(TOGETHER, *asked, needs=needs, site=Site(10 * GB))).items()} == {
        "a": "ok", "b": "ok", "c": "out of memory",
    }  # fmt: skip


def test_nobody_is_in_two_groups() -> None:
    with pytest.raises(InputError, match="'a' is a member of two groups"):
        LlamaSwapServing(groups={"x": Group(("a",)), "y": Group(("b", "a"))})


def test_the_rules_are_functions() -> None:
    groups = {"x": Group(("a", "b"), swap=False), "y": Group(("c",), persistent=True)}
    assert evictions("a", {"b", "c", "d"}, groups) == {"d"}
    assert evictions("c", {"a", "b", "d"}, groups) == {"a", "b", "d"}
    assert collides("a", frozenset({"d"}), {"d": frozenset()})
    assert collides("a", frozenset(), {"d": frozenset({"a"})})
    assert collides("a", frozenset({"e"}), {"d": frozenset({"e"})})
    assert not collides("a", frozenset({"e"}), {"a": frozenset({"e"}), "d": frozenset({"f"})})
