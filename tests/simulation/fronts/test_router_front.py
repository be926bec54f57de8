"""llama-server's router, rule by rule, with times computed by hand."""

from __future__ import annotations

from served_runs import GB, ask, causes, rows, run, spans, times

from mmpredict.simulation.serving import RouterServing
from mmpredict.simulation.site import Site

TWO = RouterServing(models_max=2)


def test_four_models_fit_and_the_fifth_takes_the_place_of_the_one_used_longest_ago() -> None:
    asked = [ask(f"r{model}", model, 10.0 * number) for number, model in enumerate("abcd")]
    found = run(RouterServing(), *asked, ask("again", "a", 45), ask("re", "e", 50))
    assert spans(found, "unload") == [("b", 50, 50.1)]
    assert times(found)["re"] == (52.2, 53.2), "its going is seen 0.2 s after the wait began; then 2 s"
    assert causes(found, "unload") == ["room for re"]


def test_readiness_is_seen_at_polls() -> None:
    assert times(run(TWO, ask("r", "a", 0), loads_s={"a": 1.05})) == {"r": (1.2, 2.2)}


def test_a_busy_model_is_never_evicted() -> None:
    found = run(TWO, ask("ra", "a", 0, 9), ask("rb", "b", 0, 6), ask("rc", "c", 3.1))
    # b ends at 8, which is 4.9 s after c began to wait: seen at 8.1, gone at 8.2, seen at 8.3, loaded at 10.3
    assert spans(found, "unload") == [("b", 8.1, 8.2)]
    assert times(found)["rc"] == (10.3, 11.3)
    assert causes(found, "queue", request="rc") == ["a, b in use", "unload of b", "load of c"]


def test_loaded_models_bypass_the_queue_and_one_model_waits_together() -> None:
    found = run(
        RouterServing(models_max=1),
        ask("r1", "a", 0, 9),
        ask("r2", "b", 3),
        ask("r3", "c", 4),
        ask("r4", "b", 5),
        ask("r5", "a", 6),
    )
    assert rows(found)["r5"].load_wait_s == 0
    order = sorted(found.requests, key=lambda row: (row.dispatched_s, row.request))
    assert [row.request for row in order] == ["r1", "r5", "r2", "r4", "r3"]
    assert len(spans(found, "load")) == 3


def test_a_model_that_somebody_waits_for_is_not_evicted() -> None:
    # a must go for c; while it goes, d and then b are asked for; when c is done, b is the oldest but c goes for d
    asked = ask("ra", "a", 0), ask("rb", "b", 10), ask("rc", "c", 20), ask("rd", "d", 20.05)
    assert [name for name, _, _ in spans(run(TWO, *asked), "unload")] == ["a", "b"]


def test_loads_may_overlap() -> None:
    found = run(TWO, ask("ra", "a", 0), ask("rb", "b", 0.5))
    assert spans(found, "load") == [("a", 0, 2), ("b", 0.5, 2.5)]


def test_an_idle_model_sleeps_and_is_woken_by_the_next_request() -> None:
    found = run(
        RouterServing(models_max=1, sleep_idle_s=5), ask("r1", "a", 0), ask("r2", "a", 20), ask("r3", "a", 24), ask("r4", "b", 60)
    )
    assert spans(found, "unload") == [("a", 8, 8), ("a", 30, 30)]
    assert rows(found)["r2"].load_wait_s == 2
    assert rows(found)["r3"].load_wait_s == 0
    assert times(found)["r4"][0] == 62.2, "the sleeping process must end first"


def test_memory_is_not_looked_at() -> None:
    asked = [ask(name, name, 10.0 * number, 30) for number, name in enumerate("abc")]
    found = rows(run(RouterServing(), *asked, needs=dict.fromkeys("abc", 4 * GB), site=Site(10 * GB)))
    assert {name: row.status for name, row in found.items()} == {"a": "ok", "b": "ok", "c": "out of memory"}
