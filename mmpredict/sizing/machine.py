"""A machine reduced to what an estimate of memory needs: its memories, and what processors find in them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mmpredict.models.quantization.repacking import MAC_WHEEL_FEATURES, WHEEL_FEATURES
from mmpredict.results.estimate import NOTHING, Span
from mmpredict.units import MIB

if TYPE_CHECKING:
    from mmpredict.hardware.profile import HardwareProfile
    from mmpredict.hardware.quantity import Quantity

METAL = "metal"
# What a process loses on a GPU of which nothing is known: what Ollama sets aside (MinimumMemory, ml/device.go), and what was seen.
CARD_CONTEXT = Span(457 * MIB, 256 * MIB, 750 * MIB)
CARD_CONTEXT_SOURCE = "not stated; Ollama reserves 457 MiB per GPU, 256 to 750 MiB were seen of CUDA processes"
_GPU_PREFERENCE = ("cuda", METAL, "rocm", "vulkan", "sycl", "opencl", "openvino", "webgpu", "webnn")


@dataclass(frozen=True, slots=True)
class Memory:
    """One memory.

    Attributes:
        capacity_bytes: installed [bytes].
        usable: what models may take [bytes].
        source: where that is from.
    """

    capacity_bytes: float
    usable: Span
    source: str


@dataclass(frozen=True, slots=True)
class Machine:
    """What an estimate needs of a machine.

    Attributes:
        name: of the profile.
        host: the system's memory.
        device: what the GPU may use; of a unified memory, the driver's share of it. None without a GPU.
        unified: whether both are the same memory.
        own_limit: whether the GPU's share of a unified memory is less than what is usable of it.
        swap_bytes: that the system swaps to [bytes].
        threads: worker threads of a server [1].
        features, wheel_features: instruction sets that a server built for this CPU uses, and those of the embedded engine.
        backend: programming interface of the GPU; empty without one.
        backends: all of them that the GPU has.
        storage_bytes_per_s: how fast files are read; None where that is not known [bytes/s].
        bandwidth_bytes_per_s: of the system's memory; 0 where that is not known [bytes/s].
        like: see ``HardwareProfile.like``.
        gpu_bytes: memory of the GPU as its driver reports it, whatever the budget; 0 without one [bytes].
        context: what every process loses on the GPU [bytes].
        context_source: where that is from.
        doubts: what is assumed of the machine.
    """

    name: str
    host: Memory
    device: Memory | None
    unified: bool
    own_limit: bool
    swap_bytes: float
    threads: int
    features: frozenset[str]
    wheel_features: frozenset[str]
    backend: str
    gpu_bytes: float
    context: Span
    context_source: str
    doubts: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    storage_bytes_per_s: Span | None = None
    bandwidth_bytes_per_s: float = 0.0
    like: str = ""

    def with_card(self, vram_bytes: float) -> Machine:
        """The same machine with a discrete graphics card of this size instead of its GPU [bytes]."""
        card = Memory(vram_bytes, Span.exact(vram_bytes), "as asked for, all of it free")
        discrete = self.device is not None and not self.unified
        return replace(
            self,
            device=card,
            unified=False,
            own_limit=False,
            backend=self.backend if discrete else "cuda",
            gpu_bytes=vram_bytes,
            context=self.context if discrete else CARD_CONTEXT,
            context_source=self.context_source if discrete else CARD_CONTEXT_SOURCE,
        )

    def with_budget(self, budget_bytes: float) -> Machine:
        """The same machine, of whose models' memory no more than this may be used: the GPU's, or the system's without one."""
        budget = Span.exact(budget_bytes)
        source = "the budget that was asked for"
        if self.device is None or self.unified:
            host = replace(self.host, usable=budget, source=source)
            device = None if self.device is None else replace(self.device, usable=budget, source=source)
            return replace(self, host=host, device=device, own_limit=False)
        return replace(self, device=replace(self.device, usable=budget, source=source))

    @property
    def models_memory(self) -> Memory:
        """Where models live: the GPU's memory, or the system's without one."""
        return self.device or self.host

    @property
    def integrated(self) -> bool:
        """Whether the GPU shares the system's memory."""
        return self.device is not None and self.unified


def machine_of(profile: HardwareProfile) -> Machine:
    """Reduce a profile to what an estimate needs."""
    cpu, gpu, ram = profile.cpu, profile.gpu, profile.cpu_memory
    context = None if gpu is None or gpu.context_bytes is None else gpu.context_bytes
    found = assembled(
        name=profile.full_name,
        host=_memory(ram.capacity_bytes.value, ram.usable_bytes),
        device=None if gpu is None else _memory(profile.pool_of(gpu).capacity_bytes.value, profile.usable_of(gpu)),
        unified=profile.is_unified,
        swap_bytes=ram.swap_bytes.value if ram.swap_bytes else 0.0,
        threads=cpu.cores,
        features=cpu.features,
        backends=() if gpu is None else gpu.backends,
        context=None if context is None else (_span(context), context.source),
        gpus=sum(processor.kind == "gpu" for processor in profile.processors),
        storage=_span(profile.storage[0].read_bytes_per_s) if profile.storage and profile.storage[0].read_bytes_per_s else None,
        bandwidth_bytes_per_s=ram.bandwidth_bytes_per_s.value if ram.bandwidth_bytes_per_s else 0.0,
    )
    return replace(found, like=profile.like)


def assembled(
    name: str,
    host: Memory,
    swap_bytes: float,
    threads: int,
    features: Iterable[str],
    device: Memory | None = None,
    unified: bool = False,
    backends: Collection[str] = (),
    context: tuple[Span, str] | None = None,
    gpus: int = 0,
    storage: Span | None = None,
    bandwidth_bytes_per_s: float = 0.0,
) -> Machine:
    """A machine of these figures, and what has to be assumed of it.

    Args:
        name: of the machine.
        host, device, unified: its memories.
        swap_bytes: that the system swaps to [bytes].
        threads: worker threads of a server [1].
        features: instruction sets of the CPU.
        backends: programming interfaces of the GPU.
        context: what every process loses on the GPU, and where that is from; None where nothing is known.
        gpus: how many there are [1].
        storage: how fast files are read; None where nothing is known [bytes/s].
        bandwidth_bytes_per_s: of the system's memory; 0 where nothing is known [bytes/s].
    """
    found, doubts = frozenset(features), []
    if not found:
        found = WHEEL_FEATURES
        doubts.append(f"profile {name} does not say what its CPU can do; matrices are copied as on AVX2")
    if any(feature.startswith("amx") for feature in found):
        doubts.append("what a build for AMX copies into that layout is not modelled; a build for AVX-512 is assumed")
    if gpus > 1:
        doubts.append("only the first GPU is counted")
    known = context or ((CARD_CONTEXT, CARD_CONTEXT_SOURCE) if device else (NOTHING, ""))
    backend = next((name for name in _GPU_PREFERENCE if name in backends), "")
    return Machine(
        name=name,
        host=host,
        device=device,
        unified=unified,
        own_limit=device is not None and unified and device.usable != host.usable,
        swap_bytes=swap_bytes,
        threads=threads,
        features=found,
        wheel_features=MAC_WHEEL_FEATURES if backend == METAL else WHEEL_FEATURES,
        backend=backend,
        gpu_bytes=0.0 if device is None else device.usable.value if unified else device.capacity_bytes,
        context=known[0],
        context_source=known[1],
        doubts=tuple(doubts),
        backends=tuple(backends),
        storage_bytes_per_s=storage,
        bandwidth_bytes_per_s=bandwidth_bytes_per_s,
    )


def _memory(capacity_bytes: float, usable: Quantity) -> Memory:
    return Memory(capacity_bytes, _span(usable), usable.source)


def _span(quantity: Quantity) -> Span:
    return Span(quantity.value, quantity.lower, quantity.upper)
