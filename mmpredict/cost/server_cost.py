"""What the simulator asks about a server and about its machine, wherever the numbers come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from mmpredict.cost.contention import Demand, Phase, Sharing
from mmpredict.cost.draw import Draw
from mmpredict.cost.memory import MemoryParts, Touched
from mmpredict.cost.prices import StepPrices
from mmpredict.models.cache import CacheOptions
from mmpredict.models.spec import ModelSpec


class ServerCost(Protocol):
    """What one server costs, alone on the machine, in one simulation run.

    Attributes:
        prices: of its steps.
        memory: what it takes of the machine's main memory.
        program_bytes: pages of program and libraries within that, which servers of one engine share [bytes].
        device_bytes: what it takes of a GPU's own memory [bytes].
        stacked: whether its threads fall onto one core in company.
        unload_s: from its end until its memory is free; 0 where nobody measured it [s].
    """

    prices: StepPrices
    memory: MemoryParts
    program_bytes: float
    device_bytes: float
    stacked: bool
    unload_s: float

    def load_s(self, cold: bool) -> float:
        """Time from process start to ready; ``cold``: the file comes from storage [s]."""

    def load_demand(self, solo_s: float, cold: bool) -> Demand:
        """What a load of ``solo_s``, of a file that comes from storage or not, asks of the machine."""

    def demand(self, phase: Phase, solo_s: float, passes: int, sequences: int) -> Demand:
        """What ``solo_s`` of work in ``passes`` passes through the model asks of the machine.

        Args:
            phase: what is done.
            solo_s: how long it takes alone [s].
            passes: through the model [1].
            sequences: sampled in each [1].
        """


class MachineCosts(Protocol):
    """Costs of every server of a machine, and what they cost each other, in one simulation run.

    Attributes:
        sharing: how activities slow each other.
        request_s: client and HTTP time per request, one request after another [s].
        lateness: gives a number of mean 1 for each request, or always 0: how late an idle server sees it, in requests [1].
        latency_s: what passes besides between sending a request and the server's seeing it, of each request for itself [s].
    """

    @property
    def sharing(self) -> Sharing:
        """See the class."""

    @property
    def request_s(self) -> float:
        """See the class."""

    @property
    def lateness(self) -> Callable[[], float]:
        """See the class."""

    @property
    def latency_s(self) -> float:
        """See the class."""

    def instance(
        self,
        spec: ModelSpec,
        threads: int,
        spincount: int | None,
        options: CacheOptions,
        touched: Touched | None = None,
        gpu_layers: int | None = None,
    ) -> ServerCost:
        """Costs of one server.

        Args:
            spec: its model.
            threads: its worker threads [1].
            spincount: its waiting rule (``GOMP_SPINCOUNT``), ``None`` for the runtime's default.
            options: context, slots, batch and cache.
            touched: what the requests use of its memory.
            gpu_layers: layers on a GPU; ``None``: as many as the server finds room for [1].

        Raises:
            InputError: it cannot run so on the machine.
        """

    def stacked(self, spinning: Sequence[str]) -> set[str]:
        """Which of several servers that spin while they wait get their threads stacked on one core when they compete."""


class CostSource(Protocol):
    """What is known of a machine: makes the costs of a simulation run from the run's luck.

    Attributes:
        cores: of the machine's CPU [1].
        on_cpu: whether servers work with threads of the CPU, so that how many there are and how they wait matters.
        provenance: what the numbers rest on, one sentence each.
    """

    @property
    def cores(self) -> int:
        """See the class."""

    @property
    def on_cpu(self) -> bool:
        """See the class."""

    @property
    def provenance(self) -> tuple[str, ...]:
        """See the class."""

    def costs(self, draw: Draw) -> MachineCosts:
        """Costs of one run."""

    def doubts(self, specs: Sequence[ModelSpec], several: bool) -> tuple[str, ...]:
        """What a reader should know before trusting predictions of these models; ``several``: of servers at the same time."""
