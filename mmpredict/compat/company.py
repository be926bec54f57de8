"""Models that run together by a strategy: planned within the limits, simulated, and measured in the simulated run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mmpredict.compat.company_costs import CompanySource
from mmpredict.compat.contention import Slowdowns, StatedContention
from mmpredict.compat.model_config import ModelConfig
from mmpredict.compat.platform import Placed, Platform, Seat
from mmpredict.compat.servers import Adjustment, Stated
from mmpredict.compat.sharing_table import SharingTable
from mmpredict.compat.work import Work, member
from mmpredict.cost.draw import Draw
from mmpredict.cost.server_cost import MachineCosts, ServerCost
from mmpredict.errors import DoesNotFitError, InputError
from mmpredict.models.spec import ModelSpec
from mmpredict.results.prediction import Prediction
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.simulation.repeat import predict_plan
from mmpredict.simulation.run import simulate
from mmpredict.strategy.options import divide_threads
from mmpredict.strategy.table import make_plan
from mmpredict.strategy.tensor_sharing import TensorSharing, tensor_sharing, together_bytes
from mmpredict.workload.request import Workload


@dataclass(frozen=True, slots=True)
class Asked:
    """A model and its batch.

    Attributes:
        config: as it was asked for.
        spec: the model.
        work: its batch.
        kind: the guide's word for what it is.
        adjustment: what somebody else states of it.
        stated: all that is known of it, where the model is not.
    """

    config: ModelConfig
    spec: ModelSpec
    work: Work
    kind: str
    adjustment: Adjustment = field(default_factory=Adjustment)
    stated: Stated | None = None

    @property
    def label(self) -> str:
        """Its name in the company."""
        return self.config.label


@dataclass(frozen=True, slots=True)
class Played:
    """A strategy, played.

    Attributes:
        plan: what ran.
        prediction: its runs.
        slowdowns: what company cost.
        memory_bytes: largest memory of models that are resident together, as stated tables have it [bytes].
        sharing: what they share physically.
        table_pairs: pairs that share by a stated table.
        adjustments: label → what a stated table leaves of it.
        waited_for: label → members that had to be gone before there was memory for it.
        slower: label → placed where a pass takes longer than alone.
    """

    plan: Plan
    prediction: Prediction
    slowdowns: Slowdowns
    memory_bytes: float
    sharing: TensorSharing
    table_pairs: tuple[tuple[str, str], ...]
    adjustments: Mapping[str, Adjustment]
    waited_for: Mapping[str, tuple[str, ...]]
    slower: frozenset[str]


@dataclass(frozen=True, slots=True)
class Company:
    """Models on a platform.

    Attributes:
        asked: the models, in the order given.
        platform: where they run.
        contention: parameters that are stated instead of measured.
        table: what types of models share, as stated.
        one_page: whether all models live in one page of a browser, which has its GPU process once.
        loading: whether loading counts.
    """

    asked: tuple[Asked, ...]
    platform: Platform
    contention: StatedContention | None = None
    table: SharingTable | None = None
    one_page: bool = False
    loading: bool = True

    def play(self, strategy: str, draws: int, alone_s: Mapping[str, float] | None = None) -> Played:
        """Plan and simulate a strategy.

        Args:
            strategy: its name.
            draws: simulations behind the intervals [1].
            alone_s: label → how long its batch takes alone, which decides who shares a group [s].

        Raises:
            UnknownNameError: no such strategy.
            DoesNotFitError: a model does not fit, even alone.
            InputError: a strategy that loads models when they are asked for; see ``Platform.place``.
        """
        of_label = {one.label: one for one in self.asked}
        intended = make_plan(strategy, self._ordered(strategy, alone_s or {}), self.platform.cores)
        if intended.on_demand:
            raise InputError(
                f"strategy {strategy!r} loads models when they are asked for, but a batch asks for all at once; use sequential"
            )
        instances: list[InstancePlan] = []
        groups: list[list[Placed]] = []
        waited_for: dict[str, tuple[str, ...]] = {}
        for stage in intended.stages:
            planned = [intended.instance(name) for name in stage.instances]
            packed = self._packed([(of_label[one.name], one) for one in planned])
            before: tuple[str, ...] = ()
            for group in packed:
                names = [placed.seat.plan.name for placed in group]
                waited_for |= dict.fromkeys(names, before) if before else {}
                before = (*before, *names)
            groups += packed
            instances += [placed.seat.plan for group in packed for placed in group]
        plan = Plan(strategy, tuple(instances), tuple(Stage(tuple(one.seat.plan.name for one in group)) for group in groups))
        return self._simulated(plan, groups, draws, waited_for)

    def here_s(self, played: Played, label: str) -> float:
        """How long a model's batch takes alone on the machine in the place that it has in a company [s]."""
        of_label = {one.label: one for one in self.asked}
        stage = next(stage for stage in played.plan.stages if label in stage.instances)
        group = self._must_fit([(of_label[name], played.plan.instance(name)) for name in stage.instances])
        [mine] = [placed for placed in group if placed.seat.plan.name == label]
        plan = Plan("alone", (mine.seat.plan,), (Stage((label,)),))
        source = replace(self._source([group]), loading=False)
        workload = Workload(tuple(of_label[label].work.requests(label)))
        records = simulate(plan, workload, {label: mine.seat.spec}, source.costs(Draw()), self.platform.ram_bytes)
        return max(row.finish_s for row in records.requests)

    def _ordered(self, strategy: str, alone_s: Mapping[str, float]) -> list[str]:
        """Labels in the order in which a strategy takes them: as given where they run one by one, else whatever was given."""
        if strategy == "sequential":
            return [one.label for one in self.asked]
        return [one.label for one in sorted(self.asked, key=lambda one: (-alone_s.get(one.label, 0.0), one.label))]

    def _packed(self, planned: Sequence[tuple[Asked, InstancePlan]]) -> list[list[Placed]]:
        """Models that are to be resident together, in as few groups as memory allows: the largest first, each where it fits."""
        whole = self._placed(planned)
        if whole is not None:
            return [whole]
        groups: list[list[tuple[Asked, InstancePlan]]] = []
        for one in sorted(planned, key=lambda one: (-self._alone_bytes(one), one[0].label)):
            for group in groups:
                if self._placed([*group, one]) is not None:
                    group.append(one)
                    break
            else:
                groups.append([one])
        return [self._must_fit(group) for group in groups]

    def _placed(self, group: Sequence[tuple[Asked, InstancePlan]]) -> list[Placed] | None:
        try:
            return self._must_fit(group)
        except (DoesNotFitError, InputError):  # or nothing is known of the processor that takes what is too much
            return None

    def _must_fit(self, group: Sequence[tuple[Asked, InstancePlan]]) -> list[Placed]:
        threads = [plan.threads for _, plan in group]
        if sum(threads) <= self.platform.cores:  # a strategy that divides the cores: among those that are there
            threads = divide_threads(self.platform.cores, len(group))
        on_gpu = sum(one.config.processor != "cpu" for one, _ in group) if self.platform.on_gpu else 0
        room = max(1, self.platform.cores - on_gpu)  # a server that drives the GPU keeps a core
        threads = [min(count, room) for count in threads]
        seats = [
            Seat(
                member(one.spec, one.label),
                one.work.instance(one.label, count, plan.spincount),
                one.config.processor,
                one.stated,
            )
            for (one, plan), count in zip(group, threads, strict=True)
        ]
        placed = self.platform.place(seats)
        self.platform.check_own(", ".join(seat.plan.name for seat in seats), self._together_bytes(placed))
        return placed

    def _alone_bytes(self, one: tuple[Asked, InstancePlan]) -> float:
        return self._together_bytes(self._must_fit([one]))

    def _together_bytes(self, placed: Sequence[Placed]) -> float:
        costs = self._source([placed]).costs(Draw())
        return together_bytes([(one.seat.spec.file, _instance(costs, one)) for one in placed])[0]

    def _source(self, groups: Sequence[Sequence[Placed]], table: bool = True) -> CompanySource:
        kind_of = {one.label: one.kind for one in self.asked}
        adjustments = {one.label: one.adjustment for one in self.asked}
        if table and self.table is not None:
            for group in groups:
                for label, left in self.table.adjustments([(p.seat.plan.name, kind_of[p.seat.plan.name]) for p in group]).items():
                    adjustments[label] *= left
        return CompanySource(
            self.platform.source(groups),
            {placed.seat.plan.name: placed for group in groups for placed in group},
            adjustments,
            self.platform.cores,
            self.contention,
            self.platform.context_bytes if self.one_page else 0.0,
            self.loading,
        )

    def _simulated(
        self, plan: Plan, groups: Sequence[Sequence[Placed]], draws: int, waited_for: Mapping[str, tuple[str, ...]]
    ) -> Played:
        source = self._source(groups)
        specs: dict[str, ModelSpec] = {one.seat.plan.name: one.seat.spec for group in groups for one in group}
        workload = Workload(tuple(request for one in self.asked for request in one.work.requests(one.label)))
        capacity = self.platform.ram_bytes
        slowdowns = Slowdowns(source.costs(Draw()).sharing)
        simulate(plan, workload, specs, source.costs(Draw()), capacity, watch=slowdowns)
        kind_of = {one.label: one.kind for one in self.asked}
        pairs = [
            pair
            for group in groups
            for pair in (self.table.pairs([(p.seat.plan.name, kind_of[p.seat.plan.name]) for p in group]) if self.table else ())
        ]
        alone = {one.label: self._pace_alone(one, groups) for one in self.asked}
        return Played(
            plan=plan,
            prediction=predict_plan(plan, workload, specs, source, math.inf, draws, capacity_bytes=capacity),
            slowdowns=slowdowns,
            memory_bytes=max(self._together_bytes(group) for group in groups),
            sharing=tensor_sharing(plan, specs, self._source(groups, table=False).costs(Draw())),
            table_pairs=tuple(pairs),
            adjustments=source.adjustments,
            waited_for=waited_for,
            slower=frozenset(p.seat.plan.name for group in groups for p in group if p.pace_s > alone[p.seat.plan.name] * 1.001),
        )

    def _pace_alone(self, one: Asked, groups: Sequence[Sequence[Placed]]) -> float:
        """What a pass takes where the model has the machine to itself [s]."""
        seat = next(p.seat for group in groups for p in group if p.seat.plan.name == one.label)
        return self.platform.place([seat])[0].pace_s


def _instance(costs: MachineCosts, placed: Placed) -> ServerCost:
    plan = placed.seat.plan
    return costs.instance(placed.seat.spec, plan.threads, plan.spincount, plan.cache)
