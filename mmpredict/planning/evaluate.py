"""Looking at one plan: what it needs of memory, what it can reach at best, and what a simulation says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mmpredict.cost.draw import Draw
from mmpredict.cost.memory import Touched
from mmpredict.cost.server_cost import CostSource, MachineCosts, ServerCost
from mmpredict.errors import DoesNotFitError, InputError
from mmpredict.models.spec import ModelSpec
from mmpredict.planning.bounds import Best, best_case
from mmpredict.planning.candidate import Candidate
from mmpredict.planning.goals import Goal
from mmpredict.planning.ground import Ground, Kept, KeptCosts
from mmpredict.planning.outcome import Outcome, outcome
from mmpredict.results.records import Records
from mmpredict.simulation.dispatch import assign, check_context, check_order, touched_by
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.run import simulate
from mmpredict.simulation.variants import variants
from mmpredict.strategy.tensor_sharing import together_bytes
from mmpredict.units import format_bytes
from mmpredict.workload.request import Request

SAME = 1e-9
"""Values closer than this, relative to each other, are the same."""


@dataclass(frozen=True)
class Look:
    """A plan before it is simulated.

    Attributes:
        best: what it can reach at best; None where it cannot be run.
        memory_bytes: what it needs: exactly for stages, at least for servers that are loaded on demand [bytes].
        reason: why it cannot be run, empty if it can.
        too_large: whether the reason is memory alone.
    """

    best: Best | None
    memory_bytes: float
    reason: str = ""
    too_large: bool = False


class Evaluator:
    """Looks at plans one after another, and keeps what is the same from one to the next.

    Args:
        ground: the question.
    """

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self._known: dict[tuple[int, str], _Known] = {}
        self._requests: dict[str, list[Request]] = {}
        for request in ground.workload.requests:
            self._requests.setdefault(request.model, []).append(request)

    def look(self, candidate: Candidate) -> Look:
        """What can be said without a simulation."""
        plan, limits = candidate.plan, self.ground.limits
        if candidate.infeasible:
            return Look(None, 0.0, candidate.infeasible)
        try:
            instance_of = assign(plan, self.ground.workload)
            check_context(plan, self.ground.workload, instance_of)
            check_order(plan, self.ground.workload, instance_of)
            source = self.source(candidate)
            servers = self._servers(candidate, Draw())
        except DoesNotFitError as error:
            return Look(None, 0.0, str(error), too_large=True)
        except InputError as error:
            return Look(None, 0.0, str(error))
        needed = peak_bytes(plan, servers, self._requests, self.ground.specs[candidate.quantization])
        best = best_case(plan, self._requests, servers, source, self.ground.cold)
        if needed > limits.memory_bytes:
            told = f"needs {format_bytes(needed)} of memory, {format_bytes(limits.memory_bytes)} are allowed"
            return Look(best, needed, told, too_large=True)
        return Look(best, needed)

    def run(self, candidate: Candidate, draw: Draw | None = None) -> Records:
        """Simulate a plan once; at the median without a draw."""
        ground, source = self.ground, self.source(candidate)
        costs = self._costs(candidate, draw or Draw())
        specs = ground.specs[candidate.quantization]
        site = ground.sites[not source.on_cpu]
        return simulate(candidate.plan, ground.workload, specs, costs, ground.capacity_bytes, ground.cold, site)

    def outcome(self, candidate: Candidate, draw: Draw | None = None, records: Records | None = None) -> Outcome:
        """Numbers of one simulated run (see ``run``), or of these records."""
        ground, source = self.ground, self.source(candidate)
        records = records or self.run(candidate, draw)
        device = {}
        if not source.on_cpu:
            device = {name: server.device_bytes for name, server in self._servers(candidate, draw or Draw()).items()}
        found = outcome(records, ground.deadlines_s, ground.limits.objectives, device)
        if ground.power is None:
            return found
        energy_j = ground.power.energy_j(records, found.metrics["makespan_s"], not source.on_cpu)
        return Outcome({**found.metrics, "energy_j": energy_j}, found.failed, found.deadlines_frac, found.objectives_s)

    def source(self, candidate: Candidate) -> CostSource:
        """What is known of the servers of a plan (errors as ``Costing``)."""
        return self._knowledge(candidate).source

    def _knowledge(self, candidate: Candidate) -> _Known:
        ground = self.ground
        key = (0, "") if ground.costing.common else (id(candidate.plan), candidate.quantization)
        if key not in self._known:
            source = ground.costing.source(candidate.plan, ground.specs[candidate.quantization], ground.workload)
            self._known[key] = _Known(candidate.plan, source)
        return self._known[key]

    def _costs(self, candidate: Candidate, draw: Draw) -> MachineCosts:
        known = self._knowledge(candidate)
        return KeptCosts(known.source.costs(draw), known.kept.setdefault(draw.number, Kept()))

    def _servers(self, candidate: Candidate, draw: Draw) -> dict[str, ServerCost]:
        """Costs of every server of a plan; of one that is loaded in several forms, those of the first."""
        specs, costs = self.ground.specs[candidate.quantization], self._costs(candidate, draw)
        found: dict[str, ServerCost] = {}
        for one in variants(candidate.plan, specs, self.ground.workload):
            if one.name not in found:
                prompts = [request.prompt_tokens for request in self._requests.get(one.model, [])]
                touched = touched_by(one, prompts) if prompts else Touched(1, 1)
                found[one.name] = costs.instance(specs[one.model], one.threads, one.spincount, one.cache, touched, one.gpu_layers)
        return found


@dataclass
class _Known:
    """What is known of the servers of a plan: the plan is kept so that no other takes its identity."""

    plan: Plan
    source: CostSource
    kept: dict[int | None, Kept] = field(default_factory=dict)


def peak_bytes(
    plan: Plan, servers: dict[str, ServerCost], requests: dict[str, list[Request]], specs: Mapping[str, ModelSpec]
) -> float:
    """Memory of the servers that are resident together at some time [bytes]; of servers on demand the largest alone."""
    model_of = {one.name: one.model for one in plan.instances}
    companies: list[tuple[str, ...]] = [(name,) for name in servers] if plan.on_demand else [one.instances for one in plan.stages]
    used = [names for names in companies if plan.on_demand or any(model_of[name] in requests for name in names)]
    return max((together_bytes([(specs[model_of[name]].file, servers[name]) for name in names])[0] for names in used), default=0.0)


def broken(found: Outcome, ground: Ground) -> str:
    """Which limit a run breaks, in words; empty if it keeps them all."""
    limits = ground.limits
    memory = found.metrics["memory_bytes"]
    if found.failed:
        return f"{found.failed} requests fail"
    if memory > limits.memory_bytes:
        return f"needs {format_bytes(memory)} of memory, {format_bytes(limits.memory_bytes)} are allowed"
    for objective, reached_s in zip(limits.objectives, found.objectives_s, strict=True):
        if reached_s > objective.limit_s:
            return f"misses {objective}: {reached_s:.3g} s"
    if found.deadlines_frac < limits.deadlines_frac:
        return f"meets {100 * found.deadlines_frac:.0f} % of the deadlines, {100 * limits.deadlines_frac:.0f} % are asked for"
    return ""


def is_better(one: float, other: float, goal: Goal) -> bool:
    """Whether one value of a goal is better than another by more than rounding; one that is ``nan`` is not."""
    return goal.worth(one) < goal.worth(other) - SAME * abs(other)
