"""The memories of a machine with what is needed of each, and what happens where that is too much."""

from __future__ import annotations

from collections.abc import Sequence

from mmpredict.cost.admission.system import Outcome, outcome
from mmpredict.results.estimate import NOTHING, PoolEstimate, Span, total
from mmpredict.sizing.machine import Machine
from mmpredict.sizing.residents import Added
from mmpredict.units import format_bytes

VRAM, RAM, UNIFIED, GPU_SHARE = "VRAM", "RAM", "unified memory", "GPU's share of it"


def pools(machine: Machine, takes: Sequence[Added]) -> tuple[PoolEstimate, ...]:
    """What is needed of each memory, the one that models live in first."""
    host, device = total(one.host for one in takes), total(one.device for one in takes)
    host_mapped, device_mapped = sum(one.host_mapped for one in takes), sum(one.device_mapped for one in takes)
    idle, ram, gpu = sum(one.idle for one in takes), machine.host, machine.device

    def system(name: str, needed: Span, mapped: float) -> PoolEstimate:
        return PoolEstimate(name, needed, mapped, idle, ram.usable, ram.capacity_bytes, ram.source)

    if gpu is None:
        return (system(RAM, host, host_mapped),)
    card = PoolEstimate(VRAM, device, device_mapped, 0.0, gpu.usable, gpu.capacity_bytes, gpu.source)
    if not machine.unified:
        memories = (card, system(RAM, host, host_mapped))
        return memories if device != NOTHING else memories[::-1]
    whole = system(UNIFIED, host + device, host_mapped + device_mapped)
    if not machine.own_limit:
        return (whole,)
    return whole, PoolEstimate(GPU_SHARE, device, device_mapped, 0.0, gpu.usable, gpu.capacity_bytes, gpu.source)


def physics(machine: Machine, memories: Sequence[PoolEstimate]) -> tuple[str, ...]:
    """What is physically true of memories that do not surely hold what is needed, one sentence each."""
    found = []
    for pool in memories:
        if not pool.fits:
            found.append(_shortage(pool, machine.swap_bytes))
        if pool.verdict == "fits only if":
            found.append(_condition(pool))
    return tuple(found)


def _shortage(pool: PoolEstimate, swap_bytes: float) -> str:
    short = f"{pool.name}: {format_bytes(-pool.remains_bytes)} too much"
    if pool.name in (VRAM, GPU_SHARE):
        return f"{short}; the GPU's driver refuses, or spills into the system's memory, which is many times slower"
    happens: Outcome = outcome(pool.needed.value, pool.reclaimable_bytes, pool.usable.value, swap_bytes)
    if happens == "reads again":
        return f"{short}; weights that are mapped do not all stay, and are read from disk again for every token"
    own, swap = format_bytes(pool.needed.value - pool.reclaimable_bytes), format_bytes(swap_bytes)
    if happens == "swaps":
        return f"{short}; {own} of it cannot be dropped, so the system swaps (up to {swap})"
    there = f"the {swap} of swap are not enough either" if swap_bytes else "there is no swap"
    return f"{short}; {own} of it cannot be dropped and {there}: loading fails, or the system ends a process"


def _condition(pool: PoolEstimate) -> str:
    needed, usable = _range(pool.needed), _range(pool.usable)
    return f"{pool.name}: whether it fits hangs on what is not known exactly: {needed} needed, {usable} usable"


def _range(span: Span) -> str:
    if span.low == span.high:
        return format_bytes(span.value)
    return f"{format_bytes(span.low)} to {format_bytes(span.high)}"
