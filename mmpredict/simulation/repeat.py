"""A prediction: one plan simulated many times over what is uncertain."""

from __future__ import annotations

from collections.abc import Mapping

from mmpredict.cost.chain import CostModel
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.contention import is_yielding
from mmpredict.cost.draw import Draw
from mmpredict.errors import DoesNotFitError
from mmpredict.models.spec import ModelSpec
from mmpredict.results.metrics import summarize
from mmpredict.results.prediction import Prediction, intervals
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.run import simulate
from mmpredict.units import format_bytes
from mmpredict.workload.request import Workload

DEFAULT_DRAWS = 200


def predict_plan(
    plan: Plan,
    workload: Workload,
    specs: Mapping[str, ModelSpec],
    coefficients: Coefficients,
    memory_bytes: float,
    draws: int = DEFAULT_DRAWS,
    seed: int = 0,
    cold: bool = False,
    capacity_bytes: float | None = None,
) -> Prediction:
    """Predict what a plan comes to.

    Args:
        plan: instances and stages.
        workload: requests.
        specs: model name → model.
        coefficients: of the machine and engine.
        memory_bytes: what the instances may use together [bytes].
        draws: simulations behind the intervals [1].
        seed: of the draws; plans predicted with the same seed share their luck.
        cold: whether model files must be read from storage.
        capacity_bytes: memory of the machine, for the records; ``memory_bytes`` when not given [bytes].

    Raises:
        DoesNotFitError: the plan needs more memory than there is.
        InputError: the plan cannot run on the machine.
    """
    capacity_bytes = memory_bytes if capacity_bytes is None else capacity_bytes
    median = simulate(plan, workload, specs, CostModel(coefficients), capacity_bytes, cold)
    needed = summarize(median).memory_peak_bytes
    if needed > memory_bytes:
        raise DoesNotFitError(
            f"plan {plan.strategy!r} needs {format_bytes(needed)} of memory, {format_bytes(memory_bytes)} are usable; "
            "run fewer models at once, or use smaller contexts or quantizations"
        )
    summaries = [
        summarize(simulate(plan, workload, specs, CostModel(coefficients, Draw(seed, number)), capacity_bytes, cold))
        for number in range(draws)
    ]
    return Prediction(
        strategy=plan.strategy,
        records=median,
        metrics=intervals(summaries),
        draws=draws,
        makespans_s=tuple(summary.makespan_s for summary in summaries),
        provenance=(
            f"coefficients fitted on {coefficients.measured_on} from {coefficients.measurements} measurements of "
            f"{coefficients.machine} with {coefficients.engine}",
        ),
        warnings=_warnings(plan, specs, coefficients),
    )


def _warnings(plan: Plan, specs: Mapping[str, ModelSpec], coefficients: Coefficients) -> tuple[str, ...]:
    found = []
    for stage in plan.stages:
        instances = [plan.instance(name) for name in stage.instances]
        threads = sum(instance.threads for instance in instances)
        spinning = [i.name for i in instances if i.threads > 1 and not is_yielding(i.spincount)]
        if threads > coefficients.cores and len(instances) > 1 and spinning:
            found.append(
                f"{threads} threads on {coefficients.cores} cores, and servers that spin while they wait: speed may collapse, "
                "by how much changes from run to run; divide the threads or set GOMP_SPINCOUNT"
            )
    kernels = {name for steps in coefficients.steps.values() for name in steps.kernels}
    for name in sorted({instance.model for instance in plan.instances}):
        spec = specs[name]
        used = spec.weight_types
        if used - kernels:
            found.append(
                f"{name} holds weights of a type that was not calibrated ({', '.join(sorted(used - kernels))}): its speed is a "
                "guess within wide bounds; calibrate with --types"
            )
    return tuple(found)
