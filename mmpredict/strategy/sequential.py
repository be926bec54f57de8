"""One model at a time, one request at a time; each model is loaded for its requests and unloaded after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mmpredict.simulation.plan import Plan, Stage
from mmpredict.strategy.options import ServerOptions, require_models
from mmpredict.strategy.task import Task


def sequential(models: Sequence[str], cores: int, options: ServerOptions) -> Plan:
    """Plan of one stage per model, in the order given, with all cores for each."""
    names = require_models(models)
    instances = tuple(options.instance(model, cores) for model in names)
    return Plan("sequential", instances, tuple(Stage((model,), concurrency=1) for model in names))


def sequential_shortest(task: Task) -> Plan:
    """Models with the least work first: the mean of the latencies is then the least (W. E. Smith, Various optimizers, 1956)."""
    return replace(sequential(shortest_first(task), task.cores, task.options), strategy="sequential-shortest")


def sequential_lean(task: Task) -> Plan:
    """Models that need the most memory last, so that files of the others are not dropped from the page cache before their turn."""
    return replace(sequential(leanest_first(task), task.cores, task.options), strategy="sequential-lean")


def shortest_first(task: Task) -> tuple[str, ...]:
    """Models by load and work, the shortest first; equal ones in the order given."""
    return tuple(sorted(task.models, key=lambda model: task.alone(model).load_s + task.alone(model).work_s))


def leanest_first(task: Task) -> tuple[str, ...]:
    """Models by memory, the smallest first; equal ones in the order given."""
    return tuple(sorted(task.models, key=lambda model: task.alone(model).memory_bytes))
