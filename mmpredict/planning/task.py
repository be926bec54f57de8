"""What strategies are told of a question: what each model costs alone on the machine."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from functools import cache

from mmpredict.cost.draw import Draw
from mmpredict.cost.memory import Touched
from mmpredict.planning.alone import work_s
from mmpredict.planning.ground import Ground
from mmpredict.simulation.dispatch import touched_by
from mmpredict.simulation.plan import Plan, Stage
from mmpredict.simulation.serving import SwapServing
from mmpredict.strategy.options import ServerOptions
from mmpredict.strategy.task import Need, Task


def task_of(ground: Ground, models: tuple[str, ...], options: ServerOptions, gpu_layers: Mapping[str, int]) -> Task:
    """Models, requests and machine as strategies see them.

    Args:
        ground: the question; models are as they are, not quantized otherwise.
        models: names.
        options: of every server.
        gpu_layers: model → layers of a full offload; empty without a GPU [1].
    """
    specs, workload = ground.specs[""], ground.workload
    requests = {model: [one for one in workload.requests if one.model == model] for model in models}

    @cache
    def need(model: str, threads: int) -> Need:
        one, mine = options.instance(model, threads), requests[model]
        alone = Plan("alone", (one,), (Stage((model,)),), SwapServing())  # whether it fits is not the question here
        costs = ground.costing.source(alone, specs, workload).costs(Draw())
        touched = touched_by(one, [request.prompt_tokens for request in mine]) if mine else Touched(1, 1)
        server = costs.instance(specs[model], threads, None, one.cache, touched)
        largest = heapq.nlargest(options.slots, (request.prompt_tokens + request.output_tokens for request in mine))
        return Need(
            load_s=server.load_s(ground.cold),
            work_s=work_s(server.prices, mine, one.batch_tokens),
            memory_bytes=server.memory.total + server.device_bytes,
            tokens=sum(largest),
        )

    return Task(models, ground.limits.cores, options, need, ground.limits.memory_bytes, dict(gpu_layers))
