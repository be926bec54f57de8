"""What of a machine decides which models can be resident: its memories, and where the system swaps to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmpredict.hardware.profile import HardwareProfile


@dataclass(frozen=True, slots=True)
class Site:
    """Memories of a machine.

    Attributes:
        usable_bytes: main memory that models may take [bytes].
        gpus: how many GPUs are used [1].
        gpu_bytes: memory of those GPUs; of an integrated one, what it may take of the main memory [bytes].
        integrated: whether the GPU uses the main memory.
        swap_bytes: size of the device that the system swaps to; 0 without one [bytes].
        swap_bytes_per_s: how fast that device is read [bytes/s].
    """

    usable_bytes: float
    gpus: int = 0
    gpu_bytes: float = 0.0
    integrated: bool = False
    swap_bytes: float = 0.0
    swap_bytes_per_s: float = 0.0


def site_of(profile: HardwareProfile, usable_bytes: float, on_gpu: bool = False) -> Site:
    """The memories of a profile.

    Args:
        profile: the machine.
        usable_bytes: main memory that models may take [bytes].
        on_gpu: whether models run on its GPU.
    """
    swap = profile.cpu_memory.swap_bytes
    device = profile.storage[0] if profile.storage else None
    gpu = profile.gpu if on_gpu else None
    return Site(
        usable_bytes,
        gpus=0 if gpu is None else 1,
        gpu_bytes=0.0 if gpu is None else profile.usable_of(gpu).value,
        integrated=gpu is not None and profile.is_unified,
        swap_bytes=swap.value if swap is not None and device is not None else 0.0,
        swap_bytes_per_s=device.read_bytes_per_s.value if swap is not None and device is not None else 0.0,
    )
