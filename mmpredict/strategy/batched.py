"""Groups of models, one group after another; within a group everything at once, with the cores divided."""

from __future__ import annotations

from collections.abc import Sequence

from mmpredict.simulation.plan import YIELDING_SPINCOUNT, Plan, Stage
from mmpredict.strategy.grouping import Partition, best_partition, threads_of
from mmpredict.strategy.options import ServerOptions, require_models
from mmpredict.strategy.task import Task

GROUP_SIZE = 2


def batched(models: Sequence[str], cores: int, options: ServerOptions) -> Plan:
    """Plan of one stage per group of two models, in the order given."""
    names = require_models(models)
    groups = tuple(names[start : start + GROUP_SIZE] for start in range(0, len(names), GROUP_SIZE))
    return grouped("batched", groups, cores, options)


def batched_best(task: Task) -> Plan:
    """The groups of the least estimated duration that fit into memory (``strategy.grouping``), the shortest first.

    Raises:
        DoesNotFitError: a model does not even fit alone.
    """
    return grouped("batched-best", best_partition(task), task.cores, task.options)


def grouped(name: str, groups: Partition, cores: int, options: ServerOptions, yielding: bool = False) -> Plan:
    """Plan of one stage per group.

    Args:
        name: of the plan.
        groups: models that run together.
        cores: that servers may use [1].
        options: of every server.
        yielding: whether servers have all cores and give them up while they wait, instead of a part each.
    """
    instances = tuple(
        options.instance(model, threads, YIELDING_SPINCOUNT if yielding and threads > 1 and len(group) > 1 else None)
        for group in groups
        for model, threads in zip(group, threads_of(group, cores, yielding), strict=True)
    )
    return Plan(name, instances, tuple(Stage(group) for group in groups))
