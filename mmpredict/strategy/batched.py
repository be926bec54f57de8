"""Groups of models, one group after another; within a group everything at once, with the cores divided."""

from __future__ import annotations

from collections.abc import Sequence

from mmpredict.simulation.plan import Plan, Stage
from mmpredict.strategy.options import ServerOptions, divide_threads, require_models

GROUP_SIZE = 2


def batched(models: Sequence[str], cores: int, options: ServerOptions) -> Plan:
    """Plan of one stage per group of two models, in the order given."""
    names = require_models(models)
    groups = [names[start : start + GROUP_SIZE] for start in range(0, len(names), GROUP_SIZE)]
    instances = tuple(
        options.instance(model, threads)
        for group in groups
        for model, threads in zip(group, divide_threads(cores, len(group)), strict=True)
    )
    return Plan("batched", instances, tuple(Stage(group) for group in groups))
