"""A server whose times or memory are others' times a factor."""

from __future__ import annotations

from dataclasses import replace

from mmpredict.cost.contention import Demand, Phase
from mmpredict.cost.prices import StepPrices
from mmpredict.cost.server_cost import ServerCost


class ScaledPrices(StepPrices):
    """Prices times a factor.

    Args:
        inner: prices of one server.
        factor: of all of them [1].
    """

    def __init__(self, inner: StepPrices, factor: float) -> None:
        super().__init__(inner.ubatch_tokens)
        self._inner, self._factor = inner, factor
        self.begun_s = factor * inner.begun_s
        self.masked_decode_s, self.masked_batch_s = factor * inner.masked_decode_s, factor * inner.masked_batch_s
        self.limits = inner.limits
        self.decode_cell_s = tuple(factor * price for price in inner.decode_cell_s)
        self.batch_cell_s = tuple(factor * price for price in inner.batch_cell_s)
        self.rests = tuple((pause_s, factor * longer_s) for pause_s, longer_s in inner.rests)

    def piece_s(self, start: int, tokens: int) -> float:
        """See ``StepPrices``."""
        return self._factor * self._inner.piece_s(start, tokens)

    def _price_decode_pass(self, sequences: int) -> float:
        return self._factor * self._inner.decode_pass_s(sequences)

    def _price_batch_pass(self, tokens: int, sampled: int) -> float:
        return self._factor * self._inner.batch_pass_s(tokens, sampled)


class ScaledServer:
    """A server with other times and memory; what it asks of the machine stays in proportion (see ``ServerCost``).

    Args:
        inner: the server as it is.
        steps: times of its steps ÷ what they are [1].
        loads: time of its load ÷ what it is; 0 for none [1].
        memory: ÷ what it is [1].
    """

    def __init__(self, inner: ServerCost, steps: float = 1.0, loads: float = 1.0, memory: float = 1.0) -> None:
        self._inner, self._steps, self._loads = inner, steps, loads
        self.prices: StepPrices = inner.prices if steps == 1.0 else ScaledPrices(inner.prices, steps)
        self.memory = inner.memory.scaled(memory)
        self.program_bytes = memory * inner.program_bytes
        self.device_bytes = memory * inner.device_bytes
        self.stacked = False
        self.unload_s = inner.unload_s

    def load_s(self, cold: bool) -> float:
        """See ``ServerCost``."""
        return self._loads * self._inner.load_s(cold)

    def load_demand(self, solo_s: float, cold: bool) -> Demand:
        """See ``ServerCost``."""
        return self._inner.load_demand(solo_s, cold)

    def demand(self, phase: Phase, solo_s: float, passes: int, sequences: int) -> Demand:
        """See ``ServerCost``."""
        found = self._inner.demand(phase, solo_s / self._steps, passes, sequences)
        return replace(found, solo_s=solo_s, quantum_s=self._steps * found.quantum_s, stacked=self.stacked)
