"""A machine reduced to what an estimate of memory needs: its memories, and what processors find in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from mmpredict.hardware.profile import HardwareProfile
from mmpredict.hardware.quantity import Quantity
from mmpredict.models.repacking import MAC_WHEEL_FEATURES, WHEEL_FEATURES
from mmpredict.results.estimate import NOTHING, Span
from mmpredict.units import MIB, format_bytes

THIS_MACHINE = "this-machine"
METAL = "metal"
# Of a discrete card that is only a size: what Ollama sets aside, and what was seen of CUDA processes (docs/memory.md).
CARD_CONTEXT = Span(457 * MIB, 256 * MIB, 750 * MIB)
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
            context_source=self.context_source if discrete else "Ollama reserves 457 MiB per GPU; 256 to 750 MiB were seen",
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


def read_machine(name: str) -> Machine:
    """The machine of a name as ``find_profile`` takes it, read anew."""
    from mmpredict.hardware.library import find_profile

    return machine_of(find_profile(name))


@lru_cache(maxsize=64)
def shipped_machine(name: str) -> Machine:
    """The machine of a profile that does not change between two calls."""
    return read_machine(name)


def this_machine() -> Machine:
    """The machine that this runs on: what it is, once, and what is free of its memory, anew."""
    from mmpredict.hardware.detect import usable_memory

    machine = _found_machine()
    if machine.device is not None:
        return read_machine(THIS_MACHINE)
    return replace(machine, host=replace(machine.host, usable=Span.exact(usable_memory().available_bytes)))


@lru_cache(maxsize=1)
def _found_machine() -> Machine:
    return read_machine(THIS_MACHINE)


def machine_of(profile: HardwareProfile) -> Machine:
    """Reduce a profile to what an estimate needs."""
    cpu, gpu = profile.cpu, profile.gpu
    host = _memory(profile.cpu_memory.capacity_bytes.value, profile.cpu_memory.usable_bytes)
    features = frozenset(cpu.features)
    doubts = []
    if not features:
        features = WHEEL_FEATURES
        doubts.append(f"profile {profile.name} does not say what its CPU can do; matrices are copied as on AVX2")
    if any(feature.startswith("amx") for feature in features):
        doubts.append("what a build for AMX copies into that layout is not modelled; a build for AVX-512 is assumed")
    if sum(processor.kind == "gpu" for processor in profile.processors) > 1:
        doubts.append("only the first GPU is counted")
    device, context, source = None, NOTHING, ""
    if gpu is not None:
        device = _memory(profile.pool_of(gpu).capacity_bytes.value, profile.usable_of(gpu))
        context, source = CARD_CONTEXT, "not stated in the profile; Ollama reserves 457 MiB per GPU, 256 to 750 MiB were seen"
        if gpu.context_bytes is not None:
            context, source = _span(gpu.context_bytes), gpu.context_bytes.source
    backends = () if gpu is None else gpu.backends
    backend = next((name for name in _GPU_PREFERENCE if name in backends), "")
    return Machine(
        name=profile.full_name,
        host=host,
        device=device,
        unified=profile.is_unified,
        own_limit=device is not None and profile.is_unified and device.usable != host.usable,
        swap_bytes=profile.cpu_memory.swap_bytes.value if profile.cpu_memory.swap_bytes else 0.0,
        threads=cpu.cores,
        features=features,
        wheel_features=MAC_WHEEL_FEATURES if backend == METAL else WHEEL_FEATURES,
        backend=backend,
        gpu_bytes=0.0 if device is None else device.usable.value if profile.is_unified else device.capacity_bytes,
        context=context,
        context_source=source,
        doubts=tuple(doubts),
    )


def describe(machine: Machine) -> str:
    """One line for people: the memories and what is usable of them."""
    if machine.device is None:
        return f"{machine.name}: {format_bytes(machine.host.usable.value)} of RAM usable"
    if machine.unified:
        return f"{machine.name}: {format_bytes(machine.host.usable.value)} of unified memory usable"
    card, host = format_bytes(machine.device.usable.value), format_bytes(machine.host.usable.value)
    return f"{machine.name}: {card} of VRAM and {host} of RAM usable"


def _memory(capacity_bytes: float, usable: Quantity) -> Memory:
    return Memory(capacity_bytes, _span(usable), usable.source or "no source")


def _span(quantity: Quantity) -> Span:
    return Span(quantity.value, quantity.lower, quantity.upper)
