"""``sweep``: one key of a scenario takes several values, and every plan is simulated at each of them.

A point is *saturated* when, as the last request arrives, more than a tenth of all requests wait beyond what all slots can serve
at a time: the queue then grows with the workload, and times say how long it was watched rather than how fast the plan is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmpredict.advising import ground_of
from mmpredict.cost.draw import Draw
from mmpredict.costing import Costing
from mmpredict.errors import DoesNotFitError, InputError
from mmpredict.planning.candidate import Candidate
from mmpredict.planning.evaluate import Evaluator
from mmpredict.planning.explore import Progress, in_parallel, spread
from mmpredict.planning.knee import knee_of
from mmpredict.results.prediction import interval_of
from mmpredict.results.records import Records
from mmpredict.results.sweep import SWEPT, Knee, Sweep, SweepPoint
from mmpredict.scenario import Scenario
from mmpredict.simulation.plan import Plan

DRAWS = 10
"""Simulations behind the bounds of a point, if nobody says otherwise."""
BACKLOG_FRAC = 0.1
KNEE_METRICS = ("ttft_p95_s", "latency_p95_s")
"""What a knee is looked for in; the first that has one counts."""


@dataclass(frozen=True)
class Setting:
    """A scenario with one value of what is swept.

    Attributes:
        value: of what is swept.
        scenario: with it.
        costing: of its machine.
        plans: what is simulated.
    """

    value: float | str
    scenario: Scenario
    costing: Costing
    plans: tuple[Plan, ...]


def sweep_over(
    key: str,
    settings: Sequence[Setting],
    draws: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Sweep:
    """Simulate every plan at every value.

    Args:
        key: what is swept.
        settings: the scenario with each value.
        draws: simulations behind the bounds; ``DRAWS`` when not given, 0 for none [1].
        seed: of the draws.
        workers: processes; by default one per core where that is worth starting them, in the backend that joblib is set to.
        progress: told how far it is.
    """
    draws = DRAWS if draws is None else draws
    tasks = [(key, setting, draws, seed) for setting in settings]
    requests = sum((draws + 1) * len(setting.plans) * len(setting.scenario.workload().requests) for setting in settings)
    found: list[list[SweepPoint]] = []
    if in_parallel(requests, workers):
        found = spread(points_at, tasks, workers)
    else:
        for number, task in enumerate(tasks):
            if progress is not None:
                progress(f"{key} = {task[1].value}", number / len(tasks))
            found.append(points_at(*task))
    points = tuple(point for place in range(max(map(len, found), default=0)) for row in found for point in row[place : place + 1])
    return Sweep(key, points, tuple(_knees(points)))


def with_options(plan: Plan, question: Scenario) -> Plan:
    """A plan whose servers have a scenario's own options."""
    options = {name: value for name, value in question.server.model_dump().items() if name in question.server.model_fields_set}
    return replace(plan, instances=tuple(replace(one, **options) for one in plan.instances))


def points_at(key: str, setting: Setting, draws: int, seed: int) -> list[SweepPoint]:
    """The points of every plan at one value."""
    ground = ground_of(setting.scenario, setting.costing, setting.scenario.recommend)
    evaluator, found = Evaluator(ground), []
    for plan in setting.plans:
        candidate = Candidate(plan)
        try:
            records = _fitting(evaluator, candidate)
        except (DoesNotFitError, InputError) as error:
            found.append(SweepPoint(key, setting.value, plan.strategy, {}, reason=str(error)))
            continue
        median = evaluator.outcome(candidate, records=records)
        luck = [evaluator.outcome(candidate, Draw(seed, number)) for number in range(draws)]
        metrics = {}
        for name in SWEPT:
            once, *drawn = [_metric(outcome.metrics, name, len(ground.workload.requests)) for outcome in (median, *luck)]
            metrics[name] = interval_of(np.array(drawn), once=once)
        waits = any(request.after for request in ground.workload.requests)
        offered = math.nan if waits else _offered_per_s([request.arrival_s for request in ground.workload.requests])
        found.append(
            SweepPoint(
                key, setting.value, plan.strategy, metrics, offered, median.failed, not waits and is_saturated(records, plan)
            )
        )
    return found


def _fitting(evaluator: Evaluator, candidate: Candidate) -> Records:
    """The median run of a plan that fits; servers on demand run in any case, and what does not fit fails."""
    look = evaluator.look(candidate)
    if look.too_large and not candidate.plan.on_demand:
        raise DoesNotFitError(look.reason)
    return evaluator.run(candidate)


def is_saturated(records: Records, plan: Plan) -> bool:
    """Whether requests pile up (see the module)."""
    last_s = max(row.arrival_s for row in records.requests)
    first_s = min(row.arrival_s for row in records.requests)
    if last_s <= first_s:
        return False  # all at once is no rate
    waiting = sum(not row.finish_s <= last_s for row in records.requests)
    slots = sum(one.slots for one in plan.instances)
    return waiting - slots > BACKLOG_FRAC * len(records.requests)


def _metric(metrics: Mapping[str, float], name: str, requests: int) -> float:
    return requests / metrics["makespan_s"] if name == "requests_per_s" else metrics[name]


def _offered_per_s(arrivals_s: Sequence[float]) -> float:
    span_s = max(arrivals_s) - min(arrivals_s)
    return (len(arrivals_s) - 1) / span_s if span_s > 0 else math.nan


def _knees(points: Sequence[SweepPoint]) -> list[Knee]:
    found = []
    for strategy in dict.fromkeys(point.strategy for point in points):
        mine = [point for point in points if point.strategy == strategy and point.metrics and not isinstance(point.value, str)]
        for metric in KNEE_METRICS:
            pairs = sorted((float(point.value), point.metrics[metric].value) for point in mine)
            pairs = [pair for pair in pairs if not math.isnan(pair[1])]
            knee = knee_of([load for load, _ in pairs], [value for _, value in pairs])
            if knee is not None:
                load, reached = pairs[knee[0]]
                found.append(Knee(strategy, metric, load, reached, knee[1]))
                break
    return found
