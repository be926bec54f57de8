"""Synthetic files: right for three readers (ours, gguf's, the catalog's arithmetic), whole or absent, at constant memory."""

from __future__ import annotations

import errno
import resource
import shutil
import tracemalloc
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import psutil
import pytest
from narrow import NARROW, narrow_spec

from mmpredict.errors import DoesNotFitError, InputError, StorageError, UnknownNameError
from mmpredict.models import catalog
from mmpredict.models.catalog import CATALOG
from mmpredict.models.gguf import weights_file
from mmpredict.models.gguf.blocks import BLOCKS, SYNTHESISABLE, WEIGHT_SPREAD, random_blocks
from mmpredict.models.gguf.header import read_header
from mmpredict.models.gguf.model import spec_from_gguf
from mmpredict.models.gguf.weights_file import model_header, write_header_only, write_model
from mmpredict.models.metadata.keys import LongArray
from mmpredict.models.quantization.weight_types import WEIGHT_TYPES
from mmpredict.models.shape import Shape, Window, local_layers
from mmpredict.models.spec import Tensor
from mmpredict.models.synthetic import cached_path, synthesize, synthetic_spec
from mmpredict.units import MIB

ARCHITECTURES = {"llama": "tinyllama-1.1b", "qwen2": "qwen2.5-0.5b", "gemma": "gemma-2b", "gemma3": "gemma3-1b"}
ALIGNMENT = 32
TINY: dict[str, Any] = {"n_layers": 7, "n_embd": 256, "n_heads": 4, "n_kv_heads": 2, "n_ff": 512, "n_vocab": 700}
TINY |= {"key_dim": 64, "value_dim": 64}


def put(monkeypatch: pytest.MonkeyPatch, name: str, base: str, **changes: Any) -> None:
    """Add a changed catalog shape to the catalog for one test."""
    row: Shape = replace(CATALOG[base], name=name, **changes)
    if row.window:
        row = replace(row, window=Window(row.window.tokens, local_layers(row.n_layers, 6)))
    monkeypatch.setitem(catalog.CATALOG, name, row)


@pytest.fixture(autouse=True)
def tiny_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    for architecture, base in ARCHITECTURES.items():
        put(monkeypatch, f"tiny-{architecture}", base, **TINY)
    put(monkeypatch, "tiny-odd", "smollm2-135m", **{**TINY, "n_embd": 288, "n_ff": 544})
    put(monkeypatch, "medium", "smollm2-135m", n_layers=4, n_embd=1024, n_ff=4096, n_vocab=8000)


def padded(size_bytes: int) -> int:
    return -(-size_bytes // ALIGNMENT) * ALIGNMENT


@pytest.mark.parametrize("weights", ["f16", "q8_0", "q4_0", "q4_k", "q6_k", "q4_k_m", "iq4_xs", "mxfp4_moe"])
@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "odd"])
def test_file_is_read_back_as_the_catalog_describes_it(tmp_path: Path, architecture: str, weights: str) -> None:
    name = f"synthetic:tiny-{architecture}@{weights}"
    path = synthesize(name, directory=tmp_path)
    expected = synthetic_spec(name)
    shape = replace(expected.shape, name=path.stem, source="GGUF header")
    assert spec_from_gguf(path) == replace(expected, name=path.stem, shape=shape, path=path, source="GGUF header")

    header = read_header(path)
    assert header.tensors == expected.tensors
    assert header.data_offset + sum(padded(tensor.size_bytes) for tensor in expected.tensors) == header.file_bytes
    assert header.metadata["tokenizer.ggml.tokens"] == LongArray(TINY["n_vocab"])

    theirs = gguf.GGUFReader(path).tensors
    assert [tensor.name for tensor in theirs] == [tensor.name for tensor in expected.tensors]
    assert [tuple(int(extent) for extent in tensor.shape) for tensor in theirs] == [tensor.shape for tensor in expected.tensors]
    assert [int(tensor.tensor_type) for tensor in theirs] == [tensor.type.gguf_id for tensor in expected.tensors]
    offset = header.data_offset
    for tensor, ours in zip(theirs, expected.tensors, strict=True):
        assert (tensor.data_offset, tensor.n_bytes) == (offset, ours.size_bytes)
        offset += padded(ours.size_bytes)


@pytest.mark.parametrize(("weights", "stored"), [("q4_k", "q5_0"), ("q5_k", "q5_1"), ("q6_k", "q8_0"), ("q4_0", "q4_0")])
def test_rows_that_no_256_block_divides_are_stored_as_llama_cpp_does(tmp_path: Path, weights: str, stored: str) -> None:
    header = read_header(synthesize(f"synthetic:tiny-odd@{weights}", directory=tmp_path))
    types = {tensor.name: tensor.type.name for tensor in header.tensors}
    assert types["token_embd.weight"] == types["blk.0.ffn_down.weight"] == stored
    assert types["blk.0.attn_output.weight"] == weights
    assert types["blk.0.attn_norm.weight"] == "f32"


@pytest.mark.parametrize("weights", SYNTHESISABLE)
def test_weights_have_mean_0_and_the_spread_of_a_fresh_transformer(tmp_path: Path, weights: str) -> None:
    for tensor in gguf.GGUFReader(synthesize(f"synthetic:tiny-llama@{weights}", directory=tmp_path)).tensors:
        decoded = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        if decoded.ndim == 1:
            assert (decoded == 1.0).all(), "a norm"
            continue
        assert np.isfinite(decoded).all()
        assert decoded.std() == pytest.approx(0.02, rel=0.015)
        assert abs(decoded.mean()) < 6 * 0.02 / decoded.size**0.5
        assert len(np.unique(tensor.data)) > 200, "bytes are not random"


def test_biases_are_0(tmp_path: Path) -> None:
    tensors = gguf.GGUFReader(synthesize("synthetic:tiny-qwen2@q8_0", directory=tmp_path)).tensors
    biases = [tensor for tensor in tensors if tensor.name.endswith(".bias")]
    assert len(biases) == 3 * TINY["n_layers"]
    assert not any(bias.data.any() for bias in biases)


def test_bytes_follow_from_name_and_seed_alone(tmp_path: Path) -> None:
    def content(folder: str, name: str = "tiny-llama@q8_0", seed: int = 0) -> bytes:
        return synthesize(f"synthetic:{name}", seed, tmp_path / folder, progress=lambda done, total: None).read_bytes()

    first = content("a")
    assert content("b") == first
    assert cached_path("synthetic:SmolLM2-135M@Q8_0") == cached_path("synthetic:smollm2-135m@q8_0")
    other = content("a", seed=1)
    assert len(other) == len(first)
    assert other != first


def test_file_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    path = cached_path("synthetic:tiny-llama@q8_0", directory=tmp_path)
    path.write_bytes(b"already here")
    assert synthesize("synthetic:tiny-llama@q8_0", directory=tmp_path) == path
    assert path.read_bytes() == b"already here"


def test_progress_ends_at_the_whole(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    synthesize("synthetic:medium@q8_0", directory=tmp_path, progress=lambda done, total: calls.append((done, total)))
    weight_bytes = synthetic_spec("synthetic:medium@q8_0").weight_bytes
    assert calls[-1] == (weight_bytes, weight_bytes)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_memory_does_not_follow_the_size(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        path = synthesize("synthetic:medium@q8_0", directory=tmp_path)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 60 * MIB
    assert peak_bytes < 32 * MIB


def test_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = weights_file.tensor_chunks

    def until_full(tensor: Any, generator: np.random.Generator) -> Iterator[memoryview]:
        yield from whole(tensor, generator)
        if tensor.name.startswith("blk.3."):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(weights_file, "tensor_chunks", until_full)
    with pytest.raises(StorageError, match="the disk is full; nothing was left behind"):
        synthesize("synthetic:tiny-llama@q8_0", directory=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_write_that_the_system_refuses_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
    try:
        with pytest.raises(StorageError, match="File too large"):
            synthesize("synthetic:tiny-llama@f16", directory=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_too_little_disk_is_noticed_before_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    spec = synthetic_spec("synthetic:tiny-llama@q8_0")
    needed = spec.weight_bytes + len(model_header(spec)) + weights_file.DISK_RESERVE_BYTES
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12, needed - 1))
    with pytest.raises(DoesNotFitError, match="free some room"):
        synthesize("synthetic:tiny-llama@q8_0", directory=tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12, needed))
    assert synthesize("synthetic:tiny-llama@q8_0", directory=tmp_path).is_file()


@pytest.mark.parametrize("moment", [1, 9])
def test_interruption_leaves_nothing(tmp_path: Path, moment: int) -> None:
    calls = 0

    def interrupt(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == moment:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize("synthetic:tiny-llama@q8_0", directory=tmp_path, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_failed_write_keeps_no_file_open(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    before = psutil.Process().num_fds()  # a file that was removed is on no list of open files, but has a descriptor
    with pytest.raises(KeyboardInterrupt) as caught:
        synthesize("synthetic:tiny-llama@q8_0", directory=tmp_path, progress=interrupt)
    assert caught.tb is not None, "the traceback keeps the writer alive"
    assert psutil.Process().num_fds() == before


def test_unusable_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot use"):
        synthesize("synthetic:tiny-llama@q8_0", directory=tmp_path / "file" / "models")

    def refused(*_: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(StorageError, match=r"cannot write .*: Permission denied"):
        synthesize("synthetic:tiny-llama@q8_0", directory=tmp_path)


def test_cache_directory_is_chosen_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMPREDICT_CACHE", str(tmp_path))
    path = synthesize("synthetic:tiny-llama@q8_0")
    assert path == cached_path("synthetic:tiny-llama@q8_0")
    assert path.parent == tmp_path / "models"


@pytest.mark.parametrize(
    ("name", "error", "advice"),
    [
        ("synthetic:tiny-llama", InputError, "synthetic:tiny-llama@q8_0"),
        ("synthetic:tiny-lama@q8_0", UnknownNameError, "did you mean .*tiny-llama"),
        ("synthetic:tiny-llama@q4_m", UnknownNameError, "did you mean .*q4_k"),
        ("synthetic:tiny-llama@iq2_xs", InputError, "allowed: f32, f16, bf16, q8_0"),
    ],
)
def test_names_that_cannot_be_used(name: str, error: type[InputError], advice: str) -> None:
    with pytest.raises(error, match=advice):
        synthetic_spec(name)


# --- blocks -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", SYNTHESISABLE)
def test_blocks_hold_neither_denormal_nor_infinite_numbers(weights: str) -> None:
    kind, count = WEIGHT_TYPES[weights], 4096
    content = random_blocks(kind, count, np.random.default_rng(1))
    assert content.size == count * kind.block_bytes
    decoded = gguf.quants.dequantize(content.reshape(count, -1), gguf.GGMLQuantizationType(kind.gguf_id))
    assert np.isfinite(decoded).all()
    assert decoded.std() == pytest.approx(WEIGHT_SPREAD, rel=0.03 if decoded.size < 10000 else 0.005)
    assert np.abs(decoded[decoded != 0]).min() > np.finfo(np.float16).tiny / 1000
    assert np.abs(decoded).max() < 20 * WEIGHT_SPREAD
    for offset, fixed in BLOCKS[weights].fixed if weights in BLOCKS else ():
        if isinstance(fixed, float):
            assert abs(np.float16(fixed)) > np.finfo(np.float16).tiny, f"the scale at {offset} is denormal"


def test_names_of_types_that_cannot_be_made() -> None:
    with pytest.raises(InputError, match="iq2_xs cannot be synthesised; allowed: f32, f16"):
        random_blocks(WEIGHT_TYPES["iq2_xs"], 1, np.random.default_rng(1))
    with pytest.raises(InputError, match="a vector cannot be made in q8_0; allowed: f32, f16, bf16"):
        list(weights_file.tensor_chunks(Tensor("x.bias", (32,), WEIGHT_TYPES["q8_0"]), np.random.default_rng(1)))
    with pytest.raises(InputError, match=r"puts tensors in iq3_s.*, which cannot be synthesised"):
        synthetic_spec("synthetic:tiny-llama@iq3_m")


# --- mixes and arbitrary models ---------------------------------------------------------------------------------------------


def test_a_weight_type_is_every_matrix_and_a_mix_is_llama_cpps() -> None:
    plain = {tensor.name: tensor.type.name for tensor in synthetic_spec("synthetic:tiny-llama@q4_k").tensors}
    mixed = {tensor.name: tensor.type.name for tensor in synthetic_spec("synthetic:tiny-llama@Q4_K_M").tensors}
    assert set(plain.values()) == {"q4_k", "f32"}
    assert mixed["output.weight"] == "q6_k"
    assert {mixed[f"blk.{layer}.ffn_down.weight"] for layer in range(7)} == {"q4_k", "q6_k"}
    assert mixed["blk.0.attn_q.weight"] == "q4_k"
    assert {tensor.type.name for tensor in synthetic_spec("synthetic:tiny-llama@q4_0").tensors} == {"q4_0", "f32"}


@pytest.mark.parametrize("name", ["qwen3next", "lfm2", "bert", "nemotron_h", "gpt-oss"])
def test_what_llama_cpp_reads_in_32_bits_only_stays_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalog.CATALOG, NARROW[name].name, NARROW[name])
    types = {tensor.name: tensor.type.name for tensor in synthetic_spec(f"synthetic:{NARROW[name].name}@q8_0").tensors}
    kept = ("ssm_conv1d", "shortconv.conv", "position_embd", "token_types", "norm", ".bias", "ffn_gate_inp.weight")
    assert any(any(part in tensor for part in kept) for tensor in types)
    assert {types[tensor] for tensor in types if any(part in tensor for part in kept)} == {"f32"}


def test_any_model_can_be_written(tmp_path: Path) -> None:
    spec = narrow_spec(NARROW["qwen3moe"], "q3_k")
    path = write_model(spec, tmp_path / "deep" / "er.gguf", seed=3)
    read = spec_from_gguf(path)
    assert (read.tensors, read.shape) == (spec.tensors, replace(spec.shape, name="er"))
    assert write_model(spec, tmp_path / "again.gguf", seed=3).read_bytes() == path.read_bytes()
    assert write_model(spec, tmp_path / "other.gguf", seed=4).read_bytes() != path.read_bytes()
    assert write_model(replace(spec, name="x"), tmp_path / "named.gguf", seed=3).read_bytes() != path.read_bytes()


def test_states_decay_and_what_multiplies_is_neutral(tmp_path: Path) -> None:
    tensors = gguf.GGUFReader(write_model(narrow_spec(NARROW["nemotron_h"]), tmp_path / "m.gguf")).tensors
    values = {tensor.name: tensor.data for tensor in tensors}
    assert (values["blk.0.ssm_a"] == -1).all()
    assert (values["blk.0.ssm_d"] == 1).all()
    assert (values["blk.0.ssm_norm.weight"] == 1).all()
    assert not values["blk.0.ssm_dt.bias"].any()
    assert values["blk.0.ssm_conv1d.weight"].std() == pytest.approx(WEIGHT_SPREAD, rel=0.1)


@pytest.mark.parametrize("name", ["llama", "gemma4", "glm4moe", "t5"])
def test_a_file_without_weights_is_as_long_and_takes_no_room(name: str, tmp_path: Path) -> None:
    spec = narrow_spec(NARROW[name])
    hollow, whole = write_header_only(spec, tmp_path / "a.gguf"), write_model(spec, tmp_path / "b.gguf")
    assert hollow.stat().st_size == whole.stat().st_size
    assert read_header(hollow) == read_header(whole)
    assert hollow.stat().st_blocks * 512 < len(model_header(spec)) + 65536


def test_a_hollow_file_needs_no_room_for_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12, 80 * MIB))
    spec = synthetic_spec("synthetic:llama3.1-8b@q4_k_m")
    assert write_header_only(spec, tmp_path / "big.gguf").stat().st_size == spec.file_bytes > 4096 * MIB


@pytest.mark.parametrize("n_vocab", [4, 18, 19, 20, 259, 260, 4099, 70000])
def test_length_of_a_header_without_making_it(n_vocab: int) -> None:
    spec = narrow_spec(replace(NARROW["qwen3"], n_vocab=n_vocab))
    assert weights_file.header_length(spec) == len(model_header(spec))


def test_vocabularies_that_are_too_small() -> None:
    with pytest.raises(InputError, match="a vocabulary of 3 tokens cannot be made; it takes 4 or more"):
        model_header(narrow_spec(replace(NARROW["qwen3"], n_vocab=3)))


def test_our_header_is_that_of_the_gguf_library(tmp_path: Path) -> None:
    """Types of values and places of tensors as its reader sees them."""
    reader = gguf.GGUFReader(write_header_only(narrow_spec(NARROW["gemma4"]), tmp_path / "m.gguf"))
    kinds = {name: [kind.name for kind in field.types] for name, field in reader.fields.items()}
    assert kinds["gemma4.block_count"] == ["UINT32"]
    assert kinds["gemma4.attention.head_count_kv"] == ["ARRAY", "UINT32"]
    assert kinds["gemma4.attention.sliding_window_pattern"] == ["ARRAY", "BOOL"]
    assert kinds["gemma4.rope.freq_base"] == ["FLOAT32"]
    assert kinds["tokenizer.ggml.token_type"] == ["ARRAY", "INT32"]
    assert reader.fields["tokenizer.ggml.tokens"].contents()[:4] == ["<unk>", "<s>", "</s>", "t0"]
    assert reader.fields["gemma4.attention.sliding_window_pattern"].contents() == [True, True, True, False]


def test_files_of_dead_writers_are_removed_and_those_of_live_ones_kept(tmp_path: Path) -> None:
    import os

    spec = narrow_spec(NARROW["llama"])
    dead, alive, other = (tmp_path / name for name in (".m[1].1-1.part", ".m[1].2-2.part", ".n.1-1.part"))
    for part in (dead, alive, other):
        part.write_bytes(b"")
    for part in (dead, other):
        os.utime(part, (0, 0))
    write_model(spec, tmp_path / "m[1].gguf")
    assert [part.exists() for part in (dead, alive, other)] == [False, True, True]
