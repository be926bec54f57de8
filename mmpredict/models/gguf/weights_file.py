"""Writing a model file of random weights, or one without any: whole or not at all, at constant memory."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mmpredict.errors import DoesNotFitError, InputError, StorageError
from mmpredict.models.gguf.blocks import constant, random_blocks
from mmpredict.models.gguf.plain_vocabulary import plain_vocabulary, vocabulary_outline
from mmpredict.models.gguf.write import Packed, header_bytes, padding, unpadded_header
from mmpredict.models.metadata.keys import Value
from mmpredict.models.metadata.translation import metadata_of
from mmpredict.models.spec import ModelSpec, Tensor
from mmpredict.units import MIB, format_bytes

if TYPE_CHECKING:
    import numpy as np

CHUNK_BYTES = 4 * MIB
DISK_RESERVE_BYTES = 64 * MIB
ABANDONED_AFTER_S = 600.0  # no live writer leaves its file untouched for so long

Progress = Callable[[int, int], None]


def write_model(spec: ModelSpec, path: Path, seed: int = 0, progress: Progress | None = None) -> Path:
    """Write a GGUF file of random weights with exactly the tensors of ``spec``, and return its path.

    Writes to a temporary name and renames at the end, so that a file under its final name is always whole; memory stays
    at a few chunks whatever the model's size. Bytes are a function of the shape, the tensors, the model's name and the seed.

    Args:
        spec: the model.
        path: where to write it; its directory is made.
        seed: chooses the random bytes.
        progress: called with (bytes written, bytes in all).

    Raises:
        InputError: the seed is negative, or the model cannot be made of random weights.
        DoesNotFitError: the file system has too little room.
        StorageError: writing failed.
    """
    if seed < 0:
        raise InputError(f"seed is {seed}; it must be 0 or more")
    header = model_header(spec)
    _check_room(spec.name, path.parent, spec.weight_bytes + len(header))

    def fill(output: BinaryIO) -> None:
        output.write(header)
        written = 0
        for index, tensor in enumerate(spec.tensors):
            for chunk in tensor_chunks(tensor, _generator(spec.name, seed, index)):
                output.write(chunk)
                written += len(chunk)
                if progress is not None:
                    progress(written, spec.weight_bytes)
            output.write(bytes(padding(tensor.size_bytes)))

    return _write_whole(path, fill)


def write_header_only(spec: ModelSpec, path: Path, more: Mapping[str, Value | Packed] | None = None) -> Path:
    """Write a GGUF file of full length whose weights are a hole, which takes no room on most file systems.

    It can be examined by everything that reads headers (``llama-fit-params``), and loads as zeros.

    Args:
        spec: the model.
        path: where to write it; its directory is made.
        more: metadata besides, or instead of what there would be.

    Raises:
        InputError: the model has no GGUF form.
        StorageError: writing failed.
    """
    header = model_header(spec, more)
    data_bytes = sum(tensor.size_bytes + padding(tensor.size_bytes) for tensor in spec.tensors)

    def fill(output: BinaryIO) -> None:
        output.write(header)
        output.truncate(len(header) + data_bytes)

    _check_room(spec.name, path.parent, len(header))
    return _write_whole(path, fill)


def model_header(spec: ModelSpec, more: Mapping[str, Value | Packed] | None = None) -> bytes:
    """Everything before the first tensor's data.

    Raises:
        InputError: the model has no GGUF form.
    """
    words = plain_vocabulary(spec.shape.n_vocab) if spec.shape.n_vocab else {}
    return header_bytes({**_keys(spec), **words, **(more or {})}, spec.tensors)


def header_length(spec: ModelSpec) -> int:
    """Length of ``model_header`` [bytes], found without making a vocabulary.

    Raises:
        InputError: the model has no GGUF form.
    """
    words, words_bytes = vocabulary_outline(spec.shape.n_vocab) if spec.shape.n_vocab else ({}, 0)
    outline = unpadded_header({**_keys(spec), **words}, spec.tensors)
    size_bytes = len(outline) + words_bytes
    return size_bytes + padding(size_bytes)


def _keys(spec: ModelSpec) -> dict[str, Value]:
    # Not the model's own name: from some, llama.cpp infers tokens that a vocabulary must have.
    return {**metadata_of(spec.shape), "general.name": "random weights"}


def tensor_chunks(tensor: Tensor, generator: np.random.Generator) -> Iterator[memoryview]:
    """The content of a tensor, ``CHUNK_BYTES`` at a time.

    Raises:
        InputError: its type cannot be synthesised.
    """
    blocks, value = tensor.size_bytes // tensor.type.block_bytes, _constant_value(tensor)
    per_chunk = CHUNK_BYTES // tensor.type.block_bytes
    for start in range(0, blocks, per_chunk):
        count = min(per_chunk, blocks - start)
        chunk = random_blocks(tensor.type, count, generator) if value is None else constant(tensor.type, count, value)
        yield chunk.data


def _constant_value(tensor: Tensor) -> float | None:
    """What all elements of a tensor are that is no matrix; nothing if they are random."""
    last = tensor.name.rpartition("blk.")[2].partition(".")[2] or tensor.name
    if tensor.name.endswith(".bias"):
        return 0.0
    if last == "ssm_a":
        return -1.0  # states decay
    return 1.0 if len(tensor.shape) == 1 or "norm" in last or last == "ssm_d" else None


def _generator(name: str, seed: int, index: int) -> np.random.Generator:
    import numpy as np

    digest = hashlib.sha256(name.encode()).digest()
    words = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4)]
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, index, *words])))


def _check_room(name: str, directory: Path, needed_bytes: int) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        free_bytes = shutil.disk_usage(directory).free
    except OSError as error:
        raise StorageError(f"cannot use {directory} for model files: {error.strerror}") from error
    if needed_bytes + DISK_RESERVE_BYTES > free_bytes:
        raise DoesNotFitError(
            f"{name} needs {format_bytes(needed_bytes)} on disk, {format_bytes(free_bytes)} are free in {directory}; "
            "free some room or set MMPREDICT_CACHE to another disk"
        )


def _write_whole(path: Path, fill: Callable[[BinaryIO], None]) -> Path:
    """Write a file under a temporary name, then rename it; nothing is left behind if that fails."""
    _remove_abandoned(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with temporary.open("wb") as output:
            fill(output)
            output.flush()
            os.fsync(output.fileno())
        temporary.replace(path)
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else str(error.strerror)
        raise StorageError(f"cannot write {path}: {reason}; nothing was left behind") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path


def _remove_abandoned(path: Path) -> None:
    """Remove what a killed process left of the same file."""
    for part in path.parent.glob(f".{glob.escape(path.stem)}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > ABANDONED_AFTER_S:
                part.unlink()
