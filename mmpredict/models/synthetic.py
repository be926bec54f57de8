"""Random-weight GGUF files: the exact tensor shapes and types of an architecture, at true speed, without a download.

The speed of a model does not depend on the values of its weights, so a file of random blocks stands in for a real one
in every measurement. Bytes are a function of the name and the seed alone.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from mmpredict.errors import DoesNotFitError, InputError, StorageError
from mmpredict.models.catalog import catalog_spec, shape
from mmpredict.models.quantization import WeightType, weight_type
from mmpredict.models.spec import ModelSpec, Tensor
from mmpredict.units import MIB, format_bytes

PREFIX = "synthetic:"
CHUNK_BYTES = 4 * MIB
FORMAT_VERSION = 1  # part of the cached file's name: bump it when the bytes change
DISK_RESERVE_BYTES = 64 * MIB
ABANDONED_AFTER_S = 600.0  # no live writer leaves its file untouched for so long
WEIGHT_SPREAD = 0.02  # standard deviation of the weights of a freshly initialised transformer

# Bytes of a block that may not be random: scale factors, chosen so that the weights have mean 0 and spread ``WEIGHT_SPREAD``.
# Weights with another mean make activations grow until attention computes with denormal numbers, at a fraction of the speed.
# Block structures: llama.cpp ggml/src/ggml-common.h. A half is written as a number, bytes as they are.
_SUB_SCALE = 32.0  # 6-bit (K types) or 8-bit (q6_k) scale of a sub-block; 12 bytes hold eight 6-bit scales and minima of 32
_PACKED_SUB_SCALES = bytes([0xA0] * 8 + [0x00] * 4)
_STEP_4_BIT, _STEP_5_BIT, _STEP_6_BIT, _STEP_8_BIT = (WEIGHT_SPREAD * 12**0.5 / 2**bits for bits in (4, 5, 6, 8))
_FIXED_BYTES: dict[str, tuple[tuple[int, float | bytes], ...]] = {
    "q8_0": ((0, _STEP_8_BIT),),
    "q4_0": ((0, _STEP_4_BIT),),
    "q5_0": ((0, _STEP_5_BIT),),
    "q5_1": ((0, _STEP_5_BIT), (2, -15.5 * _STEP_5_BIT)),
    "q4_k": ((0, _STEP_4_BIT / _SUB_SCALE), (2, 7.5 * _STEP_4_BIT / _SUB_SCALE), (4, _PACKED_SUB_SCALES)),
    "q5_k": ((0, _STEP_5_BIT / _SUB_SCALE), (2, 15.5 * _STEP_5_BIT / _SUB_SCALE), (4, _PACKED_SUB_SCALES)),
    "q6_k": ((192, bytes([32] * 16)), (208, _STEP_6_BIT / _SUB_SCALE)),
}
SYNTHESISABLE = ("f16", *_FIXED_BYTES)
# These count from -2^(bits-1) to 2^(bits-1) - 1, half a step below 0 in the mean; every other block gets a negative scale.
_WITHOUT_MINIMUM = {"q8_0": 0, "q4_0": 0, "q5_0": 0, "q6_k": 208}

Progress = Callable[[int, int], None]


def parse_name(name: str) -> tuple[str, WeightType]:
    """Split ``synthetic:qwen2.5-0.5b@q8_0`` into architecture and weight type.

    Raises:
        InputError: the type is missing or cannot be synthesised.
        UnknownNameError: unknown architecture or type.
    """
    architecture, at, quantization = name.removeprefix(PREFIX).partition("@")
    if not at:
        raise InputError(f"model {name!r} names no quantization; write for example {PREFIX}{architecture}@q8_0")
    shape(architecture)
    matrices = weight_type(quantization)
    if matrices.name not in SYNTHESISABLE:
        raise InputError(f"{matrices.name} cannot be synthesised; allowed: {', '.join(SYNTHESISABLE)}")
    return architecture.lower(), matrices


def synthetic_spec(name: str) -> ModelSpec:
    """Describe a synthetic model without writing it.

    Raises:
        InputError, UnknownNameError: as ``parse_name``.
    """
    return catalog_spec(*parse_name(name))


def cache_directory() -> Path:
    """Where synthetic models are kept (``MMPREDICT_CACHE`` overrides the user's cache directory)."""
    override = os.environ.get("MMPREDICT_CACHE")
    return Path(override) if override else Path(platformdirs.user_cache_dir("mmpredict"))


def cached_path(name: str, seed: int = 0, directory: Path | None = None) -> Path:
    """Where the file of ``name`` is, or would be."""
    architecture, matrices = parse_name(name)
    digest = hashlib.sha256(repr(shape(architecture)).encode()).hexdigest()[:8]  # a changed shape is another file
    folder = directory or cache_directory() / "models"
    return folder / f"{architecture}@{matrices.name}.s{seed}.{digest}.v{FORMAT_VERSION}.gguf"


def synthesize(name: str, seed: int = 0, directory: Path | None = None, progress: Progress | None = None) -> Path:
    """Write the GGUF file of ``name`` unless it is there already, and return its path.

    Writes to a temporary name and renames at the end, so that a file under its final name is always whole; memory stays
    at a few chunks whatever the model's size.

    Args:
        name: ``synthetic:ARCHITECTURE@TYPE``.
        seed: chooses the random bytes.
        directory: overrides the cache directory.
        progress: called with (bytes written, bytes in all).

    Raises:
        InputError, UnknownNameError: the name or the seed cannot be used.
        DoesNotFitError: the file system has too little room.
        StorageError: writing failed.
    """
    if seed < 0:
        raise InputError(f"seed is {seed}; it must be 0 or more")
    path = cached_path(name, seed, directory)
    if path.exists():
        return path
    spec = synthetic_spec(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        free_bytes = shutil.disk_usage(path.parent).free
    except OSError as error:
        raise StorageError(f"cannot use {path.parent} for synthetic models: {error.strerror}") from error
    if spec.weight_bytes + DISK_RESERVE_BYTES > free_bytes:
        raise DoesNotFitError(
            f"{name} needs {format_bytes(spec.weight_bytes)} on disk, {format_bytes(free_bytes)} are free in {path.parent}; "
            "free some room or set MMPREDICT_CACHE to another disk"
        )
    _remove_abandoned(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        _write(temporary, spec, seed, progress)
        temporary.replace(path)
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else str(error.strerror)
        raise StorageError(f"cannot write {path}: {reason}; nothing was left behind") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _remove_abandoned(path: Path) -> None:
    """Remove what a killed process left of the same file."""
    for part in path.parent.glob(f".{path.stem}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > ABANDONED_AFTER_S:
                part.unlink()


def _write(path: Path, spec: ModelSpec, seed: int, progress: Progress | None) -> None:
    import gguf

    row = shape(spec.name.partition("@")[0])
    writer = gguf.GGUFWriter(None, row.architecture)
    _add_hyperparameters(writer, spec)
    _add_vocabulary(writer, spec.n_vocab)
    for tensor in spec.tensors:
        raw_type = gguf.GGMLQuantizationType(tensor.type.gguf_id)
        # GGUFWriter takes shapes in numpy order, slowest first, and wants the element type only as a default.
        writer.add_tensor_info(tensor.name, list(reversed(tensor.shape)), np.dtype(np.float32), tensor.size_bytes, raw_type)
    with contextlib.closing(writer):  # before the caller removes the file: an open one keeps its place on the disk
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        output = writer.fout[0]
        writer.write_padding(output, output.tell())
        written = 0
        for index, tensor in enumerate(spec.tensors):
            generator = np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, index, *_name_words(spec.name)])))
            for chunk in _tensor_chunks(tensor, generator):
                output.write(chunk)
                written += len(chunk)
                if progress is not None:
                    progress(written, spec.weight_bytes)
            writer.write_padding(output, tensor.size_bytes)
        output.flush()
        os.fsync(output.fileno())


def _name_words(name: str) -> list[int]:
    digest = hashlib.sha256(name.encode()).digest()
    return [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4)]


def _tensor_chunks(tensor: Tensor, generator: np.random.Generator) -> Iterator[memoryview]:
    blocks = tensor.size_bytes // tensor.type.block_bytes
    per_chunk = CHUNK_BYTES // tensor.type.block_bytes
    for start in range(0, blocks, per_chunk):
        count = min(per_chunk, blocks - start)
        if tensor.type.name == "f32":
            fill = 0.0 if tensor.name.endswith(".bias") else 1.0
            yield memoryview(np.full(count, fill, dtype="<f4").tobytes())
        elif tensor.type.name == "f16":
            values = generator.standard_normal(count, dtype=np.float32) * np.float32(WEIGHT_SPREAD)
            yield memoryview(values.astype("<f2").tobytes())
        else:
            yield memoryview(_random_blocks(tensor.type, count, generator).tobytes())


def _random_blocks(weight: WeightType, count: int, generator: np.random.Generator) -> np.ndarray[Any, np.dtype[np.uint8]]:
    words = -(-count * weight.block_bytes // 8)
    data = generator.integers(0, 2**64, words, dtype=np.uint64).view(np.uint8)[: count * weight.block_bytes]
    blocks = data.reshape(count, weight.block_bytes)
    for offset, content in _FIXED_BYTES[weight.name]:
        fixed = content if isinstance(content, bytes) else np.array(content, dtype="<f2").tobytes()
        blocks[:, offset : offset + len(fixed)] = np.frombuffer(fixed, dtype=np.uint8)
    if weight.name in _WITHOUT_MINIMUM:
        blocks[1::2, _WITHOUT_MINIMUM[weight.name] + 1] ^= 0x80  # the sign bit of a little-endian half
    return blocks


def _add_hyperparameters(writer: Any, spec: ModelSpec) -> None:
    writer.add_name(spec.name)
    writer.add_context_length(spec.context_length)
    writer.add_embedding_length(spec.n_embd)
    writer.add_block_count(spec.n_layers)
    writer.add_feed_forward_length(spec.n_ff)
    writer.add_head_count(spec.n_heads)
    writer.add_head_count_kv(spec.n_kv_heads)
    writer.add_key_length(spec.head_dim)
    writer.add_value_length(spec.head_dim)
    writer.add_rope_dimension_count(spec.head_dim)
    writer.add_rope_freq_base(shape(spec.name.partition("@")[0]).rope_base)
    writer.add_layer_norm_rms_eps(1e-6)
    if spec.sliding_window:
        writer.add_sliding_window(spec.sliding_window)


def _add_vocabulary(writer: Any, n_vocab: int) -> None:
    """A byte-pair vocabulary of the model's size whose tokens are all printable text."""
    special = ["<unk>", "<s>", "</s>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(special + [f"t{number:x}" for number in range(n_vocab - len(special))])
    writer.add_token_types([3] * len(special) + [1] * (n_vocab - len(special)))
    writer.add_token_merges(["t 0", "t 1"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
