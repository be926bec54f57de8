"""The same question on a machine, or with requests, that are a little different: what would change the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mmpredict.cost.draw import Draw
from mmpredict.cost.memory import Touched
from mmpredict.cost.scaled import ScaledServer
from mmpredict.cost.server_cost import CostSource, MachineCosts, ServerCost
from mmpredict.models.cache import CacheOptions
from mmpredict.models.spec import ModelSpec
from mmpredict.planning.ground import Costing, Ground
from mmpredict.simulation.plan import Plan
from mmpredict.workload.request import Workload


def slower_arrivals(ground: Ground, factor: float) -> Ground:
    """Requests that come ``factor`` times as far apart."""
    requests = tuple(
        replace(request, arrival_s=factor * request.arrival_s, delay_s=factor * request.delay_s)
        for request in ground.workload.requests
    )
    return replace(ground, workload=Workload(requests))


def arrives_over_time(ground: Ground) -> bool:
    """Whether requests come at different times, so that their rate means something."""
    return any(request.arrival_s or request.delay_s for request in ground.workload.requests)


def slower_machine(ground: Ground, steps: float = 1.0, loads: float = 1.0) -> Ground:
    """Prompts and tokens take ``steps`` times as long, loads ``loads`` times."""
    return replace(ground, costing=SlowerCosting(ground.costing, steps, loads))


def other_memory(ground: Ground, factor: float) -> Ground:
    """``factor`` times the memory."""
    limits = replace(ground.limits, memory_bytes=factor * ground.limits.memory_bytes)
    sites = {
        on_gpu: replace(site, usable_bytes=factor * site.usable_bytes, gpu_bytes=factor * site.gpu_bytes)
        for on_gpu, site in ground.sites.items()
    }
    return replace(ground, limits=limits, sites=sites, capacity_bytes=factor * ground.capacity_bytes)


@dataclass(frozen=True)
class SlowerCosting:
    """A machine whose steps and loads take longer or shorter (see ``Costing``)."""

    costing: Costing
    steps: float
    loads: float

    @property
    def common(self) -> bool:
        """See ``Costing``."""
        return self.costing.common

    def source(self, plan: Plan, specs: Mapping[str, ModelSpec], workload: Workload) -> CostSource:
        """See ``Costing``."""
        return SlowerSource(self.costing.source(plan, specs, workload), self.steps, self.loads)


class SlowerSource:
    """See ``SlowerCosting`` and ``CostSource``."""

    def __init__(self, source: CostSource, steps: float, loads: float) -> None:
        self._source, self._steps, self._loads = source, steps, loads
        self.cores, self.on_cpu, self.provenance = source.cores, source.on_cpu, source.provenance

    def costs(self, draw: Draw) -> MachineCosts:
        """See ``CostSource``."""
        return SlowerCosts(self._source.costs(draw), self._steps, self._loads)

    def doubts(self, specs: Sequence[ModelSpec], several: bool) -> tuple[str, ...]:
        """See ``CostSource``."""
        return self._source.doubts(specs, several)


class SlowerCosts:
    """See ``SlowerCosting`` and ``MachineCosts``."""

    def __init__(self, costs: MachineCosts, steps: float, loads: float) -> None:
        self._costs, self._steps, self._loads = costs, steps, loads
        self.sharing, self.request_s, self.latency_s, self.lateness = (
            costs.sharing,
            costs.request_s,
            costs.latency_s,
            costs.lateness,
        )

    def instance(
        self,
        spec: ModelSpec,
        threads: int,
        spincount: int | None,
        options: CacheOptions,
        touched: Touched | None = None,
        gpu_layers: int | None = None,
    ) -> ServerCost:
        """See ``MachineCosts``."""
        server = self._costs.instance(spec, threads, spincount, options, touched, gpu_layers)
        return ScaledServer(server, self._steps, self._loads)

    def stacked(self, spinning: Sequence[str]) -> set[str]:
        """See ``MachineCosts``."""
        return self._costs.stacked(spinning)
