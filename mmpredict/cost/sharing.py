"""How activities of any machine slow each other: they share cores, a GPU's time, and the memory that CPU and GPU have in common.

- **Cores**: as ``cost.contention`` has it.
- **GPU**: processes take turns. In a round each gives the GPU one quantum of work, a decode step or a pass of a prompt, cut at the
  length of a time slice. So shares of its time go by quanta, and what a process leaves free in gaps of its own goes to the others::

      share_i = min(gpu_i, level · quantum_i),   Σ share_i = efficiency,   rate_i = share_i / gpu_i

- **Memory**: where CPU and GPU read one memory, its bandwidth is divided max-min fair: nobody gets more than a common level unless
  he needs less. The GPU works on one activity at a time, so all its work counts as one reader, as greedy as the greediest.

Each activity runs at the slowest of the three. What is left over by those that another resource slows is not given out again: that
would let one more activity speed others up. Measured evidence: ``docs/design.md``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mmpredict.cost.contention import Contention, Demand
from mmpredict.cost.level import level


@dataclass(frozen=True, slots=True)
class MachineSharing:
    """A machine's processors and memory in one simulation run.

    Attributes:
        cpu: its cores.
        slice_s: longest time that a GPU works for one process while others wait [s].
        gpu_efficiency: part of a GPU's time that is worked while several processes take turns [1].
        unified: whether CPU and GPU read one memory.
    """

    cpu: Contention
    slice_s: float
    gpu_efficiency: float
    unified: bool

    @property
    def cores(self) -> int:
        """Cores of the machine [1]."""
        return self.cpu.cores

    def rates(self, running: Sequence[Demand]) -> list[float]:
        """Speed of each activity relative to its speed alone, in (0, 1].

        Alone → 1; the order of activities does not matter; another activity never speeds anyone up.
        """
        if len(running) == 1:
            return [1.0]
        found = self.cpu.rates(running)
        on_gpu = [demand for demand in running if demand.gpu > 0.0]
        turn = math.inf
        if len(on_gpu) > 1:
            quanta = [self._quantum_s(demand) for demand in on_gpu]
            turn = level([demand.gpu for demand in on_gpu], quanta, self.gpu_efficiency)
        greediest = max(map(_greed, on_gpu), default=0.0) if self.unified else 0.0
        most = math.inf
        if greediest > 0.0:  # what the CPU's servers take from one another is in ``cpu``
            readers = [demand.bandwidth for demand in running if demand.gpu <= 0.0] + [greediest]
            most = level(readers, [1.0] * len(readers), 1.0)
        for index, demand in enumerate(running):
            if demand.gpu > 0.0:
                rate = min(1.0, turn * self._quantum_s(demand) / demand.gpu)
                if self.unified and _greed(demand) > most:
                    rate *= most / _greed(demand)
                found[index] = min(found[index], rate)
            elif demand.bandwidth > most:
                found[index] = min(found[index], most / demand.bandwidth)
        return found

    def _quantum_s(self, demand: Demand) -> float:
        """Work of the GPU in one turn [s]."""
        return min(demand.gpu * demand.quantum_s, self.slice_s) if demand.quantum_s > 0.0 else self.slice_s


def _greed(demand: Demand) -> float:
    """Part of the memory's bandwidth that work of the GPU takes while it is its turn [1]."""
    return min(1.0, demand.bandwidth / demand.gpu)
