"""The pool of models and the swap server, rule by rule, with times computed by hand."""

from __future__ import annotations

import pytest
from served_runs import GB, ask, causes, rows, run, spans, times

from mmpredict.errors import InputError
from mmpredict.simulation.policies.shelf import Budget, Choice, Resident
from mmpredict.simulation.serving import OllamaServing, PoolServing, SwapServing
from mmpredict.simulation.site import Site

NEEDS = {"a": 4.4 * GB, "b": 0.9 * GB, "c": 0.9 * GB}
POOL = PoolServing(budget_bytes=5 * GB)


def test_idle_models_go_until_the_next_one_fits_the_oldest_first() -> None:
    found = run(POOL, ask("rb", "b", 0), ask("rc", "c", 5), ask("ra", "a", 10), ask("again", "b", 20), needs=NEEDS)
    assert spans(found, "unload") == [("b", 10, 10), ("c", 10, 10), ("a", 20, 20)]
    assert causes(found, "unload") == ["room for ra", "room for ra", "room for again"]
    assert times(found) == {"rb": (2, 3), "rc": (7, 8), "ra": (12, 13), "again": (22, 23)}


def test_what_is_used_stays() -> None:
    needs = dict.fromkeys("abc", 2 * GB)
    found = run(POOL, ask("r1", "a", 0), ask("r2", "b", 5), ask("r3", "a", 10), ask("r4", "c", 20), needs=needs)
    assert [name for name, _, _ in spans(found, "unload")] == ["b"]


def test_a_busy_model_is_waited_for_while_hits_go_on() -> None:
    found = run(POOL, ask("ra", "a", 0, 9), ask("rb", "b", 3), ask("hit", "a", 5, 2), needs=NEEDS)
    assert times(found)["rb"] == (15, 16), "a has served both at 13"
    assert rows(found)["hit"].load_wait_s == 0
    assert causes(found, "queue", request="rb") == ["a in use", "load of b"]


def test_loads_come_one_after_another_and_unloading_takes_its_time() -> None:
    found = run(PoolServing(budget_bytes=5 * GB, unload_s=5), ask("rb", "b", 0), ask("ra", "a", 1), needs=NEEDS)
    assert spans(found, "load") == [("b", 0, 2), ("a", 8, 10)]
    assert causes(found, "queue", request="ra") == ["load of b", "b in use", "unload of b", "load of a"]


def test_a_model_larger_than_the_budget_is_refused() -> None:
    found = rows(run(PoolServing(budget_bytes=4 * GB), ask("ra", "a", 0), ask("rb", "b", 0), needs=NEEDS))
    assert {name: row.status for name, row in found.items()} == {"ra": "out of memory", "rb": "ok"}


def test_without_a_budget_the_machine_sets_it() -> None:
    assert rows(run(PoolServing(), ask("ra", "a", 0), needs=NEEDS, site=Site(4 * GB)))["ra"].status == "out of memory"


def test_the_budget_is_a_function() -> None:
    residents = [Resident("x", 1.0, 3, True), Resident("y", 2.0, 3, True), Resident("z", 0.0, 3, False)]
    assert Budget(9).choose(3, residents, ()) == Choice("load", ("x",))
    assert Budget(9).choose(5, residents, ()) == Choice("load", ("x", "y"))
    assert Budget(9).choose(7, residents, ()) == Choice("wait")
    assert Budget(9).choose(10, residents, ()) == Choice("refuse")
    assert Budget(12).choose(3, residents, ()) == Choice("load")


def test_a_swap_server_takes_requests_in_their_order() -> None:
    found = run(SwapServing(unload_s=1), ask("r1", "a", 0, 4), ask("r2", "b", 3), ask("r3", "a", 4), ask("r4", "a", 5))
    assert times(found) == {"r1": (2, 6), "r2": (9, 10), "r3": (13, 14), "r4": (13, 15)}
    assert [name for name, _, _ in spans(found, "load")] == ["a", "b", "a"]


def test_a_swap_server_serves_the_active_model_at_once() -> None:
    found = run(SwapServing(), ask("r1", "a", 0), ask("r2", "a", 9))
    assert times(found)["r2"] == (9, 10)
    assert len(spans(found, "load")) == 1


def test_a_model_larger_than_memory_is_swapped_in_every_pass() -> None:
    site = Site(4 * GB, swap_bytes=8 * GB, swap_bytes_per_s=1 * GB)
    found = run(SwapServing(), ask("r", "a", 0, 3), needs={"a": 6 * GB}, site=site)
    assert times(found) == {"r": (2, 2 + 3 + 3 * 2)}, "2 GB of it in each of three passes"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PoolServing(budget_bytes=-1), "budget_bytes is -1; it must be 0 or more"),
        (lambda: OllamaServing(num_parallel=0), "num_parallel is 0; it must be 1 or more"),
        (lambda: SwapServing(unload_s=float("nan")), "unload_s is nan"),
    ],
)
def test_options_out_of_range(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()  # type: ignore[operator]
