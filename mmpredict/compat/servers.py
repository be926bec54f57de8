"""Servers whose times or memory somebody else states: a predictor of the user's, or a table of what models share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mmpredict.cost.contention import Demand, Phase
from mmpredict.cost.loading import LoadTime
from mmpredict.cost.memory import MemoryParts
from mmpredict.cost.prices import StepPrices
from mmpredict.cost.server_cost import ServerCost
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


class ScaledPrices(StepPrices):
    """Prices times a factor."""

    def __init__(self, inner: StepPrices, factor: float) -> None:
        super().__init__(inner.ubatch_tokens)
        self._inner, self._factor = inner, factor
        self.begun_s = factor * inner.begun_s
        self.masked_cell_s = factor * inner.masked_cell_s
        self.limits = inner.limits
        self.decode_cell_s = tuple(factor * price for price in inner.decode_cell_s)
        self.batch_cell_s = tuple(factor * price for price in inner.batch_cell_s)

    def piece_s(self, start: int, tokens: int) -> float:
        """See ``StepPrices``."""
        return self._factor * self._inner.piece_s(start, tokens)

    def _price_decode_pass(self, sequences: int) -> float:
        return self._factor * self._inner.decode_pass_s(sequences)

    def _price_batch_pass(self, tokens: int, sampled: int) -> float:
        return self._factor * self._inner.batch_pass_s(tokens, sampled)


class AdjustedServer:
    """A server with stated times and memory; what it asks of the machine is in proportion (see ``ServerCost``).

    Args:
        inner: as predicted.
        adjustment: of it.
        loading: whether its load takes time.
    """

    def __init__(self, inner: ServerCost, adjustment: Adjustment, loading: bool) -> None:
        self._inner, self._time, self._loading = inner, adjustment.time, loading
        self.prices: StepPrices = inner.prices if adjustment.time == 1.0 else ScaledPrices(inner.prices, adjustment.time)
        self.memory = inner.memory.scaled(adjustment.memory)
        self.program_bytes = adjustment.memory * inner.program_bytes
        self.device_bytes = adjustment.memory * inner.device_bytes
        self.stacked = False
        self.unload_s = 0.0

    def load_s(self, cold: bool) -> float:
        """See ``ServerCost``."""
        return self._inner.load_s(cold) if self._loading else 0.0

    def load_demand(self, solo_s: float, cold: bool) -> Demand:
        """See ``ServerCost``."""
        return self._inner.load_demand(solo_s, cold)

    def demand(self, phase: Phase, solo_s: float, passes: int, sequences: int) -> Demand:
        """See ``ServerCost``."""
        self._inner.stacked = self.stacked
        found = self._inner.demand(phase, solo_s / self._time, passes, sequences)
        return found if self._time == 1.0 else replace(found, solo_s=solo_s, quantum_s=self._time * found.quantum_s)


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
