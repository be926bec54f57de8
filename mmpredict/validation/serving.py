"""Predicted serving against real servers: one server under load, several at once, models loaded, unloaded and loaded again."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmpredict.cost.chain import CostModel
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.draw import Draw
from mmpredict.errors import EngineError
from mmpredict.live.execute import execute_plan
from mmpredict.models.resolve import resolve
from mmpredict.models.spec import ModelSpec
from mmpredict.results.compare import compared
from mmpredict.results.metrics import summarize
from mmpredict.results.prediction import column_intervals
from mmpredict.results.records import Records
from mmpredict.results.serving_check import ServingRow
from mmpredict.saving import make_directory
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.simulation.run import simulate
from mmpredict.validation.each_model import Progress
from mmpredict.workload.request import Request, Workload

SINGLE = "one server under load"
COMPANY = "servers together, within the cores"
RELOAD = "load, evict, reload"

SMALL, MIDDLE, OTHER = "synthetic:smollm2-135m@q8_0", "synthetic:qwen2.5-0.5b@q8_0", "synthetic:gemma3-270m@q4_k"
SLOTS = (1, 2, 4, 8)
UTILISATIONS = (0.3, 0.6, 0.9)
REQUESTS = 24
QUICK_REQUESTS = 8
CONTEXT_TOKENS = 8192
DRAWS = 100


@dataclass(frozen=True, slots=True)
class ServingCase:
    """A plan and its requests.

    Attributes:
        group, name: what it is.
        plan: servers.
        workload: requests.
        specs: model name → model.
        metrics: what is compared.
    """

    group: str
    name: str
    plan: Plan
    workload: Workload
    specs: Mapping[str, ModelSpec]
    metrics: tuple[str, ...] = ("ttft_p50_s", "e2e_p50_s", "makespan_s")


def serving_specs() -> dict[str, ModelSpec]:
    """Models of all cases; calibration measures ``probe-`` shapes only, so none of these was ever fitted to."""
    return {name: resolve(name) for name in (SMALL, MIDDLE, OTHER)}


def serving_cases(own: Coefficients, specs: Mapping[str, ModelSpec], quick: bool = False) -> list[ServingCase]:
    """What is run: seeded, so that every run asks the same.

    Args:
        own: the machine's coefficients, which say how much load its servers bear.
        specs: models.
        quick: a few cases with few requests.
    """
    count = QUICK_REQUESTS if quick else REQUESTS
    cases = []
    for slots in SLOTS[1:2] if quick else SLOTS:
        plan = _plan(f"{slots} slots", [InstancePlan("server", SMALL, own.cores, context_tokens=CONTEXT_TOKENS, slots=slots)])
        for number, utilisation in enumerate(UTILISATIONS[1:2] if quick else UTILISATIONS):
            workload = _poisson(own, specs, plan, {SMALL: utilisation}, count, seed=10 * slots + number)
            cases.append(ServingCase(SINGLE, f"{slots} slots at {utilisation:.0%}", plan, workload, specs))
    threads = max(1, own.cores // 2)
    for names in ((SMALL, OTHER),) if quick else ((SMALL, OTHER), (SMALL, MIDDLE), (SMALL, MIDDLE, OTHER)):
        if len(names) * threads > own.cores:
            threads = max(1, own.cores // len(names))
        plan = _plan("together", [InstancePlan(name, name, threads, context_tokens=CONTEXT_TOKENS) for name in names])
        workload = _poisson(own, specs, plan, dict.fromkeys(names, 0.5), count // 2, seed=len(names))
        title = ", ".join(name.removeprefix("synthetic:") for name in names)
        cases.append(ServingCase(COMPANY, f"{len(names)} × {threads} threads: {title}", plan, workload, specs))
    for first, second in ((SMALL, MIDDLE),) if quick else ((SMALL, MIDDLE), (OTHER, SMALL)):
        cases.append(_reload(own, specs, first, second))
    return cases


def run_cases(
    cases: Sequence[ServingCase],
    own: Coefficients,
    memory_bytes: float,
    repeats: int,
    log_directory: Path,
    raw_path: Path,
    progress: Progress,
) -> list[ServingRow]:
    """Predict and run every case; each measurement is on disk as soon as it exists.

    Args:
        cases: what to run.
        own: the machine's coefficients.
        memory_bytes: what servers may use together [bytes].
        repeats: real runs of each case, in rounds of all cases, so that drift meets them alike [1].
        log_directory: where servers log.
        raw_path: file of the runs, one JSON object per line; replaced if it exists.
        progress: called with (what is happening, fraction done).

    Raises:
        EngineError: a server could not be started or used.
        DoesNotFitError: a case needs more memory than there is.
        StorageError: a file could not be written.
    """
    measured: list[list[dict[str, float]]] = [[] for _ in cases]
    make_directory(raw_path.parent)
    with raw_path.open("w", encoding="utf-8") as raw:
        for turn in range(repeats):
            for number, case in enumerate(cases):
                progress(f"{case.group}: {case.name}", (turn * len(cases) + number) / (repeats * len(cases)))
                logs = log_directory / f"{number}-{turn}"
                make_directory(logs)
                records = execute_plan(case.plan, case.workload, case.specs, memory_bytes, logs)
                if failed := sorted({row.status for row in records.requests if row.status != "ok"}):
                    raise EngineError(f"{case.name}: requests failed ({', '.join(failed)}); runs until then are in {raw_path}")
                found = {metric: _metric(records, metric) for metric in case.metrics}
                raw.write(json.dumps({"group": case.group, "case": case.name, "turn": turn, **found, "records": records.to_dict()}))
                raw.write("\n")
                raw.flush()
                measured[number].append(found)
    progress("done", 1.0)
    return [row for case, runs in zip(cases, measured, strict=True) for row in _rows(case, own, memory_bytes, runs)]


def _rows(case: ServingCase, own: Coefficients, memory_bytes: float, runs: Sequence[Mapping[str, float]]) -> list[ServingRow]:
    drawn = [
        simulate(case.plan, case.workload, case.specs, CostModel(own, Draw(0, number)), memory_bytes) for number in range(DRAWS)
    ]
    predicted = column_intervals(np.array([[_metric(records, metric) for metric in case.metrics] for records in drawn]))
    rows = []
    for metric, interval in zip(case.metrics, predicted, strict=True):
        one = compared(metric, interval, [run[metric] for run in runs])
        bounds = (interval.value, interval.low, interval.high)
        rows.append(ServingRow(case.group, case.name, metric, *bounds, one.measured, one.noise_frac))
    return rows


def _metric(records: Records, name: str) -> float:
    return float(getattr(summarize(records), name))


def _plan(name: str, instances: Sequence[InstancePlan]) -> Plan:
    return Plan(name, tuple(instances), (Stage(tuple(instance.name for instance in instances)),))


def _reload(own: Coefficients, specs: Mapping[str, ModelSpec], first: str, second: str) -> ServingCase:
    """One model, another in its place, and the first again: each a model of its own to the plan."""
    order = {f"{number}. {model}": specs[model] for number, model in enumerate((first, second, first), 1)}
    instances = tuple(InstancePlan(name, name, own.cores) for name in order)
    plan = Plan("reload", instances, tuple(Stage((name,), 1) for name in order))
    requests = tuple(Request(name, name, 64, 8) for name in order)
    name = " → ".join(model.removeprefix("synthetic:") for model in (first, second, first))
    return ServingCase(RELOAD, name, plan, Workload(requests), order, ("load_wait_s", "makespan_s"))


def _poisson(
    own: Coefficients, specs: Mapping[str, ModelSpec], plan: Plan, loads: Mapping[str, float], count: int, seed: int
) -> Workload:
    """``count`` requests to each model, at a part of what its server gets through alone."""
    made: list[Request] = []
    for model, load in loads.items():
        luck = random.Random(f"{seed} {model}")
        lengths = [(luck.randint(24, 240), luck.randint(8, 48)) for _ in range(count)]
        at_once = Workload(tuple(Request(str(n), model, *length) for n, length in enumerate(lengths)))
        alone = Plan("alone", (plan.instance(_serving(plan, model)),), (Stage((_serving(plan, model),)),))
        full_s = _served_s(simulate(alone, at_once, specs, CostModel(own), math.inf))
        now_s = 0.0
        for number, length in enumerate(lengths):
            now_s += luck.expovariate(load * count / full_s)
            made.append(Request(f"{model}#{number}", model, *length, now_s))
    return Workload(tuple(made))


def _serving(plan: Plan, model: str) -> str:
    return next(instance.name for instance in plan.instances if instance.model == model)


def _served_s(records: Records) -> float:
    begin_s = min(row.prefill_start_s for row in records.requests)
    return max(row.finish_s for row in records.requests) - begin_s
