"""What somebody else states of times and memory: a predictor of the user's, or a table of what models share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mmpredict.cost.contention import Demand, Phase
from mmpredict.cost.loading import LoadTime
from mmpredict.cost.memory import MemoryParts
from mmpredict.cost.prices import StepPrices
from mmpredict.models.shape import Kind, Shape
from mmpredict.models.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What is stated of a model that is known.

    Attributes:
        time: of its steps ÷ what is predicted [1].
        memory: ÷ what is predicted [1].
    """

    time: float = 1.0
    memory: float = 1.0

    def __mul__(self, other: Adjustment) -> Adjustment:
        """Both."""
        return Adjustment(self.time * other.time, self.memory * other.memory)


@dataclass(frozen=True, slots=True)
class Stated:
    """All that is known of a model that nobody knows: a batch takes so long, and the process so much memory.

    Attributes:
        latency_s: of a batch, alone on the machine [s].
        memory_bytes: of the process [bytes].
    """

    latency_s: float
    memory_bytes: float


class _OnePrice(StepPrices):
    """A batch has one price, whatever is in it."""

    def __init__(self, batch_s: float) -> None:
        super().__init__(1)
        self._batch_s = batch_s

    def piece_s(self, start: int, tokens: int) -> float:
        """See ``StepPrices``: nothing besides."""
        return 0.0

    def _price_decode_pass(self, sequences: int) -> float:
        return 0.0

    def _price_batch_pass(self, tokens: int, sampled: int) -> float:
        return self._batch_s


class StatedServer:
    """A model of which only a latency and a memory are stated (see ``ServerCost``).

    It is taken to keep its processor busy from beginning to end, and to read memory as fast as that can: assumed.

    Args:
        stated: what is.
        threads: of the CPU, where it works; 0 on a GPU [1].
        load: how long it takes to load.
    """

    def __init__(self, stated: Stated, threads: int, load: LoadTime) -> None:
        self._threads, self._load_s = threads, load.value
        self.prices: StepPrices = _OnePrice(stated.latency_s)
        self.memory = MemoryParts(process=stated.memory_bytes)
        self.program_bytes = 0.0
        self.device_bytes = 0.0
        self.stacked = False
        self.unload_s = 0.0

    def load_s(self, cold: bool) -> float:
        """See ``ServerCost``."""
        return self._load_s

    def load_demand(self, solo_s: float, cold: bool) -> Demand:
        """See ``ServerCost``."""
        return Demand("load", 1, True, solo_s, 0.0, False)

    def demand(self, phase: Phase, solo_s: float, passes: int, sequences: int) -> Demand:
        """See ``ServerCost``."""
        gpu = 0.0 if self._threads else 1.0
        return Demand(phase, self._threads or 1, not self._threads, solo_s, 1.0, False, gpu=gpu, bandwidth=1.0)


_KIND_OF: Mapping[str, Kind] = {"text_embedding": "text-embedding", "vision": "vision", "audio": "audio"}


def stated_spec(name: str, model_type: str | None) -> ModelSpec:
    """The description of a model of which nothing is known: it has no tensors."""
    kind = _KIND_OF.get(model_type or "", "text-generation")
    shape = Shape(name, "stated", 1, 1, 0, 0, 1, 1, 1, 1, 1, kind=kind, source="a predictor of yours")
    return ModelSpec(name, shape, ())
