"""One model at a time, one request at a time; each model is loaded for its requests and unloaded after them."""

from __future__ import annotations

from collections.abc import Sequence

from mmpredict.simulation.plan import Plan, Stage
from mmpredict.strategy.options import ServerOptions, require_models


def sequential(models: Sequence[str], cores: int, options: ServerOptions) -> Plan:
    """Plan of one stage per model, in the order given, with all cores for each."""
    names = require_models(models)
    instances = tuple(options.instance(model, cores) for model in names)
    return Plan("sequential", instances, tuple(Stage((model,), concurrency=1) for model in names))
