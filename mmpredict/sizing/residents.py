"""Instances that are in memory together: what each takes beside those before it, and what is left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmpredict.cost.memory import InstanceMemory, MemoryParts
from mmpredict.cost.placement import Placement
from mmpredict.models.cache import CacheOptions
from mmpredict.results.estimate import Span
from mmpredict.sizing.gauge import Gauge, inexact_bytes
from mmpredict.sizing.machine import Machine


@dataclass(frozen=True, slots=True, eq=False)
class Resident:
    """One instance as its server started it; two are never the same.

    Attributes:
        gauge: its model.
        options, placement: how it was started.
        memory: what it has, as if it were alone.
        context: what its process loses on the GPU; nothing without layers there [bytes].
    """

    gauge: Gauge
    options: CacheOptions
    placement: Placement
    memory: InstanceMemory
    context: Span


@dataclass(frozen=True, slots=True)
class Added:
    """What an instance takes beside those before it.

    Attributes:
        host, device: of each memory [bytes].
        host_mapped, device_mapped: of that, pages of the file [bytes].
        idle: further pages of the file, which nobody needs once they were copied [bytes].
    """

    host: Span
    device: Span
    host_mapped: float
    device_mapped: float
    idle: float


def added(residents: Sequence[Resident]) -> tuple[Added, ...]:
    """What each instance adds, in the order in which they are loaded.

    Pages of one file are there once, however many processes map them; so are the pages of the engine's program and libraries.
    """
    seen: dict[tuple[str, str], float] = {}
    found = []
    for position, one in enumerate(residents):
        memory, file = one.memory, one.gauge.file
        idle = one.gauge.idle_bytes(one.placement)
        host_mapped = _beyond(seen, (file, "host"), memory.host.mapped - idle)
        device_mapped = _beyond(seen, (file, "device"), memory.device.mapped)
        repeated = one.gauge.overhead.shared_bytes if position else 0.0
        process = one.gauge.process_bytes(one.options.slots)
        host = memory.host.private + host_mapped - repeated
        device = memory.device.private + device_mapped
        off_host, off_device = inexact_bytes(memory, memory.host), inexact_bytes(memory, memory.device)
        found.append(
            Added(
                host=Span(host, host - (process.value - process.low) - off_host, host + (process.high - process.value) + off_host),
                device=Span(
                    device,
                    device - (one.context.value - one.context.low) - off_device,
                    device + (one.context.high - one.context.value) + off_device,
                ),
                host_mapped=host_mapped,
                device_mapped=device_mapped,
                idle=_beyond(seen, (file, "idle"), idle),
            )
        )
    return tuple(found)


def free_on_gpu(machine: Machine, residents: Sequence[Resident]) -> float:
    """What the driver would report as free to a process that has not started yet [bytes]; never negative."""
    if machine.device is None:
        return 0.0
    takes = added(residents)
    device = sum(one.device.value for one in takes)
    free = machine.device.usable.value - device
    if machine.unified:
        free = min(free, machine.host.usable.value - device - sum(one.host.value for one in takes))
    return max(0.0, free)


def free_on_host(machine: Machine, residents: Sequence[Resident]) -> float:
    """What is left of the system's memory [bytes]; never negative."""
    takes = added(residents)
    used = sum(one.host.value + (one.device.value if machine.unified else 0.0) for one in takes)
    return max(0.0, machine.host.usable.value - used)


def buffers_on_gpu(residents: Iterable[Resident]) -> float:
    """What Ollama reads from its servers' logs that they have on the GPU: buffers, not the runtime's own state [bytes]."""
    return sum(_buffers(one.memory.device) for one in residents)


def _buffers(parts: MemoryParts) -> float:
    return parts.total - parts.process


def _beyond(seen: dict[tuple[str, str], float], key: tuple[str, str], mapped: float) -> float:
    before = seen.get(key, 0.0)
    seen[key] = max(before, mapped)
    return max(0.0, mapped - before)
