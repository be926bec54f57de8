"""What is exported parses by the rules of the real formats, and says what the plan says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.models.resolve import resolve
from mmpredict.models.spec import ModelSpec
from mmpredict.planning.export import FORMATS, exported
from mmpredict.planning.export.model_file import alias_of
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.serving import Group, LlamaSwapServing, OllamaServing, PoolServing, RouterServing, Serving, SwapServing
from mmpredict.strategy.on_demand import on_demand
from mmpredict.strategy.options import ServerOptions
from mmpredict.strategy.table import make_plan

MODELS = ("synthetic:qwen2.5-0.5b@q8_0", "qwen2.5:1.5b", "llama3.1-8b@Q4_K_M")
SPECS: dict[str, ModelSpec] = {name: resolve(name) for name in MODELS}
# Long options of llama-server and whether they take a value (llama.cpp tools/server/README.md at 00dc8057).
SERVER_OPTIONS = {
    **dict.fromkeys(
        ("model", "alias", "host", "port", "threads", "threads-batch", "ctx-size", "parallel", "batch-size", "ubatch-size"), True
    ),
    **dict.fromkeys(("cache-type-k", "cache-type-v", "cache-ram", "n-gpu-layers", "device"), True),
    **dict.fromkeys(("models-preset", "models-max", "sleep-idle-seconds"), True),
    **dict.fromkeys(("kv-unified", "no-kv-unified", "embedding"), False),
}


def plan(name: str) -> Plan:
    return make_plan(name, MODELS, 4, ServerOptions(context_tokens=8192, slots=2))


def served(serving: Serving) -> Plan:
    return on_demand(MODELS, 4, ServerOptions(), serving)


def parse_server(words: list[str]) -> dict[str, str]:
    """A command line by llama-server's rules."""
    assert words[0] == "llama-server"
    found, rest = {}, words[1:]
    while rest:
        name = rest.pop(0)
        assert name.startswith("--") and name[2:] in SERVER_OPTIONS, name
        found[name[2:]] = rest.pop(0) if SERVER_OPTIONS[name[2:]] else ""
    return found


def parse_ini(text: str) -> dict[str, dict[str, str]]:
    """A preset file by llama.cpp's rules: sections, ``key = value``, version 1 before the first section."""
    found: dict[str, dict[str, str]] = {"": {}}
    section = found[""]
    for line in text.splitlines():
        if match := re.fullmatch(r"\[([^\[\]\n]+)\]", line):
            section = found.setdefault(match[1], {})
        elif line.strip():
            key, equals, value = line.partition(" = ")
            assert equals and key not in section
            section[key] = value
    assert found.pop("") == {"version": "1"}
    return found


def parse_swap(text: str) -> dict[str, Any]:
    """A configuration by llama-swap's ``config-schema.json`` (032d7419), as far as it is used."""
    import yaml

    found: dict[str, Any] = yaml.safe_load(text)
    assert set(found) <= {"healthCheckTimeout", "globalTTL", "models", "groups", "routing"} and found["healthCheckTimeout"] >= 15
    assert not ("groups" in found and "routing" in found), "both styles at once are refused"
    aliases: list[str] = []
    for name, model in found["models"].items():
        assert set(model) <= {"cmd", "proxy", "env", "concurrencyLimit", "aliases", "ttl"} and model["cmd"]
        assert all(re.fullmatch(r"[A-Z_][A-Z0-9_]*=.*", variable) for variable in model.get("env", []))
        assert "${PORT}" in model["cmd"] and "${PORT}" in model["proxy"]
        aliases += [name, *model.get("aliases", [])]
    assert len(aliases) == len(set(aliases)), "aliases are unique"
    members = [member for group in found.get("groups", {}).values() for member in group["members"]]
    assert len(members) == len(set(members)) and set(members) <= set(found["models"]), "a model is in one group at most"
    return found


def test_llama_server_runs_the_servers_of_a_stage_together() -> None:
    for name in ("sequential", "parallel", "parallel-yielding", "batched"):
        made = plan(name)
        files = exported(made, SPECS, "llama-server")
        assert len(files) == len(made.stages) and all(file.endswith(".sh") for file in files)
        ports = set()
        for stage, text in zip(made.stages, files.values(), strict=True):
            assert text.startswith("#!/bin/sh\n") and text.rstrip().endswith("wait")
            lines = [line for line in text.splitlines() if "llama-server" in line and not line.startswith("#")]
            for instance, line in zip(map(made.instance, stage.instances), lines, strict=True):
                *words, background = shlex.split(line)
                assert background == "&"
                variables = [word for word in words if "=" in word and not word.startswith("-")][: words.index("llama-server")]
                assert variables == ([] if instance.spincount is None else [f"GOMP_SPINCOUNT={instance.spincount}"])
                found = parse_server(words[len(variables) :])
                assert (found["threads"], found["ctx-size"], found["parallel"]) == (
                    str(instance.threads),
                    str(instance.context_tokens),
                    str(instance.slots),
                )
                assert "kv-unified" in found and found["host"] == "127.0.0.1" and found["cache-ram"] == "0"
                ports.add(found["port"])
        assert len(ports) == len(MODELS)
        assert ("Send them 1 request at a time" in "".join(files.values())) == (name == "sequential")


@pytest.mark.parametrize("serving", [SwapServing(), RouterServing(models_max=2, sleep_idle_s=60)])
def test_llama_servers_router_takes_a_preset(serving: Serving) -> None:
    files = exported(served(serving), SPECS, "llama-server")
    presets = parse_ini(files["models.ini"])
    assert set(presets) == {alias_of(model) for model in MODELS}
    for preset in presets.values():
        assert set(preset) - {"load-on-startup"} <= set(SERVER_OPTIONS) and preset["kv-unified"] == "true"
    words = shlex.split(files["start.sh"].splitlines()[-1])
    assert words[:2] == ["exec", "env"]
    router = parse_server(words[2:])
    assert router["models-max"] == ("1" if isinstance(serving, SwapServing) else "2")
    assert router.get("sleep-idle-seconds") == (None if isinstance(serving, SwapServing) else "60")


def test_llama_swap_has_a_group_per_stage() -> None:
    found = parse_swap(exported(plan("batched"), SPECS, "llama-swap")["config.yaml"])
    names = [alias_of(model) for model in MODELS]
    assert [group["members"] for group in found["groups"].values()] == [names[:2], names[2:]]
    assert all(group["exclusive"] and not group["swap"] for group in found["groups"].values())
    together = parse_swap(exported(plan("parallel-yielding"), SPECS, "llama-swap")["config.yaml"])
    assert [group["members"] for group in together["groups"].values()] == [names]
    for name, model in together["models"].items():
        assert model["env"] == ["GOMP_SPINCOUNT=1000"]
        assert parse_server(shlex.split(model["cmd"]))["alias"] == name
    one = parse_swap(exported(plan("sequential"), SPECS, "llama-swap")["config.yaml"])
    assert "groups" not in one, "one model at a time is what it does by itself"


def test_llama_swap_takes_its_own_rules_back() -> None:
    groups = {"kept": Group(MODELS[:1], swap=False, exclusive=False, persistent=True)}
    text = exported(served(LlamaSwapServing(groups=groups, ttl_s=60, concurrency_limit=3)), SPECS, "llama-swap")["config.yaml"]
    found = parse_swap(text)
    assert found["globalTTL"] == 60 and found["groups"]["kept"] == {
        "members": [alias_of(MODELS[0])],
        "swap": False,
        "exclusive": False,
        "persistent": True,
    }
    assert {model["concurrencyLimit"] for model in found["models"].values()} == {3}
    ranked = parse_swap(exported(served(LlamaSwapServing(priorities={MODELS[1]: 5})), SPECS, "llama-swap")["config.yaml"])
    assert ranked["routing"]["scheduler"] == {"use": "fifo", "settings": {"fifo": {"priority": {alias_of(MODELS[1]): 5}}}}


def test_ollama() -> None:
    files = exported(plan("parallel-divided"), SPECS, "ollama")
    variables = dict(line.split("=", 1) for line in files["ollama.env"].splitlines())
    assert variables == {
        "OLLAMA_NUM_PARALLEL": "2",
        "OLLAMA_MAX_LOADED_MODELS": "3",
        "OLLAMA_KEEP_ALIVE": "-1",
        "OLLAMA_MAX_QUEUE": "512",
        "OLLAMA_KV_CACHE_TYPE": "f16",
    }
    made = [shlex.split(line) for line in files["create.sh"].splitlines() if line.startswith("ollama")]
    assert [words[:2] for words in made] == [["ollama", "create"]] * 3
    for words, threads in zip(made, (2, 1, 1), strict=True):
        lines = files[words[-1]].splitlines()
        assert lines[0].startswith("FROM ") and all(re.fullmatch(r"PARAMETER [a-z_]+ \S+", line) for line in lines[1:])
        assert dict(line.split()[1:] for line in lines[1:]) == {"num_ctx": "4096", "num_batch": "512", "num_thread": str(threads)}
    assert "FROM qwen2.5:1.5b\n" in "".join(files.values()), "a model of the library is asked for by its name"
    kept = exported(served(OllamaServing(keep_alive_s=60, max_loaded_models=2, num_parallel=4)), SPECS, "ollama")["ollama.env"]
    assert "OLLAMA_KEEP_ALIVE=60s\n" in kept and "OLLAMA_MAX_LOADED_MODELS=2\n" in kept and "OLLAMA_NUM_PARALLEL=4\n" in kept
    assert "OLLAMA_MAX_LOADED_MODELS=1\n" in exported(plan("sequential"), SPECS, "ollama")["ollama.env"]


@pytest.mark.parametrize(
    ("made", "name", "words"),
    [
        (plan("parallel-yielding"), "ollama", "no OpenMP"),
        (plan("batched"), "ollama", "cannot be told groups one after another"),
        (served(PoolServing()), "llama-swap", "does not look at memory"),
        (served(PoolServing()), "llama-server", "is no llama-server configuration"),
        (served(OllamaServing()), "llama-server", "export it for ollama"),
        (served(RouterServing()), "ollama", "the rules of llama-server-router"),
    ],
)
def test_what_a_program_cannot_do_is_said(made: Plan, name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        exported(made, SPECS, name)


def test_names_and_paths_are_harmless(tmp_path: Path) -> None:
    assert alias_of("../a b/'; rm -rf $HOME #.gguf") == "rm--rf-HOME" and alias_of("$$$") == "model"
    odd = {name: SPECS[name] for name in MODELS}
    from dataclasses import replace

    odd[MODELS[0]] = replace(SPECS[MODELS[0]], path=tmp_path / "a b; $(touch x) 'q'.gguf")
    (line,) = [one for one in exported(plan("parallel"), odd, "llama-server")["start.sh"].splitlines() if "touch" in one]
    assert parse_server(shlex.split(line)[:-1])["model"].endswith("a b; $(touch x) 'q'.gguf")
    found = parse_swap(exported(plan("parallel"), odd, "llama-swap")["config.yaml"])
    assert parse_server(shlex.split(found["models"][alias_of(MODELS[0])]["cmd"]))["model"].endswith("'q'.gguf")
    for bad in ("a\nb.gguf", "a${PORT}.gguf", 'a"b.gguf'):
        odd[MODELS[0]] = replace(SPECS[MODELS[0]], path=tmp_path / bad)
        for name in FORMATS:
            with pytest.raises(InputError, match="cannot be written into a configuration file"):
                exported(plan("parallel"), odd, name)
    with pytest.raises(UnknownNameError, match="unknown format 'olama'; did you mean ollama"):
        exported(plan("parallel"), SPECS, "olama")
