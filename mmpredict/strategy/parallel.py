"""All models resident at once, every request sent as it arrives; three ways of sharing the cores."""

from __future__ import annotations

from collections.abc import Sequence

from mmpredict.simulation.plan import YIELDING_SPINCOUNT, Plan, Stage
from mmpredict.strategy.options import ServerOptions, divide_threads, require_models


def parallel(models: Sequence[str], cores: int, options: ServerOptions) -> Plan:
    """Servers at their defaults: each takes as many threads as there are cores, and spins while it waits."""
    names = require_models(models)
    return Plan("parallel", tuple(options.instance(model, cores) for model in names), (Stage(names),))


def parallel_divided(models: Sequence[str], cores: int, options: ServerOptions) -> Plan:
    """The cores are divided among the servers."""
    names = require_models(models)
    threads = divide_threads(cores, len(names))
    instances = tuple(options.instance(model, count) for model, count in zip(names, threads, strict=True))
    return Plan("parallel-divided", instances, (Stage(names),))


def parallel_yielding(models: Sequence[str], cores: int, options: ServerOptions) -> Plan:
    """Each server takes as many threads as there are cores, and gives its cores up while it waits (``GOMP_SPINCOUNT``)."""
    names = require_models(models)
    instances = tuple(options.instance(model, cores, YIELDING_SPINCOUNT) for model in names)
    return Plan("parallel-yielding", instances, (Stage(names),))
