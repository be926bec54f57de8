"""Ollama: a Modelfile per model (``docs/modelfile.mdx``), and variables of its server (``envconfig/config.go``)."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from mmpredict.errors import InputError
from mmpredict.models.cache import CELL_PADDING
from mmpredict.models.spec import ModelSpec
from mmpredict.planning.export.model_file import aliases, file_of, missing_lines
from mmpredict.simulation.plan import InstancePlan, Plan
from mmpredict.simulation.serving import OllamaServing, StagesServing, SwapServing


def ollama(plan: Plan, specs: Mapping[str, ModelSpec]) -> dict[str, str]:
    """File name → text.

    Raises:
        InputError: Ollama cannot do what the plan says.
    """
    variables = _variables(plan)
    slots = int(variables["OLLAMA_NUM_PARALLEL"])
    if any(one.spincount is not None for one in plan.instances):
        raise InputError(
            "Ollama's own build has no OpenMP, so its servers cannot be told how to wait (GOMP_SPINCOUNT); choose a plan with "
            "divided threads (--plan), or export this one for llama-server or llama-swap"
        )
    names = aliases(plan)
    files = {"ollama.env": "".join(f"{name}={value}\n" for name, value in variables.items())}
    create = ["#!/bin/sh", "# Run once, while `ollama serve` runs with the variables of ollama.env.", "set -e"]
    for one in plan.instances:
        files[f"Modelfile.{names[one.name]}"] = _modelfile(one, specs, slots)
        create.append(shlex.join(["ollama", "create", names[one.name], "-f", f"Modelfile.{names[one.name]}"]))
    files["create.sh"] = "\n".join([*create[:2], *missing_lines(plan, specs), *create[2:], ""])
    return files


def _variables(plan: Plan) -> dict[str, str]:
    serving, count = plan.serving, len(plan.instances)
    slots = max(one.slots for one in plan.instances)
    if isinstance(serving, OllamaServing):
        keep = "-1" if serving.keep_alive_s < 0 else f"{serving.keep_alive_s:g}s"
        loaded, parallel, queue = serving.max_loaded_models, serving.num_parallel, serving.max_queue
    elif isinstance(serving, SwapServing) or (isinstance(serving, StagesServing) and _one_by_one(plan)):
        one_request = all(stage.concurrency == 1 for stage in plan.stages)
        keep, loaded, parallel, queue = "-1", 1, 1 if one_request else slots, 512
    elif isinstance(serving, StagesServing) and len(plan.stages) == 1:
        keep, loaded, parallel, queue = "-1", count, slots, 512
    else:
        what = "groups one after another" if isinstance(serving, StagesServing) else f"the rules of {serving.rules}"
        raise InputError(f"Ollama cannot be told {what}; choose another plan of the ranking (--plan), or export it for llama-swap")
    kinds = {(one.key_type, one.value_type) for one in plan.instances}
    if len(kinds) > 1 or len(set(next(iter(kinds)))) > 1:
        raise InputError("Ollama stores keys and values of all models in one type; choose one")
    return {
        "OLLAMA_NUM_PARALLEL": str(parallel),
        "OLLAMA_MAX_LOADED_MODELS": str(loaded),
        "OLLAMA_KEEP_ALIVE": keep,
        "OLLAMA_MAX_QUEUE": str(queue),
        "OLLAMA_KV_CACHE_TYPE": plan.instances[0].key_type,
    }


def _one_by_one(plan: Plan) -> bool:
    return len(plan.stages) > 1 and all(len(stage.instances) == 1 for stage in plan.stages)


def _modelfile(one: InstancePlan, specs: Mapping[str, ModelSpec], slots: int) -> str:
    """Ollama gives every slot ``num_ctx`` tokens; a cache that slots share is divided, so that it takes the same memory."""
    own = one.context_tokens // slots if one.slots > 1 else one.context_tokens
    tokens = max(CELL_PADDING, own // CELL_PADDING * CELL_PADDING)
    lines = [f"FROM {_from(one, specs)}", f"PARAMETER num_ctx {tokens}", f"PARAMETER num_batch {one.ubatch_tokens}"]
    lines.append(f"PARAMETER num_thread {one.threads}")
    if one.gpu_layers is not None:
        lines.append(f"PARAMETER num_gpu {one.gpu_layers}")
    return "\n".join([*lines, ""])


def _from(one: InstancePlan, specs: Mapping[str, ModelSpec]) -> str:
    """A tag of Ollama's library is asked for by its name, everything else by its file."""
    if specs[one.model].path is None and ":" in one.model and "@" not in one.model:
        return one.model
    file = file_of(one, specs)
    return file if file.startswith("/") else f"./{file}"
