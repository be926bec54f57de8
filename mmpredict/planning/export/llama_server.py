"""``llama-server``: a command line per server, a shell script per stage, and a preset file for router mode.

Options: llama.cpp ``tools/server/README.md``; presets: ``docs/preset.md`` (a section per model, keys are options without dashes).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from mmpredict.errors import InputError
from mmpredict.models.spec import ModelSpec
from mmpredict.planning.export.model_file import aliases, file_of, missing_lines
from mmpredict.simulation.plan import InstancePlan, Plan
from mmpredict.simulation.serving import PoolServing, RouterServing, StagesServing, SwapServing

PORT = 8080
"""Of the router, and of the first server."""
HOST = "127.0.0.1"
_MIB = 2**20


def options(one: InstancePlan, specs: Mapping[str, ModelSpec]) -> dict[str, str]:
    """Long options of a server → their values; those without a value have an empty one."""
    found = {
        "model": file_of(one, specs),
        "threads": str(one.threads),
        "threads-batch": str(one.threads),
        "ctx-size": str(one.context_tokens),
        "parallel": str(one.slots),
        ("kv-unified" if one.unified else "no-kv-unified"): "",
        "batch-size": str(one.batch_tokens),
        "ubatch-size": str(one.ubatch_tokens),
        "cache-type-k": one.key_type,
        "cache-type-v": one.value_type,
        "cache-ram": str(round(one.prompt_store_bytes / _MIB)),
    }
    if one.gpu_layers is not None:
        found["n-gpu-layers"] = str(one.gpu_layers)
        if one.gpu_layers == 0:
            found["device"] = "none"
    if one.embedding:
        found["embedding"] = ""
    return found


def command(one: InstancePlan, specs: Mapping[str, ModelSpec], alias: str, port: int | str) -> list[str]:
    """The words of a server's command line."""
    words = ["llama-server", "--alias", alias, "--host", HOST, "--port", str(port)]
    for name, value in options(one, specs).items():
        words += [f"--{name}", *([value] if value else [])]
    return words


def environment(one: InstancePlan) -> dict[str, str]:
    """Variables of a server's process: how its threads wait."""
    return {} if one.spincount is None else {"GOMP_SPINCOUNT": str(one.spincount)}


def llama_server(plan: Plan, specs: Mapping[str, ModelSpec]) -> dict[str, str]:
    """File name → text.

    Raises:
        InputError: llama-server cannot do what the plan says by itself.
    """
    if isinstance(plan.serving, RouterServing):
        return _router(plan, specs, plan.serving.models_max, plan.serving.sleep_idle_s)
    if isinstance(plan.serving, SwapServing):
        return _router(plan, specs, 1, -1.0)
    if not isinstance(plan.serving, StagesServing):
        remedy = "llama-swap" if isinstance(plan.serving, PoolServing) else plan.serving.rules
        raise InputError(f"a plan that is served by {plan.serving.rules} is no llama-server configuration; export it for {remedy}")
    names = aliases(plan)
    files: dict[str, str] = {}
    ports = {one.name: PORT + number for number, one in enumerate(plan.instances)}
    for number, stage in enumerate(plan.stages, start=1):
        file = "start.sh" if len(plan.stages) == 1 else f"stage-{number}.sh"
        members = [plan.instance(name) for name in stage.instances]
        files[file] = _script(members, plan, specs, names, ports, f"{number} of {len(plan.stages)}", stage.concurrency)
    return files


def _script(
    members: list[InstancePlan],
    plan: Plan,
    specs: Mapping[str, ModelSpec],
    names: Mapping[str, str],
    ports: Mapping[str, int],
    which: str,
    concurrency: int | None,
) -> str:
    lines = [
        "#!/bin/sh",
        f"# {plan.strategy}, stage {which}: these servers run together; end them with Ctrl-C before the next stage.",
    ]
    if concurrency is not None:
        lines.append(f"# Send them {concurrency} request{'s' if concurrency > 1 else ''} at a time.")
    lines += [*missing_lines(plan, specs), "trap 'kill 0' INT TERM"]
    for one in members:
        variables = [f"{name}={value}" for name, value in environment(one).items()]
        words = [*variables, shlex.join(command(one, specs, names[one.name], ports[one.name]))]
        lines.append(f"{' '.join(words)} &")
    return "\n".join([*lines, "wait", ""])


def _router(plan: Plan, specs: Mapping[str, ModelSpec], most: int, sleep_s: float) -> dict[str, str]:
    """Router mode: children take the environment of the router, so all must wait alike."""
    names = aliases(plan)
    variables = {tuple(environment(one).items()) for one in plan.instances}
    if len(variables) > 1:
        raise InputError("servers of router mode cannot wait in different ways; export the plan for llama-swap")
    lines = ["version = 1", ""]
    for one in plan.instances:
        lines.append(f"[{names[one.name]}]")
        for name, value in options(one, specs).items():
            key, told = ("kv-unified", "false") if name == "no-kv-unified" else (name, value or "true")
            lines.append(f"{key} = {told}")
        lines += ["load-on-startup = false", ""]
    words = ["llama-server", "--host", HOST, "--port", str(PORT), "--models-preset", "models.ini", "--models-max", str(most)]
    if sleep_s >= 0:
        words += ["--sleep-idle-seconds", f"{sleep_s:.0f}"]
    told = " ".join([*(f"{name}={value}" for name, value in next(iter(variables))), shlex.join(words)])
    head = ["#!/bin/sh", f"# {plan.strategy}: models are loaded when they are asked for.", *missing_lines(plan, specs)]
    return {"models.ini": "\n".join(lines), "start.sh": "\n".join([*head, f"exec env {told}", ""])}
