"""A prediction: one plan simulated many times over what is uncertain."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from mmpredict.cost.contention import is_yielding
from mmpredict.cost.draw import Draw
from mmpredict.cost.server_cost import CostSource
from mmpredict.errors import DoesNotFitError
from mmpredict.models.spec import ModelSpec
from mmpredict.results.metrics import Summary, summarize
from mmpredict.results.prediction import Prediction, intervals
from mmpredict.results.records import Records
from mmpredict.results.request_forecast import MOST_REQUESTS, all_latencies_s, request_forecasts
from mmpredict.simulation.fronts.desk import OUT_OF_MEMORY
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.run import simulate
from mmpredict.simulation.serving import SwapServing
from mmpredict.simulation.site import Site
from mmpredict.units import format_bytes
from mmpredict.workload.request import Workload

Drawn = tuple[Summary, NDArray[np.float64] | None]
"""What is kept of a draw: its metrics, and latencies of its requests where they are not too many."""

MOST_DRAWS, LEAST_DRAWS = 200, 20
WORTH_REQUESTS = 200_000
"""Simulated requests behind the intervals of a plan, if nobody says otherwise: some ten seconds."""
PARALLEL_REQUESTS = 40_000
"""Simulated requests from which it is worth starting a process per core."""


def usual_draws(requests: int) -> int:
    """Simulations behind the intervals of so many requests [1]."""
    return max(LEAST_DRAWS, min(MOST_DRAWS, WORTH_REQUESTS // max(1, requests)))


def predict_plan(
    plan: Plan,
    workload: Workload,
    specs: Mapping[str, ModelSpec],
    source: CostSource,
    memory_bytes: float,
    draws: int | None = None,
    seed: int = 0,
    cold: bool = False,
    capacity_bytes: float | None = None,
    site: Site | None = None,
) -> Prediction:
    """Predict what a plan comes to.

    Args:
        plan: instances and stages.
        workload: requests.
        specs: model name → model.
        source: what is known of the machine.
        memory_bytes: what the instances may use together [bytes].
        draws: simulations behind the intervals; as many as is usual (``usual_draws``) when not given [1].
        seed: of the draws; plans predicted with the same seed share their luck.
        cold: whether model files must be read from storage.
        capacity_bytes: memory of the machine, for the records; ``memory_bytes`` when not given [bytes].
        site: memories as servers that load on demand see them; a CPU's with ``memory_bytes`` when not given.

    Raises:
        DoesNotFitError: the plan needs more memory than there is.
        InputError: the plan cannot run on the machine.
    """
    capacity_bytes = memory_bytes if capacity_bytes is None else capacity_bytes
    site = site or Site(memory_bytes)
    median = simulate(plan, workload, specs, source.costs(Draw()), capacity_bytes, cold, site)
    needed = summarize(median).memory_peak_bytes
    if needed > memory_bytes and not plan.on_demand:
        raise DoesNotFitError(
            f"plan {plan.strategy!r} needs {format_bytes(needed)} of memory, {format_bytes(memory_bytes)} are usable; "
            "run fewer models at once, or use smaller contexts or quantizations"
        )
    draws = usual_draws(len(workload.requests)) if draws is None else draws

    few = len(workload.requests) <= MOST_REQUESTS

    def drawn(number: int) -> Drawn:
        records = simulate(plan, workload, specs, source.costs(Draw(seed, number)), capacity_bytes, cold, site)
        return summarize(records), all_latencies_s(records) if few else None

    found = _each(drawn, draws, draws * len(workload.requests))
    summaries = [summary for summary, _ in found]
    return Prediction(
        strategy=plan.strategy,
        records=median,
        metrics=intervals(summaries),
        draws=draws,
        makespans_s=tuple(summary.makespan_s for summary in summaries),
        provenance=source.provenance,
        warnings=(
            *_warnings(plan, source),
            *_overcommitted(plan, median),
            *source.doubts(_models(plan, specs), _several(plan)),
        ),
        requests=request_forecasts(median, [latencies for _, latencies in found if latencies is not None]),
    )


def _each(drawn: Callable[[int], Drawn], draws: int, requests: int) -> list[Drawn]:
    """What is kept of all draws, each by itself, so that it does not matter which process simulates which."""
    if requests < PARALLEL_REQUESTS:
        return [drawn(number) for number in range(draws)]
    from joblib import Parallel, delayed

    return list(Parallel(n_jobs=-1)(delayed(drawn)(number) for number in range(draws)))


def _overcommitted(plan: Plan, records: Records) -> tuple[str, ...]:
    over = max((row.used for row in records.states if row.resource == "swapped"), default=0.0)
    killed = sum(row.status == OUT_OF_MEMORY for row in records.requests)
    found = []
    if over:
        found.append(
            f"{plan.serving.rules} loads {format_bytes(over)} more than models may take: the system swaps, at least as slowly as "
            "predicted; allow fewer models at once, or smaller ones"
        )
    if killed:
        found.append(f"{killed} requests of {plan.serving.rules} fail because their model does not fit into memory")
    return tuple(found)


def _warnings(plan: Plan, source: CostSource) -> tuple[str, ...]:
    found = []
    for stage in plan.stages if source.on_cpu and not isinstance(plan.serving, SwapServing) else ():
        instances = [plan.instance(name) for name in stage.instances]
        threads = sum(instance.threads for instance in instances)
        spinning = [i.name for i in instances if i.threads > 1 and not is_yielding(i.spincount)]
        if threads > source.cores and len(instances) > 1 and spinning:
            found.append(
                f"{threads} threads on {source.cores} cores, and servers that spin while they wait: speed may collapse, "
                "by how much changes from run to run; divide the threads or set GOMP_SPINCOUNT"
            )
    return tuple(found)


def _models(plan: Plan, specs: Mapping[str, ModelSpec]) -> list[ModelSpec]:
    return [specs[name] for name in sorted({instance.model for instance in plan.instances})]


def _several(plan: Plan) -> bool:
    """Whether servers ever run at the same time."""
    return any(len(stage.instances) > 1 for stage in plan.stages)
