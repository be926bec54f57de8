"""Servers' own rules: what --fit of llama.cpp changes, what Ollama predicts and evicts, what the system does in the end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mmpredict.cost.admission import ollama
from mmpredict.cost.admission.llama_fit import (
    MARGIN_BYTES,
    MIN_CONTEXT_TOKENS,
    Fitted,
    Measure,
    Start,
    fit,
    projected_on_gpu,
    projected_on_host,
)
from mmpredict.cost.admission.system import outcome
from mmpredict.cost.memory import InstanceMemory, instance_memory
from mmpredict.cost.overhead import LLAMA_SERVER
from mmpredict.cost.placement import Placement, device_tensor_bytes, host_weights, in_place_bytes, most_gpu_layers
from mmpredict.errors import InputError
from mmpredict.models.cache import CacheOptions, cache_bytes
from mmpredict.models.catalog import catalog_spec
from mmpredict.models.spec import ModelSpec
from mmpredict.units import GIB, MIB

DENSE = catalog_spec("qwen2.5-1.5b", "Q4_K_M")
MIXTURE = catalog_spec("qwen3-30b-a3b", "Q4_K_M")
OPTIONS = CacheOptions(8192, slots=1, unified=False)


def measured(spec: ModelSpec) -> Measure:
    def measure(options: CacheOptions, placement: Placement) -> InstanceMemory:
        return instance_memory(spec, options, LLAMA_SERVER, placement)

    return measure


def fitted(spec: ModelSpec, free: float, options: CacheOptions = OPTIONS, auto_context: bool = False, layers: int = -1) -> Fitted:
    start = Start(
        spec=spec,
        options=options,
        placement=Placement(gpu_layers=most_gpu_layers(spec) if layers < 0 else layers, repacking=False),
        auto_context=auto_context,
        auto_layers=layers < 0,
        in_place_bytes=0,
    )
    return fit(start, free, measured(spec))


def on_gpu(spec: ModelSpec, placement: Placement, options: CacheOptions = OPTIONS) -> float:
    return projected_on_gpu(measured(spec)(options, placement))


def test_what_fits_is_left_alone() -> None:
    found = fitted(DENSE, 24 * GIB, auto_context=True)
    assert (found.options, found.placement.gpu_layers, found.met) == (OPTIONS, most_gpu_layers(DENSE), True)
    assert found.projected_bytes == on_gpu(DENSE, found.placement)


@settings(max_examples=15)
@given(st.floats(1.0, 3.0))
def test_a_dense_model_has_the_most_layers_that_leave_the_margin(free_gib: float) -> None:
    target = free_gib * GIB - MARGIN_BYTES
    found = fitted(DENSE, free_gib * GIB)
    counts = range(most_gpu_layers(DENSE) + 1)
    fitting = [layers for layers in counts if on_gpu(DENSE, Placement(gpu_layers=layers, repacking=False)) <= target]
    assert found.placement.gpu_layers == max(fitting)
    assert not found.placement.kept


def test_layers_that_were_asked_for_stay_although_the_margin_is_missed() -> None:
    found = fitted(DENSE, 1 * GIB, layers=20)
    assert (found.placement.gpu_layers, found.met) == (20, False)


@given(st.floats(0.02, 0.98), st.sampled_from([(1, False), (4, True), (3, False)]))
def test_an_automatic_context_is_interpolated(share: float, slots: tuple[int, bool]) -> None:
    count, unified = slots
    streams = 1 if unified else count
    full = CacheOptions(32768 * streams, count, unified=unified)
    least = replace(full, context_tokens=MIN_CONTEXT_TOKENS * streams)
    most_bytes, least_bytes = (on_gpu(DENSE, Placement(gpu_layers=29, repacking=False), options) for options in (full, least))
    target = least_bytes + share * (most_bytes - least_bytes)
    found = fitted(DENSE, target + MARGIN_BYTES, full, auto_context=True)
    line = least.context_tokens + share * (full.context_tokens - least.context_tokens)
    assert found.met
    assert found.options.context_tokens % (256 * streams) == 0
    assert line - 256 * streams - 1 <= found.options.context_tokens <= line
    assert found.placement.gpu_layers == 29


def test_when_the_smallest_context_is_too_much_layers_stay_behind() -> None:
    found = fitted(DENSE, 1.6 * GIB, CacheOptions(32768, 4), auto_context=True)
    assert found.options.context_tokens == MIN_CONTEXT_TOKENS
    assert 0 < found.placement.gpu_layers < most_gpu_layers(DENSE)
    assert found.met


def test_a_context_at_or_below_the_least_is_not_touched() -> None:
    options = CacheOptions(2048, 4)
    assert fitted(DENSE, 1.2 * GIB, options, auto_context=True).options == options


@settings(max_examples=25)
@given(st.floats(2.0, 20.0))
def test_experts_of_a_mixture_stay_behind_first(free_gib: float) -> None:
    found = fitted(MIXTURE, free_gib * GIB)
    target, most = free_gib * GIB - MARGIN_BYTES, most_gpu_layers(MIXTURE)
    experts = {tensor.name for tensor in MIXTURE.tensors if tensor.is_expert}
    dense = on_gpu(MIXTURE, Placement(gpu_layers=most, repacking=False, kept=frozenset(experts)))
    used = on_gpu(MIXTURE, found.placement)
    assume(used > 0)
    assert used <= target
    if dense <= target - 400 * MIB:  # llama.cpp keeps the first layer whole while it fills the others
        assert found.placement.gpu_layers == most
    if found.placement.gpu_layers == most and found.placement.kept:
        # one more layer with all of its experts would be too much
        layers = sorted({tensor.layer for tensor in MIXTURE.tensors if tensor.name in found.placement.kept and tensor.is_expert})
        assert layers == list(range(layers[0] or 0, MIXTURE.shape.n_layers))
        fewer = frozenset(name for name in found.placement.kept if f"blk.{layers[0]}." not in name)
        assert on_gpu(MIXTURE, replace(found.placement, kept=fewer)) > target


def test_of_the_first_partial_layer_as_much_as_fits_is_on_the_gpu() -> None:
    seen = set()
    for step in range(40):
        found = fitted(MIXTURE, (8 + step * 0.02) * GIB)
        kept = found.placement.kept
        first = min(tensor.layer for tensor in MIXTURE.tensors if tensor.name in kept and tensor.layer is not None)
        seen.add(tuple(sorted(name.partition(f"blk.{first}.")[2] for name in kept if name.startswith(f"blk.{first}."))))
    parts = ("ffn_down_exps.weight", "ffn_gate_exps.weight", "ffn_up_exps.weight")
    assert seen == {
        ("ffn_down_exps.weight", "ffn_gate_exps.weight", "ffn_gate_inp.weight"),
        ("ffn_down_exps.weight",),
        tuple(sorted((*parts, "ffn_gate_inp.weight"))),
    }


def test_kept_tensors_move_from_the_gpu_to_the_host_byte_for_byte() -> None:
    kept = frozenset(tensor.name for tensor in MIXTURE.tensors if tensor.is_expert and (tensor.layer or 0) >= 40)
    size = sum(tensor.size_bytes for tensor in MIXTURE.tensors if tensor.name in kept)
    most = most_gpu_layers(MIXTURE)
    assert device_tensor_bytes(MIXTURE, most) - device_tensor_bytes(MIXTURE, most, kept) == size
    whole, partial = Placement(gpu_layers=most), Placement(gpu_layers=most, kept=kept)
    assert host_weights(MIXTURE, partial)[0] - host_weights(MIXTURE, whole)[0] == size


def test_without_a_gpu_copied_matrices_are_overlooked() -> None:
    start = Start(DENSE, OPTIONS, Placement(), False, False, in_place_bytes(DENSE, Placement()))
    counted = projected_on_host(DENSE, OPTIONS, start.in_place_bytes)
    copied = host_weights(DENSE, start.placement)[1]
    memory = measured(DENSE)(OPTIONS, replace(start.placement, mapped=False))
    assert copied > 0.3 * DENSE.weight_bytes
    assert counted == pytest.approx(memory.host.weights + memory.host.kv_cache + memory.host.compute - copied, rel=0.01)
    found = fit(start, counted + MARGIN_BYTES, measured(DENSE))
    assert found.met
    assert not fit(start, counted + MARGIN_BYTES - 1, measured(DENSE)).met


def test_ollama_predicts_from_the_file_and_a_plain_cache() -> None:
    shape = DENSE.shape
    # 28 layers, 2 key heads of 1536 ÷ 12 each: two bytes for keys and for values
    assert ollama.predicted_bytes(DENSE, 4096) == DENSE.file_bytes + 4096 * 28 * 2 * 128 * 4
    assert ollama.predicted_bytes(DENSE, 4096) - DENSE.file_bytes == cache_bytes(shape, CacheOptions(4096))


def test_ollama_ignores_windows_and_takes_the_least_key_heads() -> None:
    gemma = catalog_spec("gemma3-27b", "Q4_K_M")
    predicted = ollama.predicted_bytes(gemma, 32768) - gemma.file_bytes
    assert predicted > 3 * cache_bytes(gemma.shape, CacheOptions(32768))
    uneven = replace(DENSE, shape=replace(DENSE.shape, n_kv_heads=(0, *(2,) * 27)))
    assert ollama.predicted_bytes(uneven, 1000) - DENSE.file_bytes == 1000 * 28 * 1 * 128 * 4


@pytest.mark.parametrize(
    ("gpu_bytes", "tokens"), [(0, 4096), (23 * GIB - 1, 4096), (23 * GIB, 32768), (47 * GIB - 1, 32768), (47 * GIB, 262144)]
)
def test_ollama_default_context_by_gpu_memory(gpu_bytes: float, tokens: int) -> None:
    assert ollama.default_context_tokens(gpu_bytes) == tokens


def test_ollama_context_is_bounded_by_training() -> None:
    assert ollama.context_tokens(262144, DENSE.shape) == DENSE.shape.context_length
    assert ollama.context_tokens(1, DENSE.shape) == 4


@pytest.mark.parametrize(
    ("cells", "predicted", "available", "batch"),
    [
        (4096, 1 * GIB, 24 * GIB, 512),
        (4097, 1 * GIB, 24 * GIB, 1024),
        (32768, 1 * GIB, 24 * GIB, 1024),
        (32769, 1 * GIB, 24 * GIB, 2048),
        (32769, 1 * GIB, 0, 2048),  # without a GPU nothing is checked
        (65536, 0.61 * 24 * GIB, 24 * GIB, 1024),  # more than 60 %: no room for 2048
        (65536, 0.76 * 24 * GIB, 24 * GIB, 512),  # more than 75 %
        (65536, 0.599 * 8 * GIB, 8 * GIB, 1024),  # 60 % and 2 GiB are more than 80 % of 8 GiB
        (65536, 30 * GIB, 24 * GIB, 512),
    ],
)
def test_ollama_batch_by_context_and_headroom(cells: int, predicted: float, available: float, batch: int) -> None:
    assert ollama.batch_tokens(DENSE.shape, cells, predicted, available) == batch


def test_ollama_batch_of_embedding_models() -> None:
    encoder = catalog_spec("nomic-embed-text-v1.5", "F16").shape
    assert ollama.batch_tokens(encoder, 8192, 1e12, 1) == 2048
    assert ollama.batch_tokens(encoder, 512, 1e12, 1) == 512
    assert ollama.surcharge_bytes(encoder, 2048) == 0
    assert ollama.slots(4, encoder) == 1


def test_ollama_surcharge_and_slots() -> None:
    assert [ollama.surcharge_bytes(DENSE.shape, batch) for batch in (512, 1024, 2048)] == [0, 768 * MIB, 2 * GIB]
    assert ollama.slots(4, DENSE.shape) == 4
    assert ollama.slots(4, replace(DENSE.shape, architecture="qwen3next")) == 1


def test_ollama_loads_the_first_model_whatever_its_size() -> None:
    assert not ollama.evicts(100 * GIB, 1 * GIB, loaded=0)
    assert ollama.evicts(0.81 * GIB, 1 * GIB, loaded=1)
    assert not ollama.evicts(0.8 * GIB, 1 * GIB, loaded=1)


def test_ollama_maps_files_only_beside_a_discrete_gpu_or_metal() -> None:
    def maps(gpu: bool = True, integrated: bool = False, backend: str = "cuda", partial: bool = False, tight: bool = False) -> bool:
        return ollama.maps_file(gpu, integrated, backend, partial, tight)

    assert maps()
    assert not maps(gpu=False)
    assert not maps(integrated=True)
    assert maps(integrated=True, backend="metal")
    assert not maps(integrated=True, backend="metal", partial=True)
    assert not maps(tight=True)
    assert ollama.host_pressure(5e9, 0, 12.9e9, 64e9)
    assert not ollama.host_pressure(5e9, 0, 13.1e9, 64e9)
    assert ollama.host_pressure(5e9, 3e9, 15e9, 64e9)


def test_ollama_has_one_type_of_cache() -> None:
    ollama.check_cache_types("q8_0", "q8_0")
    with pytest.raises(InputError, match="one type"):
        ollama.check_cache_types("f16", "q8_0")
    with pytest.raises(InputError, match="q5_1; allowed: f16, q8_0, q4_0"):
        ollama.check_cache_types("q5_1", "q5_1")


@pytest.mark.parametrize(
    ("needed", "mapped", "swap", "expected"),
    [
        (10, 0, 0, "fits"),
        (11, 5, 0, "reads again"),
        (15, 5, 0, "reads again"),
        (16, 5, 0, "killed"),
        (16, 5, 1, "swaps"),
        (17, 5, 1, "killed"),
    ],
)
def test_what_the_system_does(needed: float, mapped: float, swap: float, expected: str) -> None:
    assert outcome(needed, mapped, 10, swap) == expected


@pytest.mark.parametrize("spec", [DENSE, MIXTURE], ids=["dense", "mixture"])
def test_where_nothing_is_free_no_layer_is_on_the_gpu(spec: ModelSpec) -> None:
    assert fitted(spec, 0, auto_context=True).placement == Placement(gpu_layers=0, repacking=False)
