"""Memory of an instance: exact where bytes are known, and nothing counted twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.cost.coefficients import Coefficients, MemoryCoefficients
from mmpredict.cost.memory import compute_buffer_parts, instance_memory
from mmpredict.models.catalog import catalog_spec
from mmpredict.models.quantization import weight_type
from mmpredict.models.spec import ModelSpec

SPECS = [
    catalog_spec(name, weight_type(matrices))
    for name in ("smollm2-135m", "gemma3-1b", "probe-wide")
    for matrices in ("q8_0", "q4_0")
]
NOTHING = MemoryCoefficients(process_bytes=0, embedding_rows=0, feed_forward_rows=0, log_spread=0)

contexts, slot_counts, ubatches = st.integers(16, 20_000), st.integers(1, 8), st.integers(1, 2048)


@given(st.sampled_from(SPECS), contexts, slot_counts, ubatches)
def test_parts_add_up(coefficients: Coefficients, spec: ModelSpec, context: int, slots: int, ubatch: int) -> None:
    memory = instance_memory(spec, context, slots, ubatch, coefficients.memory)
    assert memory.total == pytest.approx(sum(astuple(memory)), rel=1e-12)
    assert memory.private == pytest.approx(memory.total - spec.weight_bytes, rel=1e-12)
    assert min(astuple(memory)) >= 0


@given(st.sampled_from(SPECS), contexts, slot_counts, ubatches)
def test_more_context_slots_or_batch_never_need_less(
    coefficients: Coefficients, spec: ModelSpec, context: int, slots: int, ubatch: int
) -> None:
    def total(context: int, slots: int, ubatch: int) -> float:
        return instance_memory(spec, context, slots, ubatch, coefficients.memory).total

    base = total(context, slots, ubatch)
    assert total(context + 256, slots, ubatch) > base
    assert total(context, slots + 1, ubatch) > base
    assert total(context, slots, ubatch + 1) > base


def test_kv_cache_of_a_model_of_known_size(make_spec: Callable[[str], ModelSpec]) -> None:
    # 30 layers, 3 heads of 64 for keys and for values, 2 bytes each, 4096 cells
    memory = instance_memory(make_spec("smollm2-135m@q8_0"), 4096, 4, 512, NOTHING)
    assert memory.kv_cache == 30 * 2 * 3 * 64 * 2 * 4096
    assert memory.output == 4 * 49152 * 4
    assert memory.process == 0


def test_kv_cache_is_padded_to_256_cells(make_spec: Callable[[str], ModelSpec]) -> None:
    sizes = [instance_memory(make_spec("smollm2-135m@q8_0"), context, 4, 512, NOTHING).kv_cache for context in (1, 256, 257, 512)]
    assert sizes[0] == sizes[1] < sizes[2] == sizes[3] == 2 * sizes[0]


def test_local_layers_hold_their_windows_and_a_batch_only(make_spec: Callable[[str], ModelSpec]) -> None:
    # 15 of 18 layers see 512 tokens: 4 windows and a batch of 512 are 2560 cells; the other 3 hold all 32768.
    spec = make_spec("gemma3-270m@q8_0")
    cell = 2 * 1 * 256 * 2
    assert instance_memory(spec, 32768, 4, 512, NOTHING).kv_cache == cell * (3 * 32768 + 15 * 2560)
    assert instance_memory(spec, 2048, 4, 512, NOTHING).kv_cache == cell * 18 * 2048


def test_repacked_matrices_exist_twice(make_spec: Callable[[str], ModelSpec]) -> None:
    plain, repacked = (instance_memory(make_spec(f"llama3.2-1b@{name}"), 4096, 4, 512, NOTHING) for name in ("q8_0", "q4_0"))
    assert plain.repacked == 0
    vectors = 4 * 2048 * (2 * 16 + 1)
    assert repacked.repacked == repacked.mapped - vectors, "every matrix, the tied embedding among them, but no vector"


def test_an_untied_embedding_is_not_repacked(make_spec: Callable[[str], ModelSpec]) -> None:
    spec = make_spec("probe-wide@q4_0")
    memory = instance_memory(spec, 4096, 4, 512, NOTHING)
    embedding = next(tensor for tensor in spec.tensors if tensor.name == "token_embd.weight")
    vectors = sum(tensor.size_bytes for tensor in spec.tensors if len(tensor.shape) == 1)
    assert memory.repacked == memory.mapped - embedding.size_bytes - vectors


def test_compute_buffer_is_linear_in_its_rows(make_spec: Callable[[str], ModelSpec]) -> None:
    spec = make_spec("smollm2-135m@q8_0")
    embedding, feed_forward, mask = compute_buffer_parts(spec, 4096, 512)
    assert (embedding, feed_forward, mask) == (4 * 512 * 576, 4 * 512 * 1536, 2 * 512 * 4096)
    rows = MemoryCoefficients(process_bytes=5, embedding_rows=3, feed_forward_rows=2, log_spread=0)
    memory = instance_memory(spec, 4096, 4, 512, rows)
    assert (memory.compute, memory.process) == (3 * embedding + 2 * feed_forward + mask, 5)
