"""Real runs of a machine that was never there: simulated with coefficients that nobody is told."""

from __future__ import annotations

from mmpredict.cost.chain import CostModel
from mmpredict.cost.coefficients import Coefficients
from mmpredict.models.resolve import resolve
from mmpredict.results.history import Check
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.simulation.run import simulate
from mmpredict.validation.executed import Executed
from mmpredict.validation.history import PastRun
from mmpredict.workload.request import Request, Workload

SMALL, OTHER = "synthetic:smollm2-135m@q8_0", "synthetic:gemma3-270m@q4_k"
WORKLOAD = Workload(
    tuple(
        Request(f"{model}#{number}", model, 60 + 40 * number, 20, 0.4 * number) for model in (SMALL, OTHER) for number in range(3)
    )
)


def check(number: int, machine: str = "invented", engine: str = "none") -> Check:
    return Check(f"2026-11-{number:02d}T08:00:00+00:00", "scenario", "chat", "d", machine, engine, "2026-01-01", "0")


def plan(threads: int, apart: bool) -> Plan:
    """One model after the other, or both at once."""
    servers = tuple(InstancePlan(name, name, threads) for name in (SMALL, OTHER))
    stages = tuple(Stage((name,), 1) for name in (SMALL, OTHER)) if apart else (Stage((SMALL, OTHER)),)
    return Plan("apart" if apart else "together", servers, stages)


APART, TOGETHER = plan(4, apart=True), plan(2, apart=False)


def executed(truth: Coefficients, what: Plan, turn: int = 0, status: str = "ok") -> Executed:
    """What a machine of these coefficients does, with records as an executor makes them."""
    records = simulate(what, WORKLOAD, {name: resolve(name) for name in (SMALL, OTHER)}, CostModel(truth), 64e9)
    records.origin = "measured"
    for row in records.requests:
        row.status = status
    return Executed(what, WORKLOAD, {name: name for name in (SMALL, OTHER)}, records, turn)


def past(truth: Coefficients, number: int, *plans: Plan, status: str = "ok") -> list[PastRun]:
    """A check that ran these plans once."""
    return [PastRun(number, check(number), executed(truth, one, status=status)) for one in plans]
