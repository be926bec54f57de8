"""What a plan can reach at best, without a simulation: no server works faster than alone, and cores do no more than they can.

A plan whose best case is worse than what another one reaches need not be simulated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmpredict.cost.server_cost import CostSource, ServerCost
from mmpredict.planning.alone import Floor
from mmpredict.planning.goals import Goal
from mmpredict.planning.outcome import percentile
from mmpredict.simulation.plan import Plan, Stage
from mmpredict.workload.request import Request

ROUNDING = 1.0 - 1e-9
"""Sums of times in another order differ in their last digits."""


@dataclass(frozen=True)
class Best:
    """Best cases of a run.

    Attributes:
        makespan_s: at least [s].
        tokens: that are generated [tokens].
        ttft_s, e2e_s: of every request, at least [s].
    """

    makespan_s: float
    tokens: int
    ttft_s: tuple[float, ...]
    e2e_s: tuple[float, ...]

    def value(self, goal: Goal, memory_bytes: float, idle_w: float = 0.0) -> float:
        """The best value of a goal.

        Args:
            goal: which.
            memory_bytes: what the plan needs at least [bytes].
            idle_w: of the machine [W].
        """
        match goal.metric:
            case "makespan_s":
                return ROUNDING * self.makespan_s
            case "throughput_tokens_per_s":
                return self.tokens / (ROUNDING * self.makespan_s)
            case "memory_bytes":
                return ROUNDING * memory_bytes
            case "energy_j":
                return ROUNDING * idle_w * self.makespan_s
        name, _, statistic = goal.metric.removesuffix("_s").partition("_")
        values = np.array(self.ttft_s if name == "ttft" else self.e2e_s)
        return ROUNDING * (float(values.mean()) if statistic == "mean" else percentile(values, float(statistic[1:])))


def best_case(
    plan: Plan, requests: Mapping[str, Sequence[Request]], servers: Mapping[str, ServerCost], source: CostSource, cold: bool
) -> Best:
    """What a plan can reach at best.

    Args:
        plan: stages, or servers on demand.
        requests: model → its requests, in order of arrival.
        servers: instance → its costs, at the median.
        source: of them.
        cold: whether model files are read from storage at first.
    """
    run = _Run(plan, requests, servers, source, cold)
    if plan.on_demand:
        run.at_once([one.name for one in plan.instances])
    else:
        for stage in plan.stages:
            run.stage(stage)
    everything = [request for mine in requests.values() for request in mine]
    first_s = min(request.arrival_s for request in everything if not request.after)
    tokens = sum(request.output_tokens for request in everything)
    return Best(max(run.end_s - first_s, 1e-12), tokens, tuple(run.ttft_s), tuple(run.e2e_s))


class _Run:
    def __init__(
        self,
        plan: Plan,
        requests: Mapping[str, Sequence[Request]],
        servers: Mapping[str, ServerCost],
        source: CostSource,
        cold: bool,
    ) -> None:
        self._plan, self._requests, self._servers = plan, requests, servers
        self._cores, self._on_cpu, self._cold = source.cores, source.on_cpu, cold
        self.end_s = 0.0
        self.ttft_s: list[float] = []
        self.e2e_s: list[float] = []

    def stage(self, stage: Stage) -> None:
        """Servers are loaded together when the stage before is over, and begin when all are ready."""
        names = [name for name in stage.instances if self._mine(name)]
        if not names:
            return
        opened_s = self.end_s
        loads_s = [self._servers[name].load_s(self._cold) for name in stage.instances]
        ready_s = opened_s + max(max(loads_s), sum(loads_s) / self._cores)
        busy_s, free_s = sum(loads_s), ready_s
        self.end_s = ready_s
        for name in names:
            floor = Floor(self._servers[name].prices, self._plan.instance(name), stage.concurrency == 1)
            mine = self._mine(name)
            work_s = floor.work_s(mine)
            busy_s += work_s * self._plan.instance(name).threads
            if stage.concurrency == 1 and _in_line(mine):
                for request in mine:
                    free_s = self._serve(floor, request, free_s)
            else:
                for request in mine:
                    self._serve(floor, request, ready_s)
                self.end_s = max(self.end_s, ready_s + work_s)
        if self._on_cpu:
            self.end_s = max(self.end_s, opened_s + busy_s / self._cores)

    def at_once(self, names: Sequence[str]) -> None:
        """Servers are loaded when they are asked for, at the earliest when their first request comes."""
        busy_s = 0.0
        for name in names:
            mine = self._mine(name)
            if not mine:
                continue
            server = self._servers[name]
            floor, load_s = Floor(server.prices, self._plan.instance(name)), server.load_s(self._cold)
            work_s, asked_s = floor.work_s(mine), min(request.arrival_s for request in mine)
            for request in mine:
                self._serve(floor, request, asked_s + load_s)
            self.end_s = max(self.end_s, asked_s + load_s + work_s)
            busy_s += load_s + work_s * self._plan.instance(name).threads
        if self._on_cpu:
            self.end_s = max(self.end_s, busy_s / self._cores)

    def _mine(self, name: str) -> Sequence[Request]:
        return self._requests.get(self._plan.instance(name).model, ())

    def _serve(self, floor: Floor, request: Request, ready_s: float) -> float:
        """A request on a server that is ready at ``ready_s``; one that waits for others may come later than is known."""
        start_s = max(ready_s, request.arrival_s)
        prompt_s, answer_s = floor.prompt_s(request), floor.answer_s(request)
        waits_s = 0.0 if request.after else start_s - request.arrival_s
        self.ttft_s.append(waits_s + prompt_s)
        self.e2e_s.append(waits_s + prompt_s + answer_s)
        self.end_s = max(self.end_s, start_s + prompt_s + answer_s)
        return start_s + prompt_s + answer_s


def _in_line(requests: Sequence[Request]) -> bool:
    """Whether requests are served in the order in which they come."""
    return not any(request.after or request.priority for request in requests)
