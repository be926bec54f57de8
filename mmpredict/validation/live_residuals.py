"""How far the phases of real runs are from their simulation: what a calibration can be corrected by.

A run is simulated with its own plan and requests, everything at its median, and equal parts are set beside each other: loads,
prompts and decoding of a server whose requests come one after another, and the time from sending to the first work where the
machine has nothing else to do. Where requests of a server overlap, what is prompt and what is decoding for one of them depends on
how they happen to share batches; there the time in which the server works at all is compared, for both.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
STEPS: tuple[Part, Part] = ("prefill", "decode")
PARTS: tuple[Part, ...] = (*STEPS, "load", "request")
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
    within = {name for stage in run.plan.stages if _fits(run.plan, stage, coefficients.cores) for name in stage.instances}
    expected = {row.request: row for row in simulated.requests}
    for name in sorted(within):
        rows = [row for row in run.records.requests if row.instance == name and row.status == "ok"]
        pairs = [(row, expected[row.request]) for row in rows if row.request in expected and expected[row.request].status == "ok"]
        threads, model = run.plan.instance(name).threads, run.plan.instance(name).model
        for part, measured_s, simulated_s in _times(pairs, run.records):
            if min(measured_s, simulated_s) > LEAST_S:
                group = Group(part, threads if part in STEPS else 0)
                found[group][model].append(math.log(measured_s / simulated_s))
    loads = _loads(simulated)
    for name, measured_s in _loads(run.records).items():
        if name in within and min(measured_s, loads.get(name, 0.0)) > LEAST_S:
            found[Group("load", 0)][run.plan.instance(name).model].append(math.log(measured_s / loads[name]))
    return {group: {run.models[model]: median(logs) for model, logs in models.items()} for group, models in found.items()}


def oversubscribed(plan: Plan, cores: int) -> bool:
    """Whether servers of a stage have more threads together than there are cores."""
    return not all(_fits(plan, stage, cores) for stage in plan.stages)


def _fits(plan: Plan, stage: Stage, cores: int) -> bool:
    return sum(plan.instance(name).threads for name in stage.instances) <= cores


def _times(pairs: Sequence[tuple[RequestRow, RequestRow]], records: Records) -> Iterator[tuple[Part, float, float]]:
    """Part, measured and simulated time of one server's requests [s]."""
    busy = [_busy_s([pair[side] for pair in pairs]) for side in (0, 1)]
    overlap = busy[0][1] or busy[1][1]
    if overlap:
        for part in STEPS:
            yield part, busy[0][0], busy[1][0]
    for row, twin in pairs:
        if not overlap:
            yield "prefill", row.first_token_s - row.prefill_start_s, twin.first_token_s - twin.prefill_start_s
            yield "decode", row.finish_s - row.first_token_s, twin.finish_s - twin.first_token_s
        if _alone(row, records):
            yield "request", row.prefill_start_s - row.dispatched_s, twin.prefill_start_s - twin.dispatched_s


def _busy_s(rows: Iterable[RequestRow]) -> tuple[float, bool]:
    """Time in which a server works on requests, and whether it ever does on several at once [s]."""
    busy_s, until_s, overlap = 0.0, -math.inf, False
    for begin_s, end_s in sorted((row.prefill_start_s, row.finish_s) for row in rows):
        overlap = overlap or begin_s < until_s
        busy_s += max(0.0, end_s - max(begin_s, until_s))
        until_s = max(until_s, end_s)
    return busy_s, overlap


def _alone(row: RequestRow, records: Records) -> bool:
    """Whether a request was sent while no other one was being worked on, or sent too."""
    return not any(
        other is not row and other.dispatched_s <= row.prefill_start_s and not other.finish_s <= row.dispatched_s
        for other in records.requests
    )


def _loads(records: Records) -> dict[str, float]:
    """Instance → duration of its first load [s]."""
    found: dict[str, float] = {}
    for row in records.activities:
        if row.kind == "load" and not math.isnan(row.end_s - row.start_s):
            found.setdefault(row.instance, row.end_s - row.start_s)
    return found
