"""Cases of a check as plain data: what a raw file holds, so that it can be predicted again without anything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter

from mmpredict.errors import InputError
from mmpredict.models.resolve import resolve
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.dispatch import assign
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.validation.serving import ServingCase
from mmpredict.workload.request import Request, Workload

_INSTANCES = TypeAdapter(tuple[InstancePlan, ...])
_STAGES = TypeAdapter(tuple[Stage, ...])
_REQUESTS = TypeAdapter(tuple[Request, ...])


def case_to_dict(case: ServingCase) -> dict[str, Any]:
    """Plain data for JSON.

    Raises:
        InputError: its servers are loaded on demand, which nothing here executes.
    """
    if case.plan.on_demand:
        raise InputError(f"case {case.name!r} is served by {case.plan.serving.rules}; only plans of stages are kept")
    return {
        "group": case.group,
        "name": case.name,
        "strategy": case.plan.strategy,
        "instances": [asdict(instance) for instance in case.plan.instances],
        "stages": [asdict(stage) for stage in case.plan.stages],
        "requests": [asdict(request) for request in case.workload.requests],
        "models": {name: spec.name for name, spec in case.specs.items()},
        "metrics": list(case.metrics),
    }


def case_from_dict(data: Mapping[str, Any]) -> ServingCase:
    """The case.

    Raises:
        InputError: a model cannot be resolved, or a value is out of range.
        KeyError, ValueError, TypeError: it is no case.
    """
    plan = Plan(str(data["strategy"]), _INSTANCES.validate_python(data["instances"]), _STAGES.validate_python(data["stages"]))
    specs: dict[str, ModelSpec] = {str(name): resolve(str(model)) for name, model in dict(data["models"]).items()}
    workload = Workload(_REQUESTS.validate_python(data["requests"]))
    metrics = tuple(str(metric) for metric in data["metrics"])
    assign(plan, workload)
    if unknown := [instance.model for instance in plan.instances if instance.model not in specs]:
        raise InputError(f"{unknown[0]!r} is not among its models")
    return ServingCase(str(data["group"]), str(data["name"]), plan, workload, specs, metrics)
