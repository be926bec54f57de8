"""Power modes: the limits that a machine's firmware sets, and what they leave of its speed."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mmpredict.hardware.memory_pool import MemoryPool
from mmpredict.hardware.processor import ALL_CORES, Processor
from mmpredict.hardware.quantity import Frozen, Quantity, ShortName, Text


class Factor(Quantity):
    """What a mode leaves of a figure of the machine without limits, above 0 and at most 1 [1]."""

    value: Annotated[float, Field(strict=True, gt=0, le=1, allow_inf_nan=False)]
    high: Annotated[float, Field(strict=True, gt=0, le=1, allow_inf_nan=False)] | None = None


class ProcessorLimits(Frozen):
    """Limits of the processors of one kind in a mode; what is not stated stays as it is.

    Attributes:
        cores: cores that are switched on [1].
        clock_hz: highest clock [Hz]; peak FLOP/s fall with it, and with the cores.
        flop_factor: what is left of the peak FLOP/s, where that was measured: then clock and cores do not matter.
        bandwidth_bytes_per_s: what it reads from its pool in this mode, by measurement [bytes/s].
        bandwidth_factor: what is left of what it reads, where only the ratio was measured.
        peak_w: highest sustained power in this mode [W].
    """

    cores: int | None = Field(default=None, ge=1, le=ALL_CORES, strict=True)
    clock_hz: Quantity | None = None
    flop_factor: Factor | None = None
    bandwidth_bytes_per_s: Quantity | None = None
    bandwidth_factor: Factor | None = None
    peak_w: Quantity | None = None


class PoolLimits(Frozen):
    """Limits of a memory pool in a mode.

    Attributes:
        bandwidth_bytes_per_s: peak read bandwidth at the mode's memory clock [bytes/s].
    """

    bandwidth_bytes_per_s: Quantity


class PowerMode(Frozen):
    """One power mode.

    Attributes:
        description: one line for people.
        power_limit_w: what the machine, module or package may draw [W].
        cpu: limits of its CPUs.
        gpu: limits of its GPUs.
        npu: limits of its NPUs.
        pools: limits of memory pools, by name.
    """

    description: Text = ""
    power_limit_w: Quantity | None = None
    cpu: ProcessorLimits | None = None
    gpu: ProcessorLimits | None = None
    npu: ProcessorLimits | None = None
    pools: Annotated[dict[ShortName, PoolLimits], Field(max_length=64)] = Field(default_factory=dict)

    def of(self, processor: Processor) -> ProcessorLimits | None:
        """The limits of processors of this one's kind, if the mode has any."""
        return {"cpu": self.cpu, "gpu": self.gpu, "npu": self.npu}[processor.kind]


def limited_pool(pool: MemoryPool, limits: PoolLimits | None) -> MemoryPool:
    """A pool in a mode."""
    return pool if limits is None else pool.model_copy(update={"bandwidth_bytes_per_s": limits.bandwidth_bytes_per_s})


def limited_processor(processor: Processor, limits: ProcessorLimits | None, pool: MemoryPool, mode: str) -> Processor:
    """A processor in a mode.

    Peak FLOP/s follow cores × clock, unless the mode states a measured factor. What it reads from its memory is the mode's own
    figure, or the unlimited one times the mode's factor, and never above the pool's peak.

    Args:
        processor: without limits.
        limits: of the mode, if any.
        pool: that it reads, in the mode.
        mode: the mode's name, for the sources.
    """
    limits = limits or ProcessorLimits()
    changes: dict[str, object] = {name: getattr(limits, name) for name in ("cores", "clock_hz", "peak_w") if getattr(limits, name)}
    factor = limits.flop_factor or _clock_and_cores(processor, limits)
    if factor is not None:
        why = f"× {factor.value:.3g} in mode {mode} ({factor.source or 'no source'})"
        changes["flop_per_s"] = {name: peak.times(factor, why) for name, peak in processor.flop_per_s.items()}
    reads = limits.bandwidth_bytes_per_s or processor.bandwidth_bytes_per_s
    if reads is not None:
        if limits.bandwidth_bytes_per_s is None and limits.bandwidth_factor is not None:
            share = limits.bandwidth_factor
            reads = reads.times(share, f"× {share.value:.3g} in mode {mode} ({share.source or 'no source'})")
        if pool.bandwidth_bytes_per_s is not None:
            reads = reads.at_most(pool.bandwidth_bytes_per_s, f"at most the memory's peak in mode {mode}")
        changes["bandwidth_bytes_per_s"] = reads
    return processor.model_copy(update=changes)


def _clock_and_cores(processor: Processor, limits: ProcessorLimits) -> Quantity | None:
    """What a lower clock and fewer cores leave of the peak [1]; None where neither is limited or their base is unknown."""
    factor, source, limit = Quantity(value=1.0), [], limits.clock_hz
    if limit is not None and processor.clock_hz is not None:
        base = processor.clock_hz.value
        low, high = (None if end is None else end / base for end in (limit.low, limit.high))
        factor = Quantity(value=limit.value / base, low=low, high=high)
        source.append(f"clock {limit.value / 1e6:.0f} of {base / 1e6:.0f} MHz")
    if limits.cores is not None and processor.cores:
        share = Quantity(value=limits.cores / processor.cores)
        factor = factor.times(share, "cores")
        source.append(f"{limits.cores} of {processor.cores} cores")
    return factor.model_copy(update={"source": ", ".join(source)}) if source else None
