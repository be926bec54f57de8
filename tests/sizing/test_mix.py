"""Which mixes fit: the answers of the solver, in names and bytes, agree with estimates of the same instances."""

from __future__ import annotations

import json

import pytest

from mmpredict.errors import DoesNotFitError, InputError, UnknownNameError
from mmpredict.results.mixes import Mixes
from mmpredict.sizing.estimate import estimate
from mmpredict.sizing.mix import Demand, fit, parse_counts, parse_goal
from mmpredict.sizing.wish import Wish
from mmpredict.units import GIB, MIB

FOUR = ["qwen2.5:0.5b", "qwen2.5:1.5b", "qwen2.5:3b", "qwen2.5:7b"]
JETSON, CARD = "jetson-orin-nano", "rtx-4090"


def instances(found: Mixes, rank: int = 0) -> list[str]:
    return [name for name, count in found.mixes[rank].counts.items() for _ in range(count)]


def gpu_layers(hardware: str) -> str | None:
    return None if hardware == "raspberry-pi-5" else "all"


@pytest.mark.parametrize("hardware", [JETSON, CARD, "apple-m1", "raspberry-pi-5"])
def test_a_mix_is_what_an_estimate_of_its_instances_is(hardware: str) -> None:
    found = fit(FOUR, hardware, demand=Demand(top=3), budget_bytes=6e9)
    for rank, row in enumerate(found.mixes):
        again = estimate(
            instances(found, rank), hardware, context_tokens=4096, slots=1, gpu_layers=gpu_layers(hardware), budget_bytes=6e9
        )
        assert again.fits
        assert row.used_bytes == pytest.approx(tuple(pool.needed.value for pool in again.pools))
        assert row.remains_bytes == pytest.approx(tuple(pool.remains_bytes for pool in again.pools))


@pytest.mark.parametrize("name", FOUR)
def test_nothing_can_be_added_to_the_best(name: str) -> None:
    found = fit(FOUR, JETSON, budget_bytes=5e9)
    more = estimate([*instances(found), name], JETSON, context_tokens=4096, slots=1, gpu_layers="all", budget_bytes=5e9)
    assert not more.fits
    (reason,) = (sentence for sentence in found.why_not_more if name in sentence)
    assert "remain" in reason


def test_how_many_small_models_run_at_once() -> None:
    found = fit(["qwen2.5:0.5b"], JETSON, demand=Demand(goal="count", top=1), budget_bytes=5e9)
    (row,) = found.mixes
    (count,) = row.counts.values()
    assert count == row.value
    one = found.kinds[0]
    # every process has copies of its own on the GPU
    assert one.shared_bytes == (0.0,)
    assert count == int((5e9 // MIB - 14) // -(-one.own_bytes[0] // MIB))


def test_mapped_pages_are_counted_once() -> None:
    found = fit(["qwen2.5:7b-instruct-q8_0"], "raspberry-pi-5", demand=Demand(goal="count"), budget_bytes=12e9)
    one = found.kinds[0]
    # a Pi copies what its CPU cannot multiply as it is; the embedding table stays where it is
    assert one.shared_bytes[0] + one.own_bytes[0] > 7e9


def test_the_goal_decides() -> None:
    params, count = (fit(FOUR, CARD, demand=Demand(goal=goal, top=1), budget_bytes=8e9) for goal in ("params", "count"))
    assert sum(count.mixes[0].counts.values()) > sum(params.mixes[0].counts.values())
    own = fit(FOUR, CARD, demand=Demand(goal={"qwen2.5:3b": 5, "qwen2.5:0.5b": 1}, top=1), budget_bytes=8e9)
    assert "qwen2.5:3b" in own.mixes[0].counts
    assert own.goal == "highest value, as given"
    assert params.goal.startswith("most parameters")


def test_limits_are_kept() -> None:
    demand = Demand(goal="count", least={"qwen2.5:7b": 1}, most={"qwen2.5:0.5b": 2}, top=4)
    for row in fit(FOUR, CARD, demand=demand).mixes:
        assert row.counts["qwen2.5:7b"] >= 1
        assert row.counts.get("qwen2.5:0.5b", 0) <= 2
    assert all(set(row.counts.values()) == {1} for row in fit(FOUR, CARD, demand=Demand(distinct=True)).mixes)


def test_ollama_keeps_three_models_of_one_instance_each() -> None:
    found = fit(FOUR, CARD, Wish(engine="ollama", context_tokens=4096), Demand(top=2))
    assert set(found.mixes[0].counts) == {"qwen2.5:1.5b", "qwen2.5:3b", "qwen2.5:7b"}
    assert any("at most 3 models" in rule for rule in found.rules)
    assert any("is not loaded: at most 3" in sentence for sentence in found.why_not_more)


def test_both_memories_of_a_machine_with_a_card_are_kept() -> None:
    found = fit(["llama3.1:8b"], CARD, demand=Demand(goal="count"), vram_bytes=40 * GIB)
    assert found.pools == ("VRAM", "RAM")
    assert all(size >= 0 for size in found.mixes[0].remains_bytes)


def test_what_does_not_fit_names_the_smallest_need() -> None:
    with pytest.raises(DoesNotFitError, match=r"the smallest, qwen2.5:0.5b, needs .* MiB of unified memory"):
        fit(FOUR, JETSON, budget_bytes=5e8)
    with pytest.raises(DoesNotFitError, match="what is asked for at least needs"):
        fit(FOUR, JETSON, demand=Demand(least={"qwen2.5:7b": 2}), budget_bytes=5e9)
    with pytest.raises(DoesNotFitError, match="at most 0 times"):
        fit(["qwen2.5:0.5b"], JETSON, demand=Demand(most={"qwen2.5:0.5b": 0}))


def test_names_that_are_not_among_the_models() -> None:
    with pytest.raises(UnknownNameError, match=r"qwen2\.5:0\.5b"):
        fit(FOUR, JETSON, demand=Demand(least={"qwen2.5:0.6b": 1}))
    with pytest.raises(InputError, match="0 mixes"):
        fit(FOUR, JETSON, demand=Demand(top=0))
    with pytest.raises(InputError, match="goal 'speed'"):
        fit(FOUR, JETSON, demand=Demand(goal="speed"))


def test_options_of_the_command_line() -> None:
    assert parse_goal("params") == "params"
    assert parse_goal("qwen2.5:0.5b=2,other=0.5") == {"qwen2.5:0.5b": 2.0, "other": 0.5}
    assert parse_counts("--at-least", ["a:1b=2,b=1", "c=0"]) == {"a:1b": 2, "b": 1, "c": 0}
    for text in ("a", "a=", "=3", "a=x", "a=-1", "a=1e9", "a=1.2345"):
        with pytest.raises(InputError, match="NAME=NUMBER"):
            parse_goal(text)
    with pytest.raises(InputError, match="instances are whole"):
        parse_counts("--at-most", ["a=1.5"])


def test_the_result_is_plain_data() -> None:
    document = fit(FOUR[:2], JETSON, demand=Demand(top=2)).to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
