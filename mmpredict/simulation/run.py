"""Simulating a plan: requests meet its servers on one shared machine."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import simpy

from mmpredict.cost.memory import Touched
from mmpredict.cost.server_cost import MachineCosts
from mmpredict.errors import InputError, MmpredictError
from mmpredict.models.spec import ModelSpec
from mmpredict.results.columns import RequestRow, StateRow
from mmpredict.results.records import Records
from mmpredict.results.request_table import RequestTable
from mmpredict.simulation.dispatch import ContextCheck, assign, check_context, check_order, instance_for, serving, touched_by
from mmpredict.simulation.fleet import Fleet, Instance
from mmpredict.simulation.fronts.front import Front
from mmpredict.simulation.fronts.setting import Setting
from mmpredict.simulation.fronts.table import FRONTS
from mmpredict.simulation.job import Job
from mmpredict.simulation.machine import Machine, Watch
from mmpredict.simulation.paging import Paging
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.site import Site
from mmpredict.simulation.source import Source
from mmpredict.workload.request import Request, Workload


def simulate(
    plan: Plan,
    workload: Workload,
    specs: Mapping[str, ModelSpec],
    costs: MachineCosts,
    memory_capacity_bytes: float,
    cold: bool = False,
    site: Site | None = None,
    watch: Watch | None = None,
) -> Records:
    """Simulate one run of a plan.

    Args:
        plan: instances and stages.
        workload: requests.
        specs: model name → model, for every model of the plan.
        costs: cost model of the machine, with the luck of this run.
        memory_capacity_bytes: what the instances may use together, for the records [bytes].
        cold: whether model files must be read from storage at first.
        site: memories of the machine, as servers that load on demand see them; a CPU's of that capacity when not given.
        watch: told of every change of what runs at the same time.

    Raises:
        InputError: a request asks for a model that the plan does not serve, or the plan cannot run on the machine.
    """
    instance_of = assign(plan, workload)
    check_context(plan, workload, instance_of)
    check_order(plan, workload, instance_of)
    prompts: dict[str, list[int]] = {instance.name: [] for instance in plan.instances}
    for request in workload.requests:
        prompts[instance_of[request.id]].append(request.prompt_tokens)
    touched = {name: touched_by(plan.instance(name), mine) for name, mine in prompts.items()}
    run = _Run(plan, specs, costs, memory_capacity_bytes, cold, site or Site(memory_capacity_bytes), watch=watch)
    follow = any(request.after for request in workload.requests)
    run.through(workload.requests, Counter(instance_of.values()), touched, run.result.requests.append, follow)
    run.result.states += _states(run.machine)
    return run.result.sort()


def _states(machine: Machine) -> Iterator[StateRow]:
    """What was in use of each resource that the run used at all."""
    for resource, capacity in (("cores", machine.cores), ("gpu", 1.0), ("bandwidth", 1.0)):
        if any(getattr(use, resource) for _, use in machine.use_log):
            yield from (StateRow(time_s, resource, getattr(use, resource), capacity) for time_s, use in machine.use_log)


def simulate_stream(
    plan: Plan,
    requests: Iterable[Request],
    specs: Mapping[str, ModelSpec],
    costs: MachineCosts,
    memory_capacity_bytes: float,
    cold: bool = False,
    follow: bool = False,
    site: Site | None = None,
) -> RequestTable:
    """Simulate requests that are too many to keep: they are read as they arrive, and only their numbers remain.

    Args:
        plan: instances, all in one stage.
        requests: in order of arrival.
        specs, costs, memory_capacity_bytes, cold, site: see ``simulate``.
        follow: whether requests may wait for others (``Request.after``), which keeps a hundred bytes of each.

    Raises:
        InputError: the plan has several stages; a request asks for a model that it does not serve, does not fit, or waits for
            another without ``follow``.
    """
    if len(plan.stages) != 1:
        raise InputError(f"plan {plan.strategy!r} has {len(plan.stages)} stages; a stream of requests never ends one")
    table = RequestTable()
    run = _Run(plan, specs, costs, memory_capacity_bytes, cold, site or Site(memory_capacity_bytes), detail=False)
    check, of_model = ContextCheck(plan), serving(plan)

    def checked() -> Iterable[Request]:
        for request in requests:
            check.add(request, instance_for(request, of_model, plan.strategy))
            yield request

    run.through(checked(), None, {}, table.add, follow)
    return table


@dataclass(slots=True)
class _Run:
    plan: Plan
    specs: Mapping[str, ModelSpec]
    costs: MachineCosts
    memory_capacity_bytes: float
    cold: bool
    site: Site
    detail: bool = True
    watch: Watch | None = None
    env: Any = field(default_factory=simpy.Environment)
    result: Records = field(default_factory=lambda: Records("simulated"))
    machine: Machine = field(init=False)
    front: Front = field(init=False)
    source: Source = field(init=False)
    keep: Callable[[RequestRow], None] = field(init=False)
    ended: int = 0

    def through(
        self,
        requests: Iterable[Request],
        expected: Mapping[str, int] | None,
        touched: Mapping[str, Touched],
        keep: Callable[[RequestRow], None],
        follow: bool,
    ) -> None:
        """Run until every request has ended; ``expected``: how many each instance will get, where that is known."""
        self.keep = keep
        self.machine = Machine(self.env, self.costs.sharing, log=self.detail, watch=self.watch)
        cached = frozenset() if self.cold else frozenset(instance.model for instance in self.plan.instances)
        fleet = Fleet(
            self.env,
            self.plan.instances,
            self.specs,
            self.costs,
            self.machine,
            self.memory_capacity_bytes,
            cached,
            touched,
            self.result,
            self.detail,
            Paging(self.site, self.result) if self.plan.on_demand and self.site.swap_bytes_per_s else None,
        )
        fleet.finished = self._finished
        self.front = FRONTS[self.plan.serving.rules](
            Setting(self.env, fleet, self.plan, self.costs, self.site, self.result, self.detail, expected, self._end)
        )
        self.front.open()
        self.source = Source(self.env, requests, self._arrive, follow)
        collecting = gc.isenabled()
        gc.disable()  # no request refers to itself, and looking for such takes longer than the simulation
        try:
            self.env.run()
            while self.ended != self.source.arrived or self.source.waiting:
                before = self.ended
                self.front.close()
                self.env.run()
                if self.ended == before:
                    raise MmpredictError(
                        f"plan {self.plan.strategy!r}: the simulation stopped before its last request; this is a defect"
                    )
        finally:
            if collecting:
                gc.enable()

    def _arrive(self, request: Request, arrival_s: float) -> None:
        row = RequestRow(request.id, request.model, "", arrival_s, request.prompt_tokens, request.output_tokens)
        if request.deadline_s is not None:
            row.deadline_s = request.deadline_s
        wishes = (request.session, request.shared_tokens, request.keep_alive_s, request.context_tokens, request.priority)
        self.front.arrive(Job(row, *wishes))

    def _finished(self, job: Job, instance: Instance) -> None:
        self.front.finished(job, instance)
        self._end(job)

    def _end(self, job: Job) -> None:
        self.ended += 1
        self.keep(job.row)
        self.source.finished(job.row.request)
        if self.source.exhausted and self.ended == self.source.arrived:
            self.front.close()
