"""Ollama's scheduler, rule by rule, with times computed by hand."""

from __future__ import annotations

import math

import pytest
from served_runs import GB, SPEC, SecondCosts, ask, causes, plan_of, rows, run, spans, times

from mmpredict.cost.admission.ollama import predicted_bytes
from mmpredict.errors import InputError
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.policies import ollama as policy
from mmpredict.simulation.run import simulate
from mmpredict.simulation.serving import FOREVER_S, OllamaServing
from mmpredict.simulation.site import Site
from mmpredict.workload.request import Workload

ONE = OllamaServing(max_loaded_models=1)
RANKS = {"a": "1", "b": "2", "c": "3", "d": "4"}


def test_readiness_is_seen_at_polls() -> None:
    found = run(OllamaServing(), ask("r", "a", 1.0, 3), loads_s={"a": 2.1})
    assert times(found) == {"r": (3.25, 6.25)}
    assert rows(found)["r"].load_wait_s == pytest.approx(2.25)
    assert spans(found, "load") == [("a", 1.0, 3.1)]


def test_a_model_serves_one_request_at_a_time_and_that_wait_is_none_for_a_load() -> None:
    found = run(OllamaServing(), ask("r1", "a", 0, 3), ask("r2", "a", 1, 2), ask("r3", "a", 4, 1))
    assert times(found) == {"r1": (2, 5), "r2": (5, 7), "r3": (7, 8)}
    assert [row.load_wait_s for row in found.requests] == [2, 1, 0]
    assert causes(found, "queue", request="r2") == ["load of a", "a in use"]


def test_parallel_requests_are_served_together() -> None:
    found = run(OllamaServing(num_parallel=2), ask("r1", "a", 0, 5), ask("r2", "a", 5, 5), ask("r3", "a", 5.5, 1))
    assert times(found)["r2"][0] == 5
    assert times(found)["r3"][0] == times(found)["r1"][1], "the third waits for the first to end"


def test_loads_come_one_after_another() -> None:
    found = run(OllamaServing(), *(ask(name, name, 0, 9) for name in "abc"))
    assert spans(found, "load") == [("a", 0, 2), ("b", 2, 4), ("c", 4, 6)]
    assert [row.load_wait_s for row in found.requests] == [2, 4, 6]


def test_the_head_blocks_those_behind_it_but_not_those_whose_model_is_loaded() -> None:
    found = run(ONE, ask("r1", "a", 0, 10), ask("r2", "b", 3), ask("r3", "a", 4, 1), ask("r4", "c", 5), ask("r5", "a", 13.5))
    # a serves r1 until 12 and r3, which came while it was to go, until 13; 0.1 s to kill it, 2 s to load b, and so on
    assert times(found)["r3"] == (12, 13)
    assert times(found)["r2"] == (15.1, 16.1)
    assert times(found)["r4"] == (18.2, 19.2)
    assert times(found)["r5"] == (21.3, 22.3), "it came after a was gone"
    assert spans(found, "unload") == [("a", 13, 13.1), ("b", 16.1, 16.2), ("c", 19.2, 19.3)]
    assert causes(found, "unload", "a") == ["room for r2"]
    assert causes(found, "queue", request="r4") == ["a in use", "unload of a", "load of b", "b in use", "unload of b", "load of c"]


def test_the_victim_is_found_by_digest_not_by_use() -> None:
    rules = OllamaServing(max_loaded_models=2, digests=RANKS)
    found = run(rules, ask("r1", "a", 0), ask("r2", "b", 10), ask("r3", "a", 20), ask("r4", "c", 30), ask("r5", "a", 40))
    # a was used last, and goes all the same: r5 must load it again; b, unused since 13, is next by digest
    assert [name for name, _, _ in spans(found, "unload")] == ["a", "b"]
    assert rows(found)["r5"].load_wait_s == pytest.approx(2.1)


def test_models_that_take_turns_reload_every_time() -> None:
    asked = [ask(f"r{number}", "ab"[number % 2], 10.0 * number) for number in range(6)]
    assert len(spans(run(ONE, *asked), "load")) == 6
    assert len(spans(run(OllamaServing(), *asked), "load")) == 2


def test_the_shortest_keep_alive_goes_first_and_for_ever_last() -> None:
    rules = OllamaServing(max_loaded_models=2, digests=RANKS)
    short = run(rules, ask("r1", "a", 0), ask("r2", "b", 10, keep_alive_s=100.0), ask("r3", "c", 20))
    assert [name for name, _, _ in spans(short, "unload")] == ["b"]
    for_ever = run(rules, ask("r1", "a", 0, keep_alive_s=FOREVER_S), ask("r2", "b", 10), ask("r3", "c", 20))
    assert [name for name, _, _ in spans(for_ever, "unload")] == ["b"]


def test_an_idle_model_goes_before_a_busy_one_of_smaller_digest() -> None:
    rules = OllamaServing(max_loaded_models=2, digests=RANKS)
    found = run(rules, ask("r1", "a", 0, 50), ask("r2", "b", 10), ask("r3", "c", 20))
    assert spans(found, "unload") == [("b", 20, 20.1)]


def test_without_a_digest_the_hash_of_the_name_decides() -> None:
    assert policy.rank("x", {"x": "0"}) == "0"
    assert policy.rank("x", {}) == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"


def test_a_full_queue_refuses() -> None:
    found = rows(run(OllamaServing(max_queue=2), *(ask(name, name, 0.1 * number) for number, name in enumerate("abcde"))))
    assert {name: row.status for name, row in found.items()} == {
        "a": "ok", "b": "ok", "c": "ok", "d": "queue full", "e": "queue full",
    }  # fmt: skip
    assert math.isnan(found["d"].finish_s)
    assert math.isnan(found["d"].dispatched_s)


def test_requests_for_a_loaded_model_never_meet_the_full_queue() -> None:
    many = [ask(f"a{number}", "a", 5 + 0.01 * number) for number in range(20)]
    found = run(OllamaServing(max_queue=1), ask("first", "a", 0), *many)
    assert {row.status for row in found.requests} == {"ok"}
    assert len(spans(found, "load")) == 1


def test_an_idle_model_goes_after_its_keep_alive_and_is_loaded_again() -> None:
    found = run(OllamaServing(keep_alive_s=5), ask("r1", "a", 0, 1), ask("r2", "a", 7, 1), ask("r3", "a", 20, 1))
    assert spans(found, "unload") == [("a", 13, 13.1)], "five seconds after the end of r2"
    assert times(found) == {"r1": (2, 3), "r2": (7, 8), "r3": (22, 23)}
    assert causes(found, "unload") == ["keep-alive"]


def test_no_keep_alive_unloads_at_once() -> None:
    found = run(OllamaServing(), ask("r1", "a", 0, keep_alive_s=0.0), ask("r2", "a", 10))
    assert spans(found, "unload") == [("a", 3, 3.1)]
    assert rows(found)["r2"].load_wait_s == 2


def test_a_keep_alive_that_was_asked_for_stays_until_another_is() -> None:
    asked = [ask("r1", "a", 0, keep_alive_s=4.0), ask("r2", "a", 5), ask("r3", "a", 20)]
    assert spans(run(OllamaServing(), *asked), "unload") == [("a", 10, 10.1)], "r2 ends at 6"


def test_nothing_happens_after_the_last_request() -> None:
    found = run(OllamaServing(keep_alive_s=5), ask("r", "a", 0))
    assert spans(found, "unload") == []


def test_another_context_loads_the_model_again_at_every_change() -> None:
    asked = [ask(f"r{number}", "a", 10.0 * number, context_tokens=(2048, None)[number % 2]) for number in range(4)]
    found = run(OllamaServing(), *asked)
    assert len(spans(found, "load")) == 4
    assert [row.load_wait_s for row in found.requests] == pytest.approx([2, 2.1, 2.1, 2.1])
    assert len(spans(run(OllamaServing(), *(ask(f"r{n}", "a", 10.0 * n, context_tokens=4096) for n in range(4))), "load")) == 1


def test_a_request_for_another_context_waits_behind_the_head_though_its_model_is_loaded() -> None:
    found = run(ONE, ask("r1", "a", 0, 10), ask("r2", "b", 3), ask("r3", "a", 4, context_tokens=2048))
    assert times(found) == {"r1": (2, 12), "r2": (14.1, 15.1), "r3": (17.2, 18.2)}


def test_a_keep_alive_of_its_own_keeps_a_model_that_was_to_go() -> None:
    found = run(ONE, ask("r1", "a", 0, 10), ask("r2", "b", 3), ask("r3", "a", 4, keep_alive_s=30.0))
    assert spans(found, "unload")[0] == ("a", 43, 43.1), "r3 ends at 13; r2 has been waiting since 3"


def test_a_keep_alive_without_end_starves_all_that_wait() -> None:
    asked = [ask("r1", "a", 0, 10), ask("r2", "b", 3), ask("r3", "a", 4, keep_alive_s=FOREVER_S), ask("r4", "c", 5)]
    found = rows(run(ONE, *asked, ask("r5", "b", 0, after=("r2",))))
    assert {name: row.status for name, row in found.items()} == {
        "r1": "ok", "r2": "starved", "r3": "ok", "r4": "starved", "r5": "starved",
    }  # fmt: skip


def test_a_steady_stream_keeps_a_model_that_must_go() -> None:
    stream = [ask(f"a{number}", "a", 2.5 + number, 1) for number in range(1, 10)]
    found = run(ONE, ask("r1", "a", 0, 2), ask("r2", "b", 3), *stream)
    assert times(found)["r2"][0] == pytest.approx(max(end for name, (_, end) in times(found).items() if name != "r2") + 2.1)


def test_memory_of_a_cpu_is_not_looked_at() -> None:
    asked = [ask(name, name, 10.0 * number, 20) for number, name in enumerate("abc")]
    needs = dict.fromkeys("abc", 4 * GB)
    killed = rows(run(OllamaServing(), *asked, needs=needs, site=Site(10 * GB)))
    assert {name: row.status for name, row in killed.items()} == {"a": "ok", "b": "ok", "c": "out of memory"}
    swapping = run(OllamaServing(), *asked, needs=needs, site=Site(10 * GB, swap_bytes=8 * GB, swap_bytes_per_s=1 * GB))
    assert {row.status for row in swapping.requests} == {"ok"}
    assert [(row.time_s, row.used) for row in swapping.states if row.resource == "swapped"] == [(22, 2 * GB)]
    # each of three has lost 2/3 GB: that is read in every pass, of which c makes 20, a and b from their next run on
    assert times(swapping)["c"][1] == pytest.approx(22 + 20 + 20 * 2 / 3, abs=1e-3)


def test_a_fourth_model_is_one_too_many_without_a_gpu() -> None:
    found = run(OllamaServing(), *(ask(name, name, 10.0 * number) for number, name in enumerate("abcd")))
    assert len(spans(found, "unload")) == 1


def gpu(free_bytes: float, integrated: bool = False) -> Site:
    return Site(100 * GB, gpus=1, gpu_bytes=free_bytes, integrated=integrated)


@pytest.mark.parametrize(("spare_bytes", "evicted"), [(1000, 0), (-1000, 1)])
def test_a_gpu_evicts_when_the_prediction_exceeds_four_fifths_of_what_is_free(spare_bytes: float, evicted: int) -> None:
    free = predicted_bytes(SPEC, 4096) / 0.8 + spare_bytes
    found = run(OllamaServing(), ask("r1", "a", 0), ask("r2", "b", 10), device={"a": 1 * GB}, site=gpu(1 * GB + free))
    assert len(spans(found, "unload")) == evicted


def test_the_first_model_is_loaded_however_large() -> None:
    assert times(run(OllamaServing(), ask("r", "a", 0), site=gpu(1.0))) == {"r": (2, 3)}


@pytest.mark.parametrize(("recovery_s", "wait_s"), [(0.0, 0.25), (0.3, 0.5), (9.0, 5.0)])
def test_a_discrete_gpu_is_polled_for_its_memory(recovery_s: float, wait_s: float) -> None:
    rules = OllamaServing(max_loaded_models=1, recovery_s=recovery_s)
    asked = ask("r1", "a", 0), ask("r2", "b", 10)
    assert times(run(rules, *asked, site=gpu(50 * GB)))["r2"][0] == pytest.approx(10.1 + wait_s + 2)
    assert times(run(rules, *asked, site=gpu(50 * GB, integrated=True)))["r2"][0] == pytest.approx(12.1)


def test_ends_are_not_noticed_while_memory_is_awaited() -> None:
    rules = OllamaServing(recovery_s=4.0)
    first, second = ask("r1", "a", 0, 1, keep_alive_s=0.0), ask("r2", "b", 0, 2, keep_alive_s=1.0)
    found = run(rules, first, second, ask("late", "c", 50), site=gpu(50 * GB))
    # a goes at 3, its memory is back at 7.1; b is ready at 4 and done at 6, which is noticed at 7.1
    assert spans(found, "unload") == [("a", 3, 3.1), ("b", 8.1, 8.2)]


def test_nothing_is_granted_while_a_process_is_killed() -> None:
    found = run(OllamaServing(kill_s=1.0), ask("r1", "a", 0, 1, keep_alive_s=0.0), ask("r2", "b", 0, 9), ask("r3", "b", 3.5))
    assert spans(found, "unload") == [("a", 3, 4)]
    assert times(found)["r2"][0] == 4
    assert rows(found)["r3"].load_wait_s == 0.5


def test_a_plan_must_have_as_many_slots_as_ollama_gives() -> None:
    plan = plan_of(OllamaServing(num_parallel=2))
    wrong = Plan("wrong", plan.instances, plan.stages, OllamaServing(num_parallel=3))
    with pytest.raises(InputError, match="has 2 slots, num_parallel is 3"):
        simulate(wrong, Workload((ask("r", "a", 0),)), dict.fromkeys("abcde", SPEC), SecondCosts({}, {}, {}), 1e12)
