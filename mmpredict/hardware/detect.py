"""Describing the machine that this runs on: what the operating system tells at once, without measuring."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmpredict.hardware.cgroup import Limits, read_limits
from mmpredict.hardware.cpu import CoreCount, CpuIdentity, count_cores, parse_cpuinfo

if TYPE_CHECKING:
    from mmpredict.hardware.profile import HardwareProfile

THIS_MACHINE = "this-machine"
SYSTEM = "operating system"


@dataclass(frozen=True, slots=True)
class UsableMemory:
    """Memory of this machine as this process finds it.

    Attributes:
        total_bytes: what the system manages [bytes].
        available_bytes: what can be had now without swapping [bytes].
        limit_bytes: the control group's limit, if it is below the total [bytes].
        swap_bytes: size of the swap devices [bytes].
    """

    total_bytes: int
    available_bytes: int
    limit_bytes: int | None
    swap_bytes: int


def detect() -> HardwareProfile:
    """Profile of this machine's CPU and memory.

    Usable memory is what is available now: models must live beside what already runs.
    """
    from mmpredict.hardware.profile import (  # what only counts cores needs no pydantic
        HardwareProfile,
        MemoryPool,
        Processor,
        Quantity,
    )

    cores, memory, identity = count_usable_cores(), usable_memory(), cpu_identity()
    where = SYSTEM if memory.limit_bytes is None else f"{SYSTEM}, limit of the control group"
    return HardwareProfile(
        name=THIS_MACHINE,
        description=f"{identity.model}, {cores.cores} cores, {platform.system()} {platform.machine()}",
        pools={
            "ram": MemoryPool(
                capacity_bytes=Quantity(value=memory.total_bytes, source=SYSTEM),
                usable_bytes=Quantity(value=memory.available_bytes, source=f"{where}, available now"),
                swap_bytes=Quantity(value=memory.swap_bytes, source=SYSTEM),
            )
        },
        processors=(
            Processor(
                kind="cpu",
                model=identity.model,
                cores=cores.cores,
                efficiency_cores=cores.efficiency_cores,
                features=identity.features,
                backends=("cpu",),
            ),
        ),
    )


def may_have_gpu() -> bool:
    """Whether it is worth the time to look for GPUs: by NVIDIA's program, devices of the kernel's, a device tree, or on a Mac."""
    places = (Path("/sys/class/drm"), Path("/proc/device-tree/model"))
    return shutil.which("nvidia-smi") is not None or platform.system() == "Darwin" or any(place.exists() for place in places)


def usable_cores() -> int:
    """Physical cores that this process may use: llama.cpp's default number of threads, within affinity and quota."""
    return count_usable_cores().cores


def count_usable_cores(limits: Limits | None = None) -> CoreCount:
    """Cores by kind that this process may use: those that its affinity allows, and no more than the control group pays for.

    Args:
        limits: of the control group; read where not given.
    """
    import psutil

    if platform.system() == "Darwin":
        from mmpredict.hardware.apple import mac_cores

        mac = mac_cores()
        if mac is not None:
            return mac
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    count = count_cores(allowed) if allowed else None
    if count is None:
        physical = psutil.cpu_count(logical=False) or os.cpu_count() or 1
        count = CoreCount(min(physical, len(allowed)) if allowed else physical)
    quota = (limits or read_limits()).cpus
    return count if quota is None else CoreCount(max(1, min(count.cores, int(quota))), count.efficiency_cores, count.slower_cores)


def usable_memory(limits: Limits | None = None) -> UsableMemory:
    """Memory that this process may use.

    Args:
        limits: of the control group; read where not given.
    """
    import psutil

    limits, memory = limits or read_limits(), psutil.virtual_memory()
    limited = limits.memory_bytes is not None and limits.memory_bytes < memory.total
    free = memory.available if limits.free_bytes is None or not limited else min(memory.available, limits.free_bytes)
    try:
        swap = int(psutil.swap_memory().total)
    except (OSError, RuntimeError):  # psutil raises where the kernel hides it
        swap = 0
    return UsableMemory(memory.total, free, limits.memory_bytes if limited else None, swap)


def cpu_identity() -> CpuIdentity:
    """Model and features of this machine's CPU."""
    if platform.system() == "Darwin":
        from mmpredict.hardware.apple import mac_identity

        mac = mac_identity()
        if mac is not None:
            return mac
    try:
        found = parse_cpuinfo(Path("/proc/cpuinfo").read_text("utf-8", errors="replace"))
    except OSError:
        found = CpuIdentity("", ())
    return found if found.model else CpuIdentity(platform.processor() or platform.machine(), found.features, found.board)
