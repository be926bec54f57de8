"""Simulating a plan: requests meet its servers on one shared machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import simpy

from mmpredict.cost.server_cost import MachineCosts
from mmpredict.errors import MmpredictError
from mmpredict.models.spec import ModelSpec
from mmpredict.results.columns import RequestRow, StateRow
from mmpredict.results.records import Records
from mmpredict.simulation.dispatch import assign, check_context, largest_batch
from mmpredict.simulation.fleet import Fleet, Instance
from mmpredict.simulation.fronts.front import Front
from mmpredict.simulation.fronts.stages import Stages
from mmpredict.simulation.job import Job
from mmpredict.simulation.machine import Machine
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.source import Source
from mmpredict.workload.request import Request, Workload


def simulate(
    plan: Plan,
    workload: Workload,
    specs: Mapping[str, ModelSpec],
    costs: MachineCosts,
    memory_capacity_bytes: float,
    cold: bool = False,
) -> Records:
    """Simulate one run of a plan.

    Args:
        plan: instances and stages.
        workload: requests.
        specs: model name → model, for every model of the plan.
        costs: cost model of the machine, with the luck of this run.
        memory_capacity_bytes: what the instances may use together, for the records [bytes].
        cold: whether model files must be read from storage at first.

    Raises:
        InputError: a request asks for a model that the plan does not serve, or the plan cannot run on the machine.
    """
    return _Run(plan, workload, specs, costs, memory_capacity_bytes, cold).records()


@dataclass(slots=True)
class _Run:
    plan: Plan
    workload: Workload
    specs: Mapping[str, ModelSpec]
    costs: MachineCosts
    memory_capacity_bytes: float
    cold: bool
    env: Any = field(default_factory=simpy.Environment)
    result: Records = field(default_factory=lambda: Records("simulated"))
    front: Front = field(init=False)
    source: Source = field(init=False)

    def records(self) -> Records:
        instance_of = assign(self.plan, self.workload)
        check_context(self.plan, self.workload, instance_of)
        machine = Machine(self.env, self.costs.sharing)
        fleet = self._fleet(machine, instance_of)
        self.front = self._stages(fleet, instance_of)
        self.front.open()
        follow = any(request.after for request in self.workload.requests)
        self.source = Source(self.env, self.workload.requests, self._arrive, follow)
        fleet.finished = self._finished
        self.env.run()
        done = sum(row.finish_s == row.finish_s or row.status != "ok" for row in self.result.requests)
        if done != len(self.workload.requests):
            raise MmpredictError(f"plan {self.plan.strategy!r}: the simulation stopped before its last request; this is a defect")
        for time_s, cores in machine.cores_log:
            self.result.states.append(StateRow(time_s, "cores", cores, machine.cores))
        return self.result.sort()

    def _fleet(self, machine: Machine, instance_of: Mapping[str, str]) -> Fleet:
        prompts: dict[str, list[int]] = {instance.name: [] for instance in self.plan.instances}
        for request in self.workload.requests:
            prompts[instance_of[request.id]].append(request.prompt_tokens)
        touched = {name: largest_batch(self.plan.instance(name), mine) for name, mine in prompts.items()}
        cached = frozenset() if self.cold else frozenset(instance.model for instance in self.plan.instances)
        return Fleet(
            self.env,
            self.plan.instances,
            self.specs,
            self.costs,
            machine,
            self.memory_capacity_bytes,
            cached,
            touched,
            self.result,
        )

    def _stages(self, fleet: Fleet, instance_of: Mapping[str, str]) -> Stages:
        expected = Counter(instance_of.values())
        serving = {request.model: instance_of[request.id] for request in self.workload.requests}
        return Stages(self.env, fleet, self.plan, self.costs, expected, serving)

    def _arrive(self, request: Request, arrival_s: float) -> None:
        row = RequestRow(request.id, request.model, "", arrival_s, request.prompt_tokens, request.output_tokens)
        self.result.requests.append(row)
        self.front.arrive(Job(row, request.session, request.shared_tokens))

    def _finished(self, job: Job, instance: Instance) -> None:
        self.front.finished(job, instance)
        self.source.finished(job.row.request)
