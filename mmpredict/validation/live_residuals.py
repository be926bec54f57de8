"""How far the phases of real runs are from their simulation: what a calibration can be corrected by.

A run is simulated with its own plan and requests, everything at its median, and phases of equal requests are set beside each
other: prompts, decoding, loads, and the time from sending to the first work where the machine has nothing else to do. Queueing and
batching are in the simulation already, so that they count in neither direction.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from statistics import median
from typing import Literal, NamedTuple

from mmpredict.cost.chain import CostModel
from mmpredict.cost.coefficients import Coefficients
from mmpredict.models.spec import ModelSpec
from mmpredict.results.columns import RequestRow
from mmpredict.results.records import Records
from mmpredict.simulation.plan import Plan, Stage
from mmpredict.simulation.run import simulate
from mmpredict.validation.executed import Executed

Part = Literal["prefill", "decode", "load", "request"]
PARTS: tuple[Part, ...] = ("prefill", "decode", "load", "request")
LEAST_S = 1e-3
"""Shorter times are the clock's and the network's."""


class Group(NamedTuple):
    """What has a factor of its own: a part, and for steps the threads of the server (0 otherwise)."""

    part: Part
    threads: int


def residuals(run: Executed, specs: Mapping[str, ModelSpec], coefficients: Coefficients) -> dict[Group, dict[str, float]]:
    """Group → model → median of log (measured ÷ simulated) over requests or loads; stages that oversubscribe the cores are left
    out, as company costs what it does there.

    Args:
        run: what was measured.
        specs: model of the plan → model.
        coefficients: to be corrected.
    """
    simulated = simulate(run.plan, run.workload, specs, CostModel(coefficients), math.inf, run.cold)
    found: dict[Group, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    within = [stage for stage in run.plan.stages if _fits(run.plan, stage, coefficients.cores)]
    threads = {name: run.plan.instance(name).threads for stage in within for name in stage.instances}
    expected = {row.request: row for row in simulated.requests}
    for row in run.records.requests:
        twin = expected.get(row.request)
        if twin is None or row.instance not in threads or row.status != "ok" or twin.status != "ok":
            continue
        for part, times in _times(row, twin, _alone(row, run.records)).items():
            group = Group(part, 0 if part == "request" else threads[row.instance])
            found[group][row.model].append(math.log(times[0] / times[1]))
    loads = _loads(simulated)
    for name, measured_s in _loads(run.records).items():
        if name in threads and loads.get(name, 0.0) > LEAST_S and measured_s > LEAST_S:
            found[Group("load", 0)][run.plan.instance(name).model].append(math.log(measured_s / loads[name]))
    return {group: {run.models[model]: median(logs) for model, logs in models.items()} for group, models in found.items()}


def oversubscribed(plan: Plan, cores: int) -> bool:
    """Whether servers of a stage have more threads together than there are cores."""
    return not all(_fits(plan, stage, cores) for stage in plan.stages)


def _fits(plan: Plan, stage: Stage, cores: int) -> bool:
    return sum(plan.instance(name).threads for name in stage.instances) <= cores


def _alone(row: RequestRow, records: Records) -> bool:
    """Whether a request was sent while no other one was being worked on, or sent too."""
    return not any(
        other is not row and other.dispatched_s <= row.prefill_start_s and not other.finish_s <= row.dispatched_s
        for other in records.requests
    )


def _times(row: RequestRow, twin: RequestRow, alone: bool) -> dict[Part, tuple[float, float]]:
    """Part → measured and simulated time [s], of the parts that are long enough to tell something."""
    pairs: dict[Part, tuple[float, float]] = {
        "prefill": (row.first_token_s - row.prefill_start_s, twin.first_token_s - twin.prefill_start_s),
        "decode": (row.finish_s - row.first_token_s, twin.finish_s - twin.first_token_s),
    }
    if alone:
        pairs["request"] = (row.prefill_start_s - row.dispatched_s, twin.prefill_start_s - twin.dispatched_s)
    return {part: times for part, times in pairs.items() if min(times) > LEAST_S}


def _loads(records: Records) -> dict[str, float]:
    """Instance → duration of its first load [s]."""
    found: dict[str, float] = {}
    for row in records.activities:
        if row.kind == "load" and not math.isnan(row.end_s - row.start_s):
            found.setdefault(row.instance, row.end_s - row.start_s)
    return found
