"""Simulating a plan: stages one after another, loads, requests, unloads, on one shared machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import simpy

from mmpredict.cost.chain import CostModel, InstanceCost
from mmpredict.cost.contention import Demand, is_yielding
from mmpredict.errors import MmpredictError
from mmpredict.models.spec import ModelSpec
from mmpredict.results.columns import ActivityRow, RequestRow, StateRow
from mmpredict.results.records import Records
from mmpredict.simulation.dispatch import assign, check_context, largest_batch, sendable, stage_requests
from mmpredict.simulation.machine import Machine
from mmpredict.simulation.plan import Plan, Stage
from mmpredict.simulation.server import LlamaServer
from mmpredict.workload.request import Request, Workload


def simulate(
    plan: Plan,
    workload: Workload,
    specs: Mapping[str, ModelSpec],
    costs: CostModel,
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
        cold: whether model files must be read from storage.

    Raises:
        InputError: a request asks for a model that the plan does not serve, or the plan cannot run on the machine.
    """
    return _Run(plan, workload, specs, costs, memory_capacity_bytes, cold).records()


@dataclass(slots=True)
class _Resident:
    """An instance that is loaded."""

    cost: InstanceCost
    server: LlamaServer
    ready_s: float


@dataclass(slots=True)
class _Run:
    plan: Plan
    workload: Workload
    specs: Mapping[str, ModelSpec]
    costs: CostModel
    memory_capacity_bytes: float
    cold: bool
    env: Any = field(default_factory=simpy.Environment)
    machine: Machine = field(init=False)
    residents: dict[str, _Resident] = field(default_factory=dict)
    result: Records = field(default_factory=lambda: Records("simulated"))
    instance_of: dict[str, str] = field(init=False)
    client_free_s: float = 0.0

    def records(self) -> Records:
        self.machine = Machine(self.env, self.costs.contention)
        self.instance_of = assign(self.plan, self.workload)
        check_context(self.plan, self.workload, self.instance_of)
        main = self.env.process(self._stages())
        self.env.run()
        if not main.triggered:
            raise MmpredictError(f"plan {self.plan.strategy!r}: the simulation stopped before its last request; this is a defect")
        for time_s, cores in self.machine.cores_log:
            self.result.states.append(StateRow(time_s, "cores", cores, self.machine.cores))
        return self.result.sort()

    def _stages(self) -> Any:
        for stage in self.plan.stages:
            if stage_requests(stage, self.workload, self.instance_of):
                yield from self._stage(stage)

    def _stage(self, stage: Stage) -> Any:
        opened_s = self.env.now
        instances = [self.plan.instance(name) for name in stage.instances]
        stacked = self.costs.stacked([i.name for i in instances if i.threads > 1 and not is_yielding(i.spincount)])
        yield self.env.all_of([self.env.process(self._load(name, name in stacked)) for name in stage.instances])
        waiting = stage_requests(stage, self.workload, self.instance_of)
        in_flight: list[Any] = []
        while waiting or in_flight:
            count = sendable(waiting, len(in_flight), stage.concurrency, self.env.now)
            in_flight += [self.env.process(self._request(request, opened_s)) for request in waiting[:count]]
            waiting = waiting[count:]
            events = list(in_flight)
            may_send = stage.concurrency is None or len(in_flight) < stage.concurrency
            if waiting and may_send and waiting[0].arrival_s > self.env.now:
                events.append(self.env.timeout(waiting[0].arrival_s - self.env.now))
            yield self.env.any_of(events)
            in_flight = [process for process in in_flight if process.is_alive]
        for name in stage.instances:
            del self.residents[name]
            self.result.activities.append(ActivityRow(name, "unload", self.env.now, self.env.now, slowdown=1.0))
        self._note_memory()

    def _load(self, name: str, stacked: bool) -> Any:
        instance = self.plan.instance(name)
        prompts = [r.prompt_tokens for r in self.workload.requests if self.instance_of[r.id] == name]
        cost = self.costs.instance(
            self.specs[instance.model], instance.threads, instance.spincount, instance.cache, largest_batch(instance, prompts)
        )
        solo_s = cost.load_s(self.cold)
        start_s = self.env.now
        yield self.machine.start(Demand("load", 1, False, solo_s, 0.0, False)).done
        server = LlamaServer(self.env, self.machine, cost, instance.slots, instance.batch_tokens, stacked)
        self.residents[name] = _Resident(cost, server, self.env.now)
        slowdown = (self.env.now - start_s) / solo_s if solo_s else 1.0
        self.result.activities.append(ActivityRow(name, "load", start_s, self.env.now, slowdown=slowdown))
        self._note_memory()

    def _request(self, request: Request, opened_s: float) -> Any:
        name = self.instance_of[request.id]
        resident = self.residents[name]
        row = RequestRow(request.id, request.model, name, request.arrival_s, request.prompt_tokens, request.output_tokens)
        row.dispatched_s = self.env.now
        row.load_wait_s = max(0.0, resident.ready_s - max(opened_s, request.arrival_s))
        self.result.requests.append(row)
        # One client prepares and sends its requests one after another, so none reaches its server at the same moment.
        self.client_free_s = max(self.client_free_s, self.env.now) + self.costs.coefficients.request_s
        yield self.env.timeout(self.client_free_s - self.env.now)
        yield resident.server.submit(row)
        for kind, start_s, end_s in (
            ("prefill", row.prefill_start_s, row.first_token_s),
            ("decode", row.first_token_s, row.finish_s),
        ):
            self.result.activities.append(ActivityRow(name, kind, start_s, end_s, request.id))

    def _note_memory(self) -> None:
        mapped = {self.plan.instance(name).model: resident.cost.memory.mapped for name, resident in self.residents.items()}
        used = sum(mapped.values()) + sum(resident.cost.memory.private for resident in self.residents.values())
        self.result.states.append(StateRow(self.env.now, "memory", used, self.memory_capacity_bytes))
