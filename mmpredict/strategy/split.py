"""All models resident, some of them on the CPU and the others on the GPU; or a model's layers divided between the two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mmpredict.errors import InputError
from mmpredict.simulation.plan import YIELDING_SPINCOUNT, Plan, Stage
from mmpredict.strategy.options import divide_threads
from mmpredict.strategy.task import Task


def split(task: Task) -> Plan:
    """The model with the least work on the CPU, all others on the GPU; one model alone has half of its layers on each.

    Raises:
        InputError: there is no GPU that models could use.
    """
    layers = dict(task.gpu_layers)
    require_gpu(task)
    least = min(task.models, key=lambda model: task.alone(model).work_s)
    layers[least] = 0 if len(task.models) > 1 else layers[least] // 2
    return placed("split", layers, task)


def placed(name: str, gpu_layers: Mapping[str, int], task: Task) -> Plan:
    """Plan of one stage.

    Args:
        name: of the plan.
        gpu_layers: model → layers on the GPU, the output counted as one; those with all of them leave it to the server [1].
        task: models, cores, options. Models with layers on the CPU share its cores evenly.

    Raises:
        InputError: there is no GPU that models could use.
    """
    require_gpu(task)
    on_cpu = [model for model in task.models if gpu_layers[model] < task.gpu_layers[model]]
    threads = dict(zip(on_cpu, divide_threads(task.cores, len(on_cpu)), strict=True)) if on_cpu else {}
    instances = tuple(
        replace(
            task.options.instance(model, threads.get(model, task.cores), YIELDING_SPINCOUNT if threads.get(model, 0) > 1 else None),
            gpu_layers=gpu_layers[model] if model in threads else None,
        )
        for model in task.models
    )
    return Plan(name, instances, (Stage(task.models),))


def require_gpu(task: Task) -> None:
    """Make sure that there is a GPU.

    Raises:
        InputError: there is none.
    """
    if not task.gpu_layers:
        raise InputError(
            "split needs a GPU that models can use, with published rates or a data sheet; this machine has none, or is known by a "
            "calibration of its CPU alone. Name another machine (mmpredict hardware list) or choose another strategy"
        )
