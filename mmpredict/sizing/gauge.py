"""Memory of one model under changing options, in the words of results; every answer is kept."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mmpredict.cost.memory import InstanceMemory, MemoryParts, instance_memory
from mmpredict.cost.overhead import OVERHEADS, Overhead
from mmpredict.cost.placement import Placement, host_weights, in_place_bytes
from mmpredict.models.cache import CacheOptions
from mmpredict.models.spec import ModelSpec
from mmpredict.results.estimate import Parts, Span

INEXACT_SHARE = 0.3
"""How far off a compute buffer is taken to be where another architecture's graph stands in for the model's (assumed)."""


@dataclass(frozen=True, eq=False)
class Gauge:
    """Memory of one model in one engine.

    Attributes:
        spec: the model.
        overhead: of the engine's process.
        threads: worker threads [1].
        shares_pages: whether the GPU works on mapped pages of the file itself, as with Metal.
    """

    spec: ModelSpec
    overhead: Overhead
    threads: int
    shares_pages: bool = False
    _known: dict[tuple[CacheOptions, Placement, float], InstanceMemory] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """What identifies the model's file: two instances with the same share its pages."""
        return self.spec.file

    def at(self, options: CacheOptions, placement: Placement, context_bytes: float = 0.0) -> InstanceMemory:
        """Memory with these options; ``context_bytes`` is what the process loses on the GPU [bytes]."""
        key = (options, placement, context_bytes)
        found = self._known.get(key)
        if found is None:
            found = instance_memory(self.spec, options, self.overhead, placement, self.threads, context_bytes)
            if self.shares_pages and placement.mapped and placement.gpu_layers:
                found = replace(found, device=self._on_pages(found.device))
            self._known[key] = found
        return found

    def idle_bytes(self, placement: Placement) -> float:
        """Mapped pages that are only read to be copied: they stay where there is room, and give way at no cost [bytes]."""
        if not placement.mapped:
            return 0.0
        mapped, _ = host_weights(self.spec, placement)
        return max(0.0, mapped - self.in_place_bytes(placement))

    def in_place_bytes(self, placement: Placement) -> float:
        """Weights on the host that the CPU uses as they are [bytes]."""
        return in_place_bytes(self.spec, placement)

    def _on_pages(self, device: MemoryParts) -> MemoryParts:
        """A tied output matrix is the embedding table's own pages, which the host counts already."""
        output = self.spec.output_matrix if self.spec.tied_output else None
        return replace(device, mapped=device.weights - (output.size_bytes if output else 0), weights=0)

    def process_bytes(self, slots: int) -> Span:
        """Program, libraries, vocabulary: as measured for this engine, between the engines that were measured [bytes]."""
        each = [overhead.shared_bytes + overhead.private_bytes(self.spec, slots) for overhead in OVERHEADS.values()]
        return Span(self.overhead.shared_bytes + self.overhead.private_bytes(self.spec, slots), min(each), max(each))


def parts(memory: MemoryParts) -> Parts:
    """The same numbers as results keep them."""
    return Parts(memory.mapped, memory.weights, memory.kv_cache, memory.compute, memory.output, memory.process)


def inexact_bytes(memory: InstanceMemory, part: MemoryParts) -> float:
    """How far the compute buffer of a part may be off [bytes]."""
    return INEXACT_SHARE * part.compute if memory.doubts else 0.0
