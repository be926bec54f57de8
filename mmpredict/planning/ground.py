"""What does not change from plan to plan: requests, models, the machine and its limits; and what is known of the machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from mmpredict.cost.contention import Sharing
from mmpredict.cost.memory import Touched
from mmpredict.cost.server_cost import CostSource, MachineCosts, ServerCost
from mmpredict.models.cache import CacheOptions
from mmpredict.models.spec import ModelSpec
from mmpredict.planning.energy import Power
from mmpredict.planning.goals import Limits
from mmpredict.planning.outcome import deadlines_of
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.site import Site
from mmpredict.workload.request import Workload


class Costing(Protocol):
    """Knows what the servers of a plan cost on a machine.

    Attributes:
        common: whether one source answers for all plans, so that what it says of a server can be kept from plan to plan.
    """

    @property
    def common(self) -> bool:
        """See the class."""

    def source(self, plan: Plan, specs: Mapping[str, ModelSpec], workload: Workload) -> CostSource:
        """What is known of the servers of a plan.

        Raises:
            DoesNotFitError: they do not fit.
            InputError: they cannot run on the machine.
        """


@dataclass(frozen=True)
class Ground:
    """One question, whatever the plan.

    Attributes:
        workload: requests.
        specs: file type that all models are taken to have, or empty for their own → model name → model.
        costing: of the machine.
        limits: what a plan must keep to.
        capacity_bytes: main memory of the machine [bytes].
        sites: whether servers run on a GPU → memories of the machine.
        cold: whether model files must be read from storage at first.
        power: what the machine draws; None where its profile does not say.
    """

    workload: Workload
    specs: Mapping[str, Mapping[str, ModelSpec]]
    costing: Costing
    limits: Limits
    capacity_bytes: float
    sites: Mapping[bool, Site]
    cold: bool = False
    power: Power | None = None

    @cached_property
    def deadlines_s(self) -> dict[str, float]:
        """Request → deadline [s after arrival]."""
        return deadlines_of(self.workload)


_Key = tuple[str, int, int | None, CacheOptions, Touched | None, int | None]


@dataclass
class Kept:
    """Costs of servers at one draw, kept while they are the same from plan to plan."""

    servers: dict[_Key, ServerCost] = field(default_factory=dict)


class KeptCosts:
    """Costs of a machine that answer from what was found out before (see ``MachineCosts``).

    Args:
        costs: of one simulation run, with luck of its own where that passes from request to request.
        kept: what was found out with the same draw.
    """

    def __init__(self, costs: MachineCosts, kept: Kept) -> None:
        self._costs, self._kept = costs, kept
        self.sharing: Sharing = costs.sharing
        self.request_s: float = costs.request_s
        self.latency_s: float = costs.latency_s
        self.lateness: Callable[[], float] = costs.lateness

    def instance(
        self,
        spec: ModelSpec,
        threads: int,
        spincount: int | None,
        options: CacheOptions,
        touched: Touched | None = None,
        gpu_layers: int | None = None,
    ) -> ServerCost:
        """See ``MachineCosts``; a copy, because a run marks it, whose prices are common."""
        key = (spec.name, threads, spincount, options, touched, gpu_layers)
        found = self._kept.servers.get(key)
        if found is None:
            found = self._costs.instance(spec, threads, spincount, options, touched, gpu_layers)
            self._kept.servers[key] = found
        return copy(found)

    def stacked(self, spinning: Sequence[str]) -> set[str]:
        """See ``MachineCosts``."""
        return self._costs.stacked(spinning)
