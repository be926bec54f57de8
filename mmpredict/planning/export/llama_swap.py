"""llama-swap: ``config.yaml`` by its ``config-schema.json``, with stages as groups that exclude each other."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from mmpredict.errors import InputError
from mmpredict.models.spec import ModelSpec
from mmpredict.planning.export.llama_server import command, environment
from mmpredict.planning.export.model_file import aliases, missing_lines
from mmpredict.simulation.plan import InstancePlan, Plan
from mmpredict.simulation.serving import Group, LlamaSwapServing, StagesServing, SwapServing

LEAST_HEALTH_S = 120
"""``healthCheckTimeout``: its default, the least that a large model on a slow disk wants [s]."""


def llama_swap(plan: Plan, specs: Mapping[str, ModelSpec]) -> dict[str, str]:
    """File name → text.

    Raises:
        InputError: llama-swap cannot do what the plan says.
    """
    names, serving = aliases(plan), plan.serving
    of_model = {one.model: names[one.name] for one in plan.instances}
    ttl_s, limit, priorities = 0, 10, {}
    if isinstance(serving, LlamaSwapServing):
        groups: dict[str, Group] = dict(serving.groups)
        ttl_s, limit = round(serving.ttl_s), serving.concurrency_limit
        priorities = {of_model[model]: rank for model, rank in serving.priorities.items() if model in of_model}
    elif isinstance(serving, SwapServing):
        groups = {}  # one model at a time is what it does by itself
    elif isinstance(serving, StagesServing):
        groups = _stages(plan)
    else:
        raise InputError(
            f"a plan that is served by {serving.rules} is no llama-swap configuration: it does not look at memory; choose another "
            "plan of the ranking (--plan) or another format"
        )
    lines = [f"# {plan.strategy}", *missing_lines(plan, specs), f"healthCheckTimeout: {LEAST_HEALTH_S}"]
    if ttl_s:
        lines.append(f"globalTTL: {ttl_s}")
    lines.append("models:")
    for one in plan.instances:
        lines += _model(one, specs, names[one.name], limit)
    if groups:
        lines.append("groups:")
        for name, group in groups.items():
            lines += _group(name, group, [of_model[model] for model in group.members if model in of_model])
    if priorities:
        lines += ["routing:", "  scheduler:", "    use: fifo", "    settings:", "      fifo:", "        priority:"]
        lines += [f"          {json.dumps(name)}: {rank}" for name, rank in priorities.items()]
        if groups:
            raise InputError("llama-swap takes groups and priorities in one style only; leave the priorities out of the plan")
    return {"config.yaml": "\n".join([*lines, ""])}


def _stages(plan: Plan) -> dict[str, Group]:
    """Models of a stage run together, and stop those of the others; one model at a time needs no group."""
    if all(len(stage.instances) == 1 for stage in plan.stages):
        return {}
    models = [tuple(plan.instance(name).model for name in stage.instances) for stage in plan.stages]
    return {f"stage-{number}": Group(members, swap=False, exclusive=True) for number, members in enumerate(models, start=1)}


def _model(one: InstancePlan, specs: Mapping[str, ModelSpec], name: str, limit: int) -> list[str]:
    words = command(one, specs, name, "${PORT}")
    told = " ".join(word if word == "${PORT}" else shlex.quote(word) for word in words)
    lines = [f"  {json.dumps(name)}:", f"    cmd: {json.dumps(told)}", '    proxy: "http://127.0.0.1:${PORT}"']
    variables = environment(one)
    if variables:
        lines += ["    env:", *(f"      - {json.dumps(f'{key}={value}')}" for key, value in variables.items())]
    if limit != 10:
        lines.append(f"    concurrencyLimit: {limit}")
    if one.model != name:
        lines += ["    aliases:", f"      - {json.dumps(one.model)}"]
    return lines


def _group(name: str, group: Group, members: list[str]) -> list[str]:
    return [
        f"  {json.dumps(name)}:",
        f"    swap: {str(group.swap).lower()}",
        f"    exclusive: {str(group.exclusive).lower()}",
        f"    persistent: {str(group.persistent).lower()}",
        "    members:",
        *(f"      - {json.dumps(member)}" for member in members),
    ]
