"""Memory of an instance: exact where bytes are known, and nothing counted twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.cost.memory import MemoryParts, Touched, instance_memory, output_buffer_bytes
from mmpredict.cost.overhead import EMBEDDED, LLAMA_SERVER, OLLAMA, OVERHEADS, overhead_of, overhead_of_build
from mmpredict.cost.placement import Placement, host_weights, most_gpu_layers
from mmpredict.errors import UnknownNameError
from mmpredict.models.cache import CacheOptions, cache_bytes
from mmpredict.models.catalog import uniform_spec
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.models.spec import ModelSpec
from mmpredict.units import MIB

SPECS = [
    uniform_spec(name, weight_type(matrices))
    for name in ("smollm2-135m", "gemma3-1b", "probe-wide")
    for matrices in ("q8_0", "q4_0")
]
NOTHING = replace(EMBEDDED, shared_bytes=0, base_bytes=0, token_bytes=0, merge_bytes=0, candidate_bytes=0)
ORDINARY = CacheOptions(4096, 4, 512)

contexts, slot_counts, ubatches = st.integers(600, 20_000), st.integers(1, 8), st.integers(1, 512)


def parts_of(memory: MemoryParts) -> tuple[float, ...]:
    return memory.mapped, memory.weights, memory.kv_cache, memory.compute, memory.output, memory.process


@given(st.sampled_from(SPECS), contexts, slot_counts, ubatches, st.integers(0, 40))
def test_parts_add_up(spec: ModelSpec, context: int, slots: int, ubatch: int, layers: int) -> None:
    where = Placement(min(layers, most_gpu_layers(spec)))
    memory = instance_memory(spec, CacheOptions(context, slots, ubatch), EMBEDDED, where)
    for pool in (memory.host, memory.device):
        assert pool.total == pytest.approx(sum(parts_of(pool)), rel=1e-12)
        assert pool.private == pytest.approx(pool.total - pool.mapped, rel=1e-12)
        assert min(parts_of(pool)) >= 0
    assert memory.total == pytest.approx(memory.host.total + memory.device.total, rel=1e-12)
    assert memory.host.kv_cache + memory.device.kv_cache == cache_bytes(spec.shape, CacheOptions(context, slots, ubatch))


@given(st.sampled_from(SPECS), contexts, slot_counts, ubatches)
def test_more_context_slots_or_batch_never_need_less(spec: ModelSpec, context: int, slots: int, ubatch: int) -> None:
    def total(context: int, slots: int, ubatch: int) -> float:
        return instance_memory(spec, CacheOptions(context, slots, ubatch), EMBEDDED).total

    base = total(context, slots, ubatch)
    assert total(context + 256, slots, ubatch) > base
    assert total(context, slots + 1, ubatch) > base
    assert total(context, slots, ubatch + 1) >= base


def test_without_a_gpu_nothing_is_on_one(make_spec: Callable[[str], ModelSpec]) -> None:
    memory = instance_memory(make_spec("smollm2-135m@q8_0"), ORDINARY, EMBEDDED, context_bytes=5e8)
    assert memory.device == MemoryParts()


def test_a_full_offload_leaves_the_embedding_and_the_process(make_spec: Callable[[str], ModelSpec]) -> None:
    spec = make_spec("smollm2-135m@q8_0")
    memory = instance_memory(spec, ORDINARY, LLAMA_SERVER, Placement(most_gpu_layers(spec)), context_bytes=5e8)
    assert memory.host.kv_cache == 0
    assert memory.host.mapped == spec.output_matrix.size_bytes
    assert memory.device.weights == spec.weight_bytes
    assert memory.device.process == 5e8
    assert memory.device.compute > memory.host.compute > 0


def test_weights_are_those_of_the_placement(make_spec: Callable[[str], ModelSpec]) -> None:
    for name in ("llama3.2-1b@q8_0", "llama3.2-1b@q4_0"):
        spec = make_spec(name)
        for where in (Placement(), Placement(mapped=False), Placement(repacking=False)):
            host = instance_memory(spec, ORDINARY, EMBEDDED, where).host
            assert (host.mapped, host.weights) == host_weights(spec, where)


def test_output_buffer_holds_the_logits_of_every_slot(make_spec: Callable[[str], ModelSpec]) -> None:
    assert output_buffer_bytes(make_spec("smollm2-135m@q8_0"), 3) == 4 * 49152 * 3


def test_a_process_grows_with_its_vocabulary(make_spec: Callable[[str], ModelSpec]) -> None:
    # Measured: 21.3 MiB for 49 152 tokens, 62.4 MiB for 262 144, after one slot was used, without libraries (docs/memory.md).
    small, large = make_spec("smollm2-135m@q8_0"), make_spec("gemma3-270m@q8_0")
    assert EMBEDDED.private_bytes(small, 1) == pytest.approx(21.3 * MIB, rel=0.1)
    assert EMBEDDED.private_bytes(large, 1) == pytest.approx(62.4 * MIB, rel=0.1)
    assert EMBEDDED.private_bytes(replace(large, n_merges=262144), 1) == pytest.approx(103.1 * MIB, rel=0.1)
    assert EMBEDDED.private_bytes(large, 4) - EMBEDDED.private_bytes(large, 1) == pytest.approx(3 * 262144 * 14.5)


def test_engines_are_known_by_name() -> None:
    assert {overhead_of(name).engine for name in OVERHEADS} == set(OVERHEADS) == {"embedded", "llama-server", "ollama"}
    with pytest.raises(UnknownNameError, match="unknown engine 'olama'; did you mean ollama"):
        overhead_of("olama")


def test_nothing_beside_the_buffers_is_nothing(make_spec: Callable[[str], ModelSpec]) -> None:
    spec = make_spec("smollm2-135m@q8_0")
    assert instance_memory(spec, ORDINARY, NOTHING).host.process == 0
    assert instance_memory(spec, ORDINARY, EMBEDDED).host.process == EMBEDDED.shared_bytes + EMBEDDED.private_bytes(spec, 4)


@given(st.sampled_from(SPECS), st.integers(1, 600))
def test_what_no_batch_reaches_is_not_resident(spec: ModelSpec, tokens: int) -> None:
    def parts(touched: int | None) -> MemoryParts:
        return instance_memory(spec, ORDINARY, EMBEDDED, touched=None if touched is None else Touched(touched, ORDINARY.slots)).host

    assert parts(tokens).compute <= parts(tokens + 1).compute <= parts(None).compute
    assert parts(512) == parts(600) == parts(None)
    assert replace(parts(tokens), compute=0) == replace(parts(None), compute=0), "only buffers depend on it"


def test_the_build_decides_what_a_process_takes_besides() -> None:
    assert overhead_of_build("", "llama-server b1 (abc)") is LLAMA_SERVER
    assert overhead_of_build("ollama", "xllamacpp 2026.10.11549") is OLLAMA, "whom it is lent to comes first"
    assert overhead_of_build("openai", "xllamacpp 2026.10.11549") is EMBEDDED
