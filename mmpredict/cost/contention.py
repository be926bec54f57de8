"""What activities that run at the same time take from each other.

CPU servers share cores. The operating system gives every runnable thread an equal share, so with more threads than cores all
activities run at ``cores / Σ threads`` of their speed alone, times the efficiency of full cores; that is all that a server with one
thread loses, and loads have an efficiency of their own (``calibrate.fit_joint_loads``). A server with several
waits at a barrier after every operation of its graph, and how it waits decides what company costs:

- *yielding* (``GOMP_SPINCOUNT`` small, or passive waiting): a waiting thread gives its core up; little is lost;
- *spinning* (OpenMP's default): a waiting thread burns the time slice of the thread it waits for. Speed falls to a fraction of
  the fair share; and when the scheduler has put the threads of one server on one core ("stacked"), every barrier costs a time
  slice, which no longer depends on the work: a stall per layer.

They share the memory's bandwidth, too, of which an activity uses ``d`` alone. Nobody gets more than a common level unless he needs
less (max-min fair); and before it is exhausted, whoever reads waits now and then for others who do::

    rate_i = min(efficiency / (1 + crowding · d_i · Σ_{j≠i} d_j),  level / d_i)

Measured evidence and rejected alternatives: ``docs/design.md``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from mmpredict.cost.level import level

Phase = Literal["load", "prefill", "decode"]

# GNU OpenMP's default spins about 300,000 times before it sleeps; from a few thousand on, a waiting thread is asleep well
# within a scheduler's time slice.
YIELDING_SPINCOUNT_LIMIT = 5000


def is_yielding(spincount: int | None) -> bool:
    """Whether a server with this ``GOMP_SPINCOUNT`` gives its cores up while it waits."""
    return spincount is not None and spincount <= YIELDING_SPINCOUNT_LIMIT


@dataclass(slots=True)
class Demand:
    """One running activity, as the machine sees it.

    Attributes:
        phase: what it does.
        threads: threads that work [1].
        yielding: waiting rule of its server.
        solo_s: duration of its work alone [s].
        layers: layer evaluations in that work [1]; barriers come with them.
        stacked: whether its server's threads sit on one core when they compete.
        gpu: part of the time alone in which it keeps the GPU busy; 0 for work of the CPU [1].
        quantum_s: work that it gives the GPU at a time, alone: a decode step, a pass of a prompt [s].
        bandwidth: part of the memory's bandwidth that it uses alone, where that is known [1].
        disk: part of the storage's bandwidth that it uses alone [1].
    """

    phase: Phase
    threads: int
    yielding: bool
    solo_s: float
    layers: float
    stacked: bool
    gpu: float = 0.0
    quantum_s: float = 0.0
    bandwidth: float = 0.0
    disk: float = 0.0


class Sharing(Protocol):
    """How the activities of a machine slow each other."""

    @property
    def cores(self) -> int:
        """Cores of the machine [1]."""

    def rates(self, running: Sequence[Demand]) -> list[float]:
        """Speed of each activity relative to its speed alone, in (0, 1]."""


@dataclass(frozen=True, slots=True)
class Contention:
    """Contention coefficients as one simulation run uses them.

    Attributes: as ``ContentionCoefficients``, drawn or at their medians.
    """

    cores: int
    within_efficiency: float
    yielding_efficiency: float
    spinning_efficiency_prefill: float
    spinning_efficiency_decode: float
    stacked_layer_s: float
    crowding: float = 0.0
    load_within_efficiency: float = 1.0
    load_beyond_efficiency: float = 1.0

    def rates(self, running: Sequence[Demand]) -> list[float]:
        """Speed of each activity relative to its speed alone, in (0, 1].

        Alone → 1; the order of activities does not matter.
        """
        if len(running) == 1:
            return [1.0]
        threads = sum(demand.threads for demand in running)
        rates = self._from_memory(running)
        if threads > self.cores:
            share = self.cores / threads
            rates = [min(rate, self._oversubscribed(demand, share)) for rate, demand in zip(rates, running, strict=True)]
        return _from_disk(rates, running)

    def _from_memory(self, running: Sequence[Demand]) -> list[float]:
        """Rates of activities that have enough cores; a GPU's share of a common memory is ``cost.sharing``'s business."""
        readers = sorted(demand.bandwidth for demand in running if demand.gpu <= 0.0)  # sorted: see ``level``
        used = math.fsum(readers)
        most = level(readers, [1.0] * len(readers), 1.0)
        found = []
        for demand in running:
            own = demand.bandwidth if demand.gpu <= 0.0 else 0.0
            efficiency = self.load_within_efficiency if demand.phase == "load" else self.within_efficiency
            rate = efficiency / (1.0 + self.crowding * own * max(0.0, used - own))
            found.append(min(rate, most / own) if own > most else rate)
        return found

    def _oversubscribed(self, demand: Demand, share: float) -> float:
        if demand.phase == "load":
            return share * self.load_beyond_efficiency
        if demand.threads == 1:  # what slows full cores down does not go away with one more thread
            return share * self.within_efficiency
        if demand.yielding:
            return share * self.yielding_efficiency
        prefill = demand.phase == "prefill"
        rate = share * (self.spinning_efficiency_prefill if prefill else self.spinning_efficiency_decode)
        if demand.stacked and demand.solo_s > 0:
            stalled = 1.0 / (1.0 / share + self.stacked_layer_s * demand.layers / demand.solo_s)
            rate = min(rate, stalled)  # few barriers in a long prompt: then spinning costs more than the stalls
        return rate


def _from_disk(rates: list[float], running: Sequence[Demand]) -> list[float]:
    """Rates, where those that read from storage share its bandwidth."""
    readers = [demand.disk for demand in running if demand.disk > 0.0]
    if len(readers) < 2:
        return rates
    most = level(readers, [1.0] * len(readers), 1.0)
    return [min(rate, most / demand.disk) if demand.disk > most else rate for rate, demand in zip(rates, running, strict=True)]
