"""What a hardware profile lets expect of a processor before anything was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mmpredict.cost.rates.parameters import Belief, ProcessorClass
from mmpredict.errors import InputError
from mmpredict.hardware.processor import Processor
from mmpredict.hardware.profile import HardwareProfile

# Achieved by llama.cpp ÷ data sheet: medians over the machines of ``calibration/published`` (docs/accuracy.md), rounded.
_READ_SHARE = {"gpu": 0.80, "cpu": 0.65}
_COMPUTE_SHARE = {"metal": 0.57, "cuda": 0.40, "rocm": 0.37, "vulkan": 0.30, "cpu": 0.60}
_OTHER_SHARE = 0.35
_READ_SPREAD, _MEASURED_SPREAD = 0.20, 0.12
_COMPUTE_SPREAD = 0.50
_TYPES = {"gpu": ("f16", "bf16", "f32"), "cpu": ("f32", "f16")}


@dataclass(frozen=True, slots=True)
class Peaks:
    """What a processor can do at most, and what is expected of it.

    Attributes:
        bandwidth_bytes_per_s: of its memory [bytes/s].
        compute_flop_per_s: multiplications and additions [FLOP/s].
        read, compute: beliefs about what an engine achieves.
    """

    bandwidth_bytes_per_s: float
    compute_flop_per_s: float
    read: Belief
    compute: Belief


def processor_of(profile: HardwareProfile, kind: ProcessorClass) -> Processor:
    """The profile's processor of a class.

    Raises:
        InputError: it has none.
    """
    processor = profile.cpu if kind == "cpu" else profile.gpu
    if processor is None:
        raise InputError(f"hardware {profile.name!r} has no GPU; its CPU is what computes")
    return processor


def peaks(profile: HardwareProfile, kind: ProcessorClass, backend: str) -> Peaks:
    """Peaks of a processor in the profile's power mode, and what is expected to be achieved with a backend.

    Raises:
        InputError: the profile says nothing of the memory's bandwidth or of what the processor computes.
    """
    processor = processor_of(profile, kind)
    pool = profile.pool_of(processor).bandwidth_bytes_per_s
    measured = processor.bandwidth_bytes_per_s
    bandwidth = pool or measured
    compute = next((processor.flop_per_s[name] for name in _TYPES[kind] if name in processor.flop_per_s), None)
    if bandwidth is None or compute is None:
        what = "bandwidth_bytes_per_s of its memory" if bandwidth is None else f"flop_per_s of {processor.model!r}"
        raise InputError(f"the profile {profile.name!r} does not say {what}; its speed cannot be predicted from a data sheet")
    read = Belief(math.log(bandwidth.value * _READ_SHARE[kind]), _READ_SPREAD)
    if measured:
        read = Belief(math.log(measured.value), _MEASURED_SPREAD)
    share = _COMPUTE_SHARE.get(backend, _OTHER_SHARE)
    return Peaks(bandwidth.value, compute.upper, read, Belief(math.log(compute.upper * share), _COMPUTE_SPREAD))


def achieved_peaks(bandwidth_bytes_per_s: float, compute_flop_per_s: float, kind: ProcessorClass, backend: str) -> Peaks:
    """Peaks of a processor without a data sheet, from what was achieved on it at best [bytes/s, FLOP/s]."""
    return Peaks(
        bandwidth_bytes_per_s / _READ_SHARE[kind],
        compute_flop_per_s / _COMPUTE_SHARE.get(backend, _OTHER_SHARE),
        Belief(math.log(bandwidth_bytes_per_s), _READ_SPREAD),
        Belief(math.log(compute_flop_per_s), _COMPUTE_SPREAD),
    )
