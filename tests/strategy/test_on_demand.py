"""Plans of servers that are loaded on demand, and their options as files spell them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmpredict.errors import FileFormatError, InputError, UnknownNameError
from mmpredict.live.execute import execute_plan
from mmpredict.scenario import read_scenario
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.simulation.serving import (
    SERVINGS,
    Group,
    LlamaSwapServing,
    OllamaServing,
    PoolServing,
    RouterServing,
    StagesServing,
    SwapServing,
)
from mmpredict.strategy.on_demand import on_demand, serving_from
from mmpredict.strategy.options import ServerOptions
from mmpredict.strategy.table import STRATEGIES
from mmpredict.workload.request import Request, Workload

ASKED = '[[requests]]\nmodel = "synthetic:smollm2-135m@q8_0"\nprompt_tokens = 8\noutput_tokens = 4\n'


@pytest.mark.parametrize("rules", SERVINGS)
def test_every_rule_has_defaults_and_can_be_kept_as_json(rules: str) -> None:
    serving = serving_from({"rules": rules})
    assert serving == SERVINGS[rules]()
    assert serving.rules == rules
    plan = on_demand(["a", "b"], 4, ServerOptions(), serving)
    assert json.loads(json.dumps(plan.to_dict()))["serving"]["rules"] == rules


def test_times_and_sizes_have_units_or_not() -> None:
    assert serving_from({"rules": "ollama", "keep_alive": "1h30m"}) == OllamaServing(keep_alive_s=5400)
    assert serving_from({"rules": "ollama", "keep_alive": "-1"}) == OllamaServing(keep_alive_s=-1)
    assert serving_from({"rules": "ollama", "keep_alive": 90}) == OllamaServing(keep_alive_s=90)
    assert serving_from({"rules": "ollama", "keep_alive_s": 0.5}) == OllamaServing(keep_alive_s=0.5)
    assert serving_from({"rules": "pool", "budget": "5GB", "unload": "5s"}) == PoolServing(5e9, 5.0)
    assert serving_from({"rules": "swap", "unload_s": 5}) == SwapServing(5)
    assert serving_from({"rules": "llama-server-router", "sleep_idle": "500ms"}) == RouterServing(sleep_idle_s=0.5)


def test_groups_priorities_and_digests_are_tables() -> None:
    found = serving_from(
        {
            "rules": "llama-swap",
            "groups": {"small": {"members": ["a", "b"], "swap": False, "persistent": True}},
            "priorities": {"a": 3},
            "ttl": "10m",
        }
    )
    groups = {"small": Group(("a", "b"), swap=False, persistent=True)}
    assert found == LlamaSwapServing(groups=groups, ttl_s=600.0, priorities={"a": 3})
    assert serving_from({"rules": "ollama", "digests": {"a": "0f"}}) == OllamaServing(digests={"a": "0f"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rules": "olama"}, "unknown serving rules 'olama'; did you mean ollama"),
        ({}, "unknown serving rules 'None'"),
        ({"rules": "ollama", "max_loaded": 3}, "unknown option 'max_loaded' of ollama; did you mean 'max_loaded_models'"),
        ({"rules": "swap", "keep_alive": "5m"}, "unknown option 'keep_alive' of swap"),
        ({"rules": "ollama", "num_parallel": 1.5}, "num_parallel is 1.5; it must be a whole number"),
        ({"rules": "ollama", "num_parallel": True}, "num_parallel is True; it must be a whole number"),
        ({"rules": "ollama", "keep_alive": "soon"}, "'soon' is no duration; write 5m"),
        ({"rules": "ollama", "keep_alive": "5m", "keep_alive_s": 3}, "keep_alive_s is given twice"),
        ({"rules": "ollama", "digests": "x"}, "digests is 'x'; it must be a table"),
        ({"rules": "llama-swap", "groups": {"x": {}}}, "groups.x has no members"),
        ({"rules": "llama-swap", "groups": {"x": {"members": ["a"], "sawp": True}}}, "unknown option groups.x.sawp"),
        ({"rules": "llama-swap", "priorities": {"a": "high"}}, "priorities.a is 'high'; it must be a whole number"),
        ({"rules": "pool", "budget": "5G"}, "could be 10"),
    ],
)
def test_mistakes_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        serving_from(options)


def test_ollama_gives_each_slot_the_whole_context() -> None:
    (instance,) = on_demand(["m"], 8, ServerOptions(context_tokens=2048), OllamaServing(num_parallel=4)).instances
    assert (instance.context_tokens, instance.slots, instance.unified, instance.threads) == (8192, 4, False, 8)
    assert instance.batch_tokens == instance.ubatch_tokens == 512
    (instance,) = on_demand(["m"], 8, ServerOptions(), RouterServing()).instances
    assert instance == InstancePlan("m", "m", 8, prompt_store_bytes=8 * 2**30), "llama-server keeps 8 GiB of prompts by default"


def test_servers_on_demand_are_one_stage() -> None:
    instances = InstancePlan("a", "a", 1), InstancePlan("b", "b", 1)
    with pytest.raises(InputError, match="loads servers on demand; put all instances into one stage"):
        Plan("p", instances, (Stage(("a",)), Stage(("b",))), SwapServing())
    assert not Plan("p", instances, (Stage(("a",)), Stage(("b",)))).on_demand


def test_they_are_not_executed(tmp_path: Path) -> None:
    plan = on_demand(["m"], 1, ServerOptions(), SwapServing())
    with pytest.raises(InputError, match="served by swap; only plans of stages can be executed"):
        execute_plan(plan, Workload((Request("r", "m", 1, 1),)), {}, 1e9, tmp_path)


def scenario(folder: Path, text: str) -> list[Plan]:
    path = folder / "question.toml"
    path.write_text(text + ASKED, "utf-8")
    return read_scenario(path).plans(4)


def test_a_scenario_asks_for_its_serving_alone_or_beside_strategies(tmp_path: Path) -> None:
    section = '[serving]\nrules = "ollama"\nkeep_alive = "5m"\nmax_loaded_models = 2\n'
    (plan,) = scenario(tmp_path, section)
    assert (plan.strategy, plan.serving) == ("ollama", OllamaServing(max_loaded_models=2))
    assert [p.strategy for p in scenario(tmp_path, 'strategies = ["parallel"]\n' + section)] == ["parallel", "ollama"]
    assert [p.strategy for p in scenario(tmp_path, '[serving]\nrules = "stages"\n')] == list(STRATEGIES)
    assert all(p.serving == StagesServing() for p in scenario(tmp_path, ""))


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ('[serving]\nrules = "olama"\n', "serving: unknown serving rules 'olama'; did you mean ollama"),
        ('[serving]\nrules = "ollama"\nttl = 3\n', "serving: unknown option 'ttl' of ollama"),
        ("serving = 3\n", "serving: "),
    ],
)
def test_mistakes_in_a_scenario_are_one_line(tmp_path: Path, section: str, message: str) -> None:
    with pytest.raises((FileFormatError, UnknownNameError), match=message):
        scenario(tmp_path, section)
