"""The command line that is exported for llama-server starts the engine, which is llama-server's own code, and it serves."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from mmpredict.live.client import CompletionClient, unique_prompt
from mmpredict.live.embedded import EmbeddedServer
from mmpredict.models.resolve import resolve
from mmpredict.planning.export import exported
from mmpredict.simulation.plan import InstancePlan
from mmpredict.strategy.options import ServerOptions
from mmpredict.strategy.table import make_plan

MODEL = "synthetic:smollm2-135m@q4_0"


@pytest.mark.live
def test_an_exported_command_serves_a_request(small_model: Path, tmp_path: Path) -> None:
    specs = {MODEL: replace(resolve(MODEL), path=small_model)}
    plan = make_plan(
        "parallel-yielding", [MODEL], 2, ServerOptions(context_tokens=512, slots=2, batch_tokens=128, ubatch_tokens=64)
    )
    (text,) = exported(plan, specs, "llama-server").values()
    (line,) = [line for line in text.splitlines() if "llama-server" in line and not line.startswith("#")]
    variable, program, *words = shlex.split(line)[:-1]
    assert (variable, program) == ("GOMP_SPINCOUNT=1000", "llama-server")
    flags = [word.removeprefix("--") for word in words if word.startswith("--")]
    value = {flag: words[words.index(f"--{flag}") + 1] for flag in flags if flag != "kv-unified"}
    told = InstancePlan(
        value["alias"],
        MODEL,
        threads=int(value["threads"]),
        spincount=int(variable.partition("=")[2]),
        context_tokens=int(value["ctx-size"]),
        slots=int(value["parallel"]),
        batch_tokens=int(value["batch-size"]),
        ubatch_tokens=int(value["ubatch-size"]),
        unified="kv-unified" in flags,
        key_type=value["cache-type-k"],
        value_type=value["cache-type-v"],
    )
    assert told == replace(plan.instances[0], name=value["alias"])
    with EmbeddedServer.start(told, Path(value["model"]), tmp_path / "log") as server, CompletionClient(server.url) as client:
        answer = client.stream(unique_prompt(20, 1, specs[MODEL].shape.n_vocab), 5, timeout_s=60.0)
    assert answer.output_tokens == 5
