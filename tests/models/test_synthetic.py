"""Synthetic files: right for three readers (ours, gguf's, the catalog's arithmetic), whole or absent, at constant memory."""

from __future__ import annotations

import errno
import shutil
import tracemalloc
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from mmpredict.errors import DoesNotFitError, InputError, StorageError, UnknownNameError
from mmpredict.models import catalog, synthetic
from mmpredict.models.catalog import CATALOG, Shape
from mmpredict.models.gguf import LongArray, read_header, spec_from_gguf
from mmpredict.models.synthetic import SYNTHESISABLE, cached_path, synthesize, synthetic_spec
from mmpredict.units import MIB

ARCHITECTURES = {"llama": "tinyllama-1.1b", "qwen2": "qwen2.5-0.5b", "gemma": "gemma-2b", "gemma3": "gemma3-1b"}
ALIGNMENT = 32
TINY = {"n_layers": 7, "n_embd": 256, "n_heads": 4, "head_dim": 64, "n_ff": 512, "n_vocab": 700}


def put(monkeypatch: pytest.MonkeyPatch, name: str, base: str, **changes: Any) -> None:
    """Add a changed catalog shape to the catalog for one test."""
    row: Shape = replace(CATALOG[base], name=name, **changes)
    monkeypatch.setitem(catalog.CATALOG, name, row)


@pytest.fixture(autouse=True)
def tiny_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    for architecture, base in ARCHITECTURES.items():
        put(monkeypatch, f"tiny-{architecture}", base, **TINY)
    put(monkeypatch, "tiny-odd", "smollm2-135m", **{**TINY, "n_embd": 288, "n_ff": 544})
    put(monkeypatch, "medium", "smollm2-135m", n_layers=4, n_embd=1024, n_ff=4096, n_vocab=8000)


def padded(size_bytes: int) -> int:
    return -(-size_bytes // ALIGNMENT) * ALIGNMENT


@pytest.mark.parametrize("weights", ["f16", "q8_0", "q4_0", "q4_k", "q6_k"])
@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "odd"])
def test_file_is_read_back_as_the_catalog_describes_it(tmp_path: Path, architecture: str, weights: str) -> None:
    name = f"synthetic:tiny-{architecture}@{weights}"
    path = synthesize(name, directory=tmp_path)
    expected = synthetic_spec(name)
    assert spec_from_gguf(path) == replace(expected, name=path.stem, path=path, source="GGUF header")

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
        assert decoded.std() == pytest.approx(0.02, rel=0.02)
        assert abs(decoded.mean()) < 0.0003
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
    assert content("c", name="Tiny-Llama@Q8_0") == first
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
    whole = synthetic._tensor_chunks

    def until_full(tensor: Any, generator: np.random.Generator) -> Iterator[memoryview]:
        yield from whole(tensor, generator)
        if tensor.name.startswith("blk.3."):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(synthetic, "_tensor_chunks", until_full)
    with pytest.raises(StorageError, match="the disk is full; nothing was left behind"):
        synthesize("synthetic:tiny-llama@q8_0", directory=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_write_that_the_system_refuses_leaves_nothing(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
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
    needed = synthetic_spec("synthetic:tiny-llama@q8_0").weight_bytes + synthetic.DISK_RESERVE_BYTES
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


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux to list open files")
def test_failed_write_keeps_no_file_open(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        synthesize("synthetic:tiny-llama@q8_0", directory=tmp_path, progress=interrupt)
    assert caught.tb is not None, "the traceback keeps the writer alive"
    links = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert not [link for link in links if link.startswith(str(tmp_path))]


def test_unusable_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot use"):
        synthesize("synthetic:tiny-llama@q8_0", directory=tmp_path / "file" / "models")

    def refused(*_: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(gguf.GGUFWriter, "write_header_to_file", refused)
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
        ("synthetic:tiny-llama@iq2_xs", InputError, "allowed: f16, q8_0"),
    ],
)
def test_names_that_cannot_be_used(name: str, error: type[InputError], advice: str) -> None:
    with pytest.raises(error, match=advice):
        synthetic_spec(name)
