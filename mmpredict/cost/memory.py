"""Memory of one instance on a CPU, part by part.

Weights stay mapped from the file (shared between processes that map the same file); matrices that the CPU repacks exist a
second time, privately. The KV cache is allocated, and zero-filled, for the whole context at load.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmpredict.cost.coefficients import MemoryCoefficients
from mmpredict.models.spec import ModelSpec

FLOAT_BYTES = 4
MASK_BYTES = 2


@dataclass(frozen=True, slots=True)
class InstanceMemory:
    """Parts of an instance's memory [bytes]; ``mapped`` is counted once for all instances of one file."""

    mapped: float
    repacked: float
    kv_cache: float
    compute: float
    output: float
    process: float

    @property
    def private(self) -> float:
        """What every instance needs for itself [bytes]."""
        return self.repacked + self.kv_cache + self.compute + self.output + self.process

    @property
    def total(self) -> float:
        """What one instance alone needs [bytes]."""
        return self.mapped + self.private


def compute_buffer_parts(spec: ModelSpec, context_tokens: int, ubatch_tokens: int) -> tuple[float, float, float]:
    """Bytes of the compute buffer per coefficient: (embedding rows, feed-forward rows, attention mask)."""
    return (
        FLOAT_BYTES * ubatch_tokens * spec.n_embd,
        FLOAT_BYTES * ubatch_tokens * spec.n_ff,
        MASK_BYTES * ubatch_tokens * context_tokens,
    )


def output_buffer_bytes(spec: ModelSpec, slots: int) -> float:
    """Logits of one token for every slot [bytes]."""
    return FLOAT_BYTES * spec.n_vocab * slots


def instance_memory(
    spec: ModelSpec, context_tokens: int, slots: int, ubatch_tokens: int, coefficients: MemoryCoefficients
) -> InstanceMemory:
    """Memory of one instance [bytes]."""
    embedding, feed_forward, mask = compute_buffer_parts(spec, context_tokens, ubatch_tokens)
    return InstanceMemory(
        mapped=spec.weight_bytes,
        repacked=spec.repacked_bytes,
        kv_cache=spec.kv_cache_bytes(context_tokens, slots, ubatch_tokens),
        compute=coefficients.embedding_rows * embedding + coefficients.feed_forward_rows * feed_forward + mask,
        output=output_buffer_bytes(spec, slots),
        process=coefficients.process_bytes,
    )
