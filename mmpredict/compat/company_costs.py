"""Costs of a company's own servers, in the places that they have, on the machine of another source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from mmpredict.compat.contention import StatedContention
from mmpredict.compat.platform import Placed
from mmpredict.compat.servers import Adjustment
from mmpredict.cost.contention import Contention, Sharing
from mmpredict.cost.draw import Draw
from mmpredict.cost.memory import Touched
from mmpredict.cost.scaled import ScaledServer
from mmpredict.cost.server_cost import CostSource, MachineCosts, ServerCost
from mmpredict.errors import MmpredictError
from mmpredict.models.cache import CacheOptions
from mmpredict.models.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class CompanySource:
    """Costs of a company (see ``CostSource``): its own servers on the machine of another source.

    Attributes:
        base: what is known of the machine.
        placed: label → member in its place.
        adjustments: label → what is stated of it.
        cores: that may be used [1].
        contention: stated parameters.
        once_bytes: what every server has that is there once [bytes].
        loading: whether loads take time.
    """

    base: CostSource
    placed: Mapping[str, Placed]
    adjustments: Mapping[str, Adjustment]
    cores: int
    contention: StatedContention | None
    once_bytes: float
    loading: bool

    @property
    def on_cpu(self) -> bool:
        """See ``CostSource``."""
        return self.base.on_cpu

    @property
    def provenance(self) -> tuple[str, ...]:
        """See ``CostSource``."""
        return self.base.provenance

    def costs(self, draw: Draw) -> MachineCosts:
        """Costs of one run."""
        return CompanyCosts(self, self.base.costs(draw), draw)

    def doubts(self, specs: Sequence[ModelSpec], several: bool) -> tuple[str, ...]:
        """See ``CostSource``."""
        return self.base.doubts([spec for spec in specs if spec.tensors], several)


class CompanyCosts:
    """Costs of a company in one run (see ``MachineCosts``): batches are handed over at once, by nobody's network.

    Args:
        source: the company.
        base: costs of the machine.
        draw: the run's luck.
    """

    def __init__(self, source: CompanySource, base: MachineCosts, draw: Draw) -> None:
        self._source, self._base, self._draw = source, base, draw
        shared = base.sharing
        if isinstance(shared, Contention):
            shared = replace(shared, cores=source.cores)
        self.sharing: Sharing = source.contention.applied(shared) if source.contention else shared
        self.request_s = 0.0
        self.latency_s = 0.0
        self.lateness: Callable[[], float] = lambda: 0.0

    def instance(
        self,
        spec: ModelSpec,
        threads: int,
        spincount: int | None,
        options: CacheOptions,
        touched: Touched | None = None,
        gpu_layers: int | None = None,
    ) -> ServerCost:
        """Costs of one member's server, in the place that it has."""
        label = getattr(spec, "label", "")
        if label not in self._source.placed:
            raise MmpredictError(f"{spec.name} is no member of this company; this is a defect")
        made = self._source.placed[label].server(self._draw, self._base)
        stated = self._source.adjustments[label]
        server = ScaledServer(made, stated.time, 1.0 if self._source.loading else 0.0, stated.memory)
        server.program_bytes += min(self._source.once_bytes, server.memory.process - server.program_bytes)
        return server

    def stacked(self, spinning: Sequence[str]) -> set[str]:
        """See ``MachineCosts``."""
        return self._base.stacked(spinning)
