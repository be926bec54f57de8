"""Describing the machine that this runs on: what the operating system tells."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil

from mmpredict.hardware.profile import HardwareProfile, MemoryPool, Processor, Quantity

THIS_MACHINE = "this-machine"
KERNEL_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "f16c", "fma", "asimd", "asimddp", "i8mm", "sve")


def detect() -> HardwareProfile:
    """Profile of this machine's CPU and memory.

    Usable memory is what is available now: models must live beside what already runs.
    """
    memory = psutil.virtual_memory()
    cores = usable_cores()
    model, features = _cpu_identity()
    return HardwareProfile(
        name=THIS_MACHINE,
        description=f"{model}, {cores} cores, {platform.system()} {platform.machine()}",
        pools={
            "ram": MemoryPool(
                capacity_bytes=Quantity(value=memory.total, source="operating system"),
                usable_bytes=Quantity(value=memory.available, source="operating system, available now"),
            )
        },
        processors=(Processor(kind="cpu", model=model, cores=cores, features=features),),
    )


def usable_cores() -> int:
    """Physical cores that this process may use: what llama.cpp takes as its default number of threads."""
    physical = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else physical
    return max(1, min(physical, allowed))


def _cpu_identity() -> tuple[str, tuple[str, ...]]:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine(), ()
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip().lower(), value.strip())
    flags = set(fields.get("flags", fields.get("features", "")).split())
    model = fields.get("model name") or fields.get("model") or platform.machine()
    return " ".join(model.split()), tuple(name for name in KERNEL_FEATURES if name in flags)
