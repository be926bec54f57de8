"""The cost model of machines that were not calibrated: rates, the engine's own placement, and assumed sharing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmpredict.cost.contention import Demand, Phase, is_yielding
from mmpredict.cost.draw import Draw, draw_sharing
from mmpredict.cost.drawn_prices import DrawnPrices, SplitPrices
from mmpredict.cost.loading import LoadTime
from mmpredict.cost.memory import MemoryParts, Touched
from mmpredict.cost.prices import StepPrices
from mmpredict.cost.published_prices import PublishedPrices
from mmpredict.cost.rates.parameters import ProcessorClass
from mmpredict.cost.server_cost import MachineCosts, ServerCost
from mmpredict.cost.speed import NORMAL_80
from mmpredict.errors import MmpredictError
from mmpredict.models.cache import CacheOptions
from mmpredict.models.spec import ModelSpec

YIELDING_PRICE = 1.03
"""Time of a CPU server that yields while it waits ÷ one that spins, alone: 0 to 7 % on two machines of two cores (assumed)."""


@dataclass(frozen=True, slots=True)
class ServedPart:
    """What one processor does for a server.

    Attributes:
        kind: class of processor.
        prices: of its part of each step.
        pool_bytes_per_s: what the memory that it reads gives at best, to whoever reads fastest [bytes/s].
    """

    kind: ProcessorClass
    prices: PublishedPrices
    pool_bytes_per_s: float

    @property
    def greed(self) -> float:
        """Part of the memory's bandwidth that it takes while it reads [1]."""
        return min(1.0, self.prices.bandwidth_bytes_per_s / self.pool_bytes_per_s)


@dataclass(frozen=True, slots=True)
class Served:
    """A model as a server would run it on a machine.

    Attributes:
        spec: the model.
        threads: worker threads of the CPU [1].
        parts: the processors that do a step one after the other; the first one's logits are sampled.
        memory: what it takes of the main memory.
        program_bytes: of that, pages that servers of one engine share [bytes].
        device_bytes: what it takes of a GPU's own memory [bytes].
        memory_log_spread: how far both may be off [logarithm].
        warm, cold: load time, with the file in the page cache and on storage.
    """

    spec: ModelSpec
    threads: int
    parts: tuple[ServedPart, ...]
    memory: MemoryParts
    program_bytes: float
    device_bytes: float
    memory_log_spread: float
    warm: LoadTime
    cold: LoadTime


class PublishedServer:
    """What one server costs, alone on the machine, in one simulation run (see ``ServerCost``).

    Args:
        served: the server.
        spincount: its waiting rule; matters where the CPU works.
        draw: the run's luck.
        exclusive: whether the GPU belongs to one process at a time; otherwise others work while this one starts operations.
    """

    def __init__(self, served: Served, spincount: int | None, draw: Draw, exclusive: bool) -> None:
        name = served.spec.name
        self._served, self._draw, self._exclusive = served, draw, exclusive
        self._on_cpu = any(part.kind == "cpu" for part in served.parts)
        self._threads = served.threads if self._on_cpu else 1
        self._yielding = not self._on_cpu or is_yielding(spincount)
        price = YIELDING_PRICE if self._on_cpu and self._yielding and self._threads > 1 else 1.0
        drawn = [DrawnPrices(part.prices, draw, f"{name} on {part.kind}", price) for part in served.parts]
        self.prices: StepPrices = drawn[0] if len(drawn) == 1 else SplitPrices(drawn)
        scale = draw.factor(f"memory of {name}", served.memory_log_spread)
        self.memory = served.memory.scaled(scale)
        self.program_bytes = scale * served.program_bytes
        self.unload_s = 0.0
        self.device_bytes = scale * served.device_bytes
        self.stacked = False

    def load_s(self, cold: bool) -> float:
        """Time from process start to ready [s]."""
        time = self._served.cold if cold else self._served.warm
        return time.value * self._draw.factor(f"load of {self._served.spec.name}", time.log_halfwidth / NORMAL_80)

    def load_demand(self, solo_s: float, cold: bool) -> Demand:
        """See ``ServerCost``: one thread that copies the file."""
        disk = 1.0 - min(1.0, self._served.warm.value / self._served.cold.value) if cold else 0.0
        moved = self._served.spec.file_bytes / max(solo_s, 1e-9) / self._served.parts[-1].pool_bytes_per_s
        return Demand("load", 1, True, solo_s, 0.0, False, bandwidth=min(1.0, moved), disk=disk)

    def demand(self, phase: Phase, solo_s: float, passes: int, sequences: int) -> Demand:
        """See ``ServerCost``; the GPU rests while tokens are sampled, and while the CPU has its turn at a divided model."""
        parts = self._served.parts
        alone = [self._pass_s(part, phase, sequences) for part in parts]
        whole_s = sum(alone) or 1.0
        gpu = sum(seconds for part, seconds in zip(parts, alone, strict=True) if part.kind == "gpu") / whole_s
        if gpu:
            times = passes * sequences if phase == "decode" else sequences
            sampling = times * parts[0].prices.sampling_s / solo_s if solo_s else 0.0
            launching = (
                0.0 if self._exclusive else sum(self._launch_s(p, phase, sequences, s) for p, s in zip(parts, alone, strict=True))
            )
            gpu = max(_LEAST_BUSY, gpu - sampling - launching / whole_s)
        reads = sum(part.greed * self._read_s(part, phase, sequences, own) for part, own in zip(parts, alone, strict=True))
        return Demand(
            phase,
            self._threads,
            self._yielding,
            solo_s,
            float(passes * self._served.spec.shape.n_trunk_layers),
            False,
            gpu=gpu,
            quantum_s=solo_s / passes,
            bandwidth=min(1.0, reads / whole_s),
        )

    @staticmethod
    def _pass_s(part: ServedPart, phase: Phase, sequences: int) -> float:
        prices = part.prices
        return prices.decode_pass_s(sequences) if phase == "decode" else prices.batch_pass_s(prices.ubatch_tokens, 0)

    @staticmethod
    def _read_s(part: ServedPart, phase: Phase, sequences: int, pass_s: float) -> float:
        prices = part.prices
        return prices.decode_read_s(sequences) if phase == "decode" else prices.batch_read_share * pass_s

    @staticmethod
    def _launch_s(part: ServedPart, phase: Phase, sequences: int, pass_s: float) -> float:
        """Time of a pass in which a GPU starts operations [s]."""
        if part.kind != "gpu":
            return 0.0
        return part.prices.decode_launch_s(sequences) if phase == "decode" else part.prices.batch_launch_share * pass_s


_LEAST_BUSY = 0.05  # of a GPU's time; below, sampling is dearer than the model, and shares would mean nothing


class PublishedCosts:
    """Costs of every server of a machine in one simulation run (see ``MachineCosts``).

    Args:
        source: the machine.
        draw: the run's luck.
    """

    def __init__(self, source: PublishedSource, draw: Draw) -> None:
        self._source, self._draw = source, draw
        self.sharing = draw_sharing(source.cores, source.nvidia, source.unified, draw)
        self.request_s = 0.0
        self.lateness = draw.lateness()
        self.latency_s = source.request_s * draw.factor("requests", source.request_log_spread)

    def instance(
        self,
        spec: ModelSpec,
        threads: int,
        spincount: int | None,
        options: CacheOptions,
        touched: Touched | None = None,
        gpu_layers: int | None = None,
    ) -> ServerCost:
        """Costs of one server; buffers are counted whole, whatever the requests touch of them."""
        served = self._source.served_as(spec, threads, options, gpu_layers)
        return PublishedServer(served, spincount, self._draw, self._source.nvidia)

    def stacked(self, spinning: Sequence[str]) -> set[str]:
        """None: of machines that were not calibrated that state is part of the spread of what spinning costs."""
        return set()


ServedKey = tuple[str, int, CacheOptions, int | None]
"""Name of the model, threads, options, layers on a GPU that are asked for."""


@dataclass(frozen=True)
class PublishedSource:
    """What is known of a machine that was not calibrated (see ``CostSource``).

    Attributes:
        machine: its name.
        cores: of its CPU [1].
        nvidia, unified: see ``draw_sharing``.
        request_s: what a request costs besides the model [s].
        request_log_spread: how far that may be off [logarithm].
        served: every server that will be asked for.
        provenance: what the numbers rest on, one sentence each.
        notes: what is assumed of the servers.
    """

    machine: str
    cores: int
    nvidia: bool
    unified: bool
    request_s: float
    request_log_spread: float
    served: Mapping[ServedKey, Served]
    provenance: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def on_cpu(self) -> bool:
        """Whether no server has layers on a GPU."""
        return all(part.kind == "cpu" for served in self.served.values() for part in served.parts)

    def costs(self, draw: Draw) -> MachineCosts:
        """Costs of one run."""
        return PublishedCosts(self, draw)

    def served_as(self, spec: ModelSpec, threads: int, options: CacheOptions, gpu_layers: int | None = None) -> Served:
        """How a server was placed.

        Raises:
            MmpredictError: nobody asked for it before.
        """
        found = self.served.get((spec.name, threads, options, gpu_layers))
        if found is None:
            raise MmpredictError(f"{spec.name} with {threads} threads was not placed on {self.machine}; this is a defect")
        return found

    def doubts(self, specs: Sequence[ModelSpec], several: bool) -> tuple[str, ...]:
        """What is assumed."""
        if not several:
            return self.notes
        if self.on_cpu:
            company = "what servers at the same time cost each other on this CPU is assumed: fair shares of its cores"
        elif self.nvidia:
            company = "what servers at the same time cost each other on this GPU is taken from runs on an H200"
        else:
            company = "what servers at the same time cost each other on this GPU is assumed: turns, with others in the gaps"
        return (*self.notes, f"{company}; measure to be sure")
