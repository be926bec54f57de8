"""Memory of one instance, part by part: what the host holds, and what a GPU holds.

Weights that stay mapped from the file are shared between processes that map the same file. Private copies are what a CPU
copies into its own layout, or what is uploaded to a GPU. Cache, compute buffer and output buffer are allocated at load for the
whole configured context. Sizes of weights and cache are exact; the compute buffer follows from the graph (``cost.graph``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from mmpredict.cost.graph import compute_buffer, work_buffer_bytes
from mmpredict.cost.overhead import Overhead
from mmpredict.cost.placement import REMEMBERED, Placement, device_tensor_bytes, host_weights, on_gpu, streamed_bytes
from mmpredict.models.cache import CacheOptions, layer_cache_bytes
from mmpredict.models.spec import ModelSpec

FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class MemoryParts:
    """What an instance has in one memory [bytes].

    Attributes:
        mapped: pages of the model file, counted once for all instances of one file.
        weights: weights of its own: copied into the processor's layout, read without mapping, or uploaded.
        kv_cache: keys, values and recurrent states.
        compute: buffer of intermediate results, and the CPU's scratch.
        output: logits on their way to the sampler.
        process: program, vocabulary, runtime.
    """

    mapped: float = 0
    weights: float = 0
    kv_cache: float = 0
    compute: float = 0
    output: float = 0
    process: float = 0

    @property
    def private(self) -> float:
        """What every instance needs for itself [bytes]."""
        return self.weights + self.kv_cache + self.compute + self.output + self.process

    @property
    def total(self) -> float:
        """What one instance alone needs [bytes]."""
        return self.mapped + self.private

    def __add__(self, other: MemoryParts) -> MemoryParts:
        """Part by part: both in one memory."""
        return MemoryParts(
            self.mapped + other.mapped,
            self.weights + other.weights,
            self.kv_cache + other.kv_cache,
            self.compute + other.compute,
            self.output + other.output,
            self.process + other.process,
        )

    def scaled(self, factor: float) -> MemoryParts:
        """Every part times ``factor``."""
        parts = (self.mapped, self.weights, self.kv_cache, self.compute, self.output, self.process)
        return MemoryParts(*(factor * part for part in parts))


@dataclass(frozen=True, slots=True)
class InstanceMemory:
    """What an instance has on the host, and on the GPU.

    Attributes:
        host, device: parts by memory; ``device`` is empty without layers on a GPU.
        doubts: what is assumed where a rule is not known.
    """

    host: MemoryParts
    device: MemoryParts
    doubts: tuple[str, ...] = ()

    @property
    def total(self) -> float:
        """Both together: what a machine with one unified memory needs [bytes]."""
        return self.host.total + self.device.total


@dataclass(frozen=True, slots=True)
class Touched:
    """What requests use of a server's memory.

    Attributes:
        tokens: largest batch that is ever evaluated [tokens].
        slots: slots that ever serve a request [1].
    """

    tokens: int
    slots: int


def output_buffer_bytes(spec: ModelSpec, slots: int) -> float:
    """Logits of one token for every slot [bytes]; for an embedding model, its vectors."""
    return FLOAT_BYTES * slots * (spec.shape.n_vocab if spec.output_matrix else spec.shape.n_embd)


@lru_cache(REMEMBERED)
def instance_memory(
    spec: ModelSpec,
    options: CacheOptions,
    overhead: Overhead,
    placement: Placement | None = None,
    threads: int = 1,
    context_bytes: float = 0.0,
    touched: Touched | None = None,
) -> InstanceMemory:
    """Memory of one instance once it has served a full batch on every slot.

    Args:
        spec: the model.
        options: context, slots, batch and cache.
        overhead: of the engine's process.
        placement: where weights lie; all mapped on a CPU with AVX2 when not given.
        threads: worker threads, which each have scratch memory [1].
        context_bytes: what a process loses to the GPU's runtime [bytes].
        touched: what requests use of it, if that is not all: what is allocated beyond never becomes resident.
    """
    where = placement or Placement()
    caches = layer_cache_bytes(spec.shape, options)
    on_device = sum(size for layer, size in enumerate(caches) if on_gpu(spec, layer, where.gpu_layers))
    used = touched or Touched(options.ubatch_tokens, options.slots)
    largest = replace(options, ubatch_tokens=min(used.tokens, options.ubatch_tokens))
    buffer = compute_buffer(spec.shape, largest)
    mapped, copied = host_weights(spec, where)
    process = overhead.shared_bytes + overhead.private_bytes(spec, min(used.slots, options.slots))
    output = output_buffer_bytes(spec, options.slots)
    doubts = () if buffer.exact else (f"the compute buffer of {spec.shape.architecture} is taken to be that of {buffer.family}",)
    if not where.gpu_layers:
        compute = buffer.bytes + work_buffer_bytes(spec, largest, threads)
        return InstanceMemory(MemoryParts(mapped, copied, sum(caches), compute, output, process), MemoryParts(), doubts)
    return InstanceMemory(
        MemoryParts(mapped, copied, sum(caches) - on_device, buffer.host_bytes, output, process),
        MemoryParts(
            weights=device_tensor_bytes(spec, where.gpu_layers, where.kept),
            kv_cache=on_device,
            compute=buffer.device_bytes + streamed_bytes(spec, where.gpu_layers, where.kept),
            process=context_bytes,
        ),
        doubts,
    )
