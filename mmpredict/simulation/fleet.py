"""The servers of a plan in one simulated run: loading, serving, unloading, and what memory they take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import simpy

from mmpredict.cost.memory import Touched
from mmpredict.cost.server_cost import MachineCosts, ServerCost
from mmpredict.models.cache import cache_bytes
from mmpredict.models.spec import ModelSpec
from mmpredict.results.columns import ActivityRow, StateRow
from mmpredict.results.records import Records
from mmpredict.simulation.job import Job
from mmpredict.simulation.machine import Activity, Machine
from mmpredict.simulation.page_cache import PageCache
from mmpredict.simulation.paging import Paging
from mmpredict.simulation.passes import split_of
from mmpredict.simulation.plan import InstancePlan
from mmpredict.simulation.rewind import rewind_of
from mmpredict.simulation.server import LlamaServer

State = Literal["unloaded", "loading", "ready", "unloading"]


class Instance:
    """One planned server.

    Attributes:
        plan: its options.
        state: what it is doing.
        server: while it is ready.
        in_flight: requests sent and not finished [1].
        opened_s: when it was last asked for [s].
        ready_s: when it was last ready [s].
        used_s: when a request was last sent to it, or it was loaded [s].
        ready: fires when its present load is done.
        cause: why it was last loaded or unloaded.
    """

    __slots__ = ("cause", "cost", "in_flight", "loading", "opened_s", "plan", "ready", "ready_s", "server", "state", "used_s")

    def __init__(self, plan: InstancePlan) -> None:
        self.plan = plan
        self.state: State = "unloaded"
        self.cost: ServerCost | None = None
        self.server: LlamaServer | None = None
        self.loading: Activity | None = None
        self.ready: Any = None
        self.in_flight = 0
        self.opened_s = 0.0
        self.ready_s = 0.0
        self.used_s = 0.0
        self.cause = ""


class Fleet:
    """All servers of a plan.

    Args:
        env: SimPy environment.
        plans: options of every server.
        specs: model name → model.
        costs: of the machine, with the luck of this run.
        machine: where they run.
        capacity_bytes: memory that servers and page cache share, for the records [bytes].
        cached: models whose files are in the page cache at the beginning.
        touched: server → what its requests use of its memory; what is missing counts in full.
        records: where rows go.
        timeline: whether every request leaves rows of its activities.
        paging: what it costs to use more memory than there is, where servers may.
    """

    def __init__(
        self,
        env: simpy.Environment,
        plans: tuple[InstancePlan, ...],
        specs: Mapping[str, ModelSpec],
        costs: MachineCosts,
        machine: Machine,
        capacity_bytes: float,
        cached: frozenset[str],
        touched: Mapping[str, Touched],
        records: Records,
        timeline: bool = True,
        paging: Paging | None = None,
    ) -> None:
        self.env = env
        self.machine = machine
        self.instances = {plan.name: Instance(plan) for plan in plans}
        self.capacity_bytes = capacity_bytes
        self.finished: Callable[[Job, Instance], None] = lambda job, instance: None
        self._specs = specs
        self._costs = costs
        self._touched = touched
        self._records = records
        self._timeline = timeline
        self._pages = PageCache({name: specs[name].weight_bytes for name in cached})
        self._paging = paging
        self._client_free_s = 0.0
        self._in_transit = 0

    def cost(self, name: str) -> ServerCost:
        """Costs of a server."""
        instance = self.instances[name]
        if instance.cost is None:
            plan = instance.plan
            instance.cost = self._costs.instance(
                self._specs[plan.model], plan.threads, plan.spincount, plan.cache, self._touched.get(name), plan.gpu_layers
            )
            if self._paging is not None:
                instance.cost.prices = self._paging.prices(name, instance.cost.prices)
        return instance.cost

    def needs_bytes(self, name: str) -> float:
        """Main memory of a server alone [bytes]."""
        return self.cost(name).memory.total

    def spec(self, name: str) -> ModelSpec:
        """Model of a server."""
        return self._specs[self.instances[name].plan.model]

    def change(self, plan: InstancePlan) -> None:
        """Give the server of that name, which is not loaded, other options."""
        instance = self.instances[plan.name]
        if plan != instance.plan:
            instance.plan, instance.cost = plan, None

    def load(self, name: str, stacked: bool = False, cause: str = "") -> Any:
        """Begin to load a server, and say why; the event returned fires when it is ready."""
        instance = self.instances[name]
        instance.cause = cause
        cost = self.cost(name)
        cost.stacked = stacked
        model, now_s = instance.plan.model, self.env.now
        cold = not self._pages.has(model)
        solo_s = cost.load_s(cold)
        instance.state, instance.ready, instance.opened_s = "loading", self.env.event(), now_s
        instance.loading = self.machine.start(cost.load_demand(solo_s, cold), lambda activity: self._loaded(instance, activity))
        return instance.ready

    def abort(self, name: str) -> None:
        """Kill a server that is loading."""
        instance = self.instances[name]
        assert instance.loading is not None
        self.machine.cancel(instance.loading)
        self._records.activities.append(ActivityRow(name, "load", instance.loading.started_s, self.env.now, cause=instance.cause))
        instance.state, instance.loading = "unloaded", None

    def unload(self, name: str, takes_s: float = 0.0, cause: str = "") -> Any:
        """End a server that serves nobody, and say why; the event returned fires when it is gone."""
        instance = self.instances[name]
        instance.state, instance.server = "unloading", None
        start_s, gone = self.env.now, self.env.event()

        def end(_: Any = None) -> None:
            instance.state = "unloaded"
            self._records.activities.append(ActivityRow(name, "unload", start_s, self.env.now, slowdown=1.0, cause=cause))
            self._note_memory()
            gone.succeed()

        if takes_s > 0.0:
            self.env.timeout(takes_s).callbacks.append(end)
        else:
            end()
        return gone

    def send(self, job: Job, name: str) -> None:
        """Send a request to a server that is ready."""
        instance = self.instances[name]
        row, now_s = job.row, self.env.now
        row.instance = name
        row.dispatched_s = instance.used_s = now_s
        instance.in_flight += 1
        delay_s = self._costs.latency_s
        if self._costs.request_s > 0.0:
            # One client prepares and sends its requests one after another, so none reaches its server at the same moment.
            self._client_free_s = max(self._client_free_s, now_s) + self._costs.request_s
            delay_s += self._client_free_s - now_s
        self._in_transit += 1
        if delay_s > 0.0:
            self.env.timeout(delay_s).callbacks.append(lambda _: self._submit(instance, job))
        else:
            self._submit(instance, job)

    @property
    def used_bytes(self) -> float:
        """Main memory of all servers together; pages of one file, and of the program, count once [bytes]."""
        costs = {name: self.cost(name) for name, instance in self.instances.items() if instance.state in ("ready", "unloading")}
        mapped = {self.spec(name).file: cost.memory.mapped for name, cost in costs.items()}
        own = sum(cost.memory.private - cost.program_bytes for cost in costs.values())
        return sum(mapped.values()) + own + max((cost.program_bytes for cost in costs.values()), default=0.0)

    @property
    def device_bytes(self) -> float:
        """A GPU's own memory of all servers together [bytes]."""
        resident = [name for name, instance in self.instances.items() if instance.state in ("ready", "unloading")]
        return sum(self.cost(name).device_bytes for name in resident)

    def _submit(self, instance: Instance, job: Job) -> None:
        assert instance.server is not None
        # An idle server wakes when a core is free for it; what comes meanwhile shares the first batch.
        crowd = max(1.0, (self.machine.threads + self._in_transit) / self.machine.cores)
        self._in_transit -= 1
        instance.server.submit(job, self._costs.lateness() * self._costs.request_s * crowd)

    def _loaded(self, instance: Instance, activity: Activity) -> None:
        plan, now_s = instance.plan, self.env.now
        cost, spec = self.cost(plan.name), self._specs[plan.model]
        instance.server = LlamaServer(
            self.env,
            self.machine,
            cost,
            plan.slots,
            plan.batch_tokens,
            split_of(spec.shape, plan.unified),
            lambda job: self._done(instance, job),
            plan.prompt_store_bytes * plan.context_tokens / cache_bytes(spec.shape, plan.cache) if plan.prompt_store_bytes else 0.0,
            rewind_of(spec.shape, plan.cache),
        )
        instance.state, instance.loading, instance.ready_s = "ready", None, now_s
        instance.used_s = now_s
        self._pages.read(plan.model, spec.weight_bytes)
        solo_s = activity.demand.solo_s
        slowdown = (now_s - activity.started_s) / solo_s if solo_s else 1.0
        self._records.activities.append(
            ActivityRow(plan.name, "load", activity.started_s, now_s, slowdown=slowdown, cause=instance.cause)
        )
        self._note_memory()
        instance.ready.succeed()

    def _done(self, instance: Instance, job: Job) -> None:
        instance.in_flight -= 1
        if self._timeline:
            row, name = job.row, instance.plan.name
            self._records.activities += (
                ActivityRow(name, "prefill", row.prefill_start_s, row.first_token_s, row.request, row.prefill_slowdown),
                ActivityRow(name, "decode", row.first_token_s, row.finish_s, row.request, row.decode_slowdown),
            )
        self.finished(job, instance)

    def _note_memory(self) -> None:
        used = self.used_bytes
        self._pages.shrink(self.capacity_bytes - used)
        self._records.states.append(StateRow(self.env.now, "memory", used, self.capacity_bytes))
        if self._paging is not None:
            resident = [name for name, instance in self.instances.items() if instance.state in ("ready", "unloading")]
            self._paging.settle({name: self.needs_bytes(name) for name in resident}, used, self.env.now)
