"""Reading the header of a GGUF file: metadata and tensor list, without trusting a single count in it.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The rules beyond it (no arrays of arrays, tensors one behind the
other) are llama.cpp's, ``ggml/src/gguf.cpp``. Weights are never read; memory follows the header's length, not the file's.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from mmpredict.errors import FileFormatError, InputError
from mmpredict.models.quantization import WEIGHT_TYPES_BY_ID
from mmpredict.models.spec import ModelSpec, Tensor
from mmpredict.units import MIB, format_bytes

MAGIC, VERSIONS, DEFAULT_ALIGNMENT = b"GGUF", (2, 3), 32
MAX_HEADER_BYTES = 64 * MIB  # vocabularies of 262 144 tokens with all their merges take about 20 MiB
MAX_KEYS = 1024  # models have 20 to 100
MAX_TENSORS = 65536  # the largest published models have a few thousand
MAX_NAME_BYTES = 1024  # llama.cpp: 63 for tensors; keys are about as long
MAX_STRING_BYTES = 4 * MIB  # chat templates, licences
MAX_ARRAY_LENGTH = 2**22  # 16 times the longest vocabulary
KEPT_ARRAY_LENGTH = 512  # per-layer values; longer arrays are vocabularies
MAX_DIMENSIONS = 4  # GGML_MAX_DIMS
MAX_WEIGHTS = 2**48  # per tensor; a thousand times the largest model
MAX_LAYERS = 512  # LLAMA_MAX_LAYERS
MAX_NUMBER = 2**31 - 1  # llama.cpp keeps hyperparameters in 32 bits

# Value types by number; 8 and 9 are strings and arrays.
_SCALARS = {number: struct.Struct(f"<{code}") for number, code in enumerate("BbHhIif?__Qqd") if code != "_"}
_STRING, _ARRAY = 8, 9
_U32, _U64 = _SCALARS[4], _SCALARS[10]
_LEAST_KEY_BYTES, _LEAST_TENSOR_BYTES = 8 + 1 + 4 + 1, 8 + 1 + 4 + 8 + 4 + 8  # with names of one byte
_ARCHITECTURE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# Every n-th layer sees the whole context (swa_period in llama.cpp src/models/*.cpp); others ignore the window or are not known.
_SLIDING_PATTERNS = {"gemma2": 2, "gemma3": 6, "gpt-oss": 2, "cohere2": 4}


@dataclass(frozen=True, slots=True)
class LongArray:
    """An array of which only the length [elements] was kept."""

    length: int


Scalar = bool | int | float | str
Value = Scalar | tuple[Scalar, ...] | LongArray


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a GGUF file says about itself; arrays of more than ``KEPT_ARRAY_LENGTH`` elements are each a ``LongArray``."""

    version: int
    metadata: dict[str, Value]
    tensors: tuple[Tensor, ...]
    data_offset: int  # where the first tensor begins [bytes]
    file_bytes: int


class _Cursor:
    """A place in a file that nothing can be read beyond, and that names the file in every complaint."""

    def __init__(self, path: Path, handle: BinaryIO, file_bytes: int) -> None:
        self.path, self.file_bytes, self.position, self._handle = path, file_bytes, 0, handle

    def error(self, problem: str) -> FileFormatError:
        return FileFormatError(f"{self.path} {problem}")

    def require(self, count: int) -> None:
        """Complain unless ``count`` more bytes can belong to the header."""
        end = self.position + count
        if end > self.file_bytes:
            raise self.error(f"is truncated or damaged: its header goes on to byte {end}, the file has {self.file_bytes}")
        if end > MAX_HEADER_BYTES:
            raise self.error(f"is damaged: its header is longer than {format_bytes(MAX_HEADER_BYTES)}")

    def take(self, count: int) -> bytes:
        self.require(count)
        content = self._handle.read(count)
        if len(content) != count:
            raise self.error("is truncated: it became shorter while it was read")
        self.position += count
        return content

    def skip(self, count: int) -> None:
        self.require(count)
        self._handle.seek(count, os.SEEK_CUR)
        self.position += count

    def scalar(self, layout: struct.Struct) -> Any:
        return layout.unpack(self.take(layout.size))[0]

    def count(self, what: str, most: int, least_bytes: int) -> int:
        """Read a count of things of at least ``least_bytes`` each."""
        count: int = self.scalar(_U64)
        if count > most:
            raise self.error(f"is damaged: it claims {count} {what}; at most {most} are plausible")
        self.require(count * least_bytes)
        return count

    def text(self, what: str, most: int) -> str:
        # llama.cpp does not check the encoding either, and a strange byte in a licence is no reason to refuse a model.
        return self.take(self.count(what, most, 1)).decode("utf-8", errors="replace")

    def name(self, what: str, known: dict[str, Value] | dict[str, Tensor]) -> str:
        name = self.text(f"bytes of {what} name", MAX_NAME_BYTES)
        if not name or name in known:
            raise self.error(f"is damaged: the {what} name {name!r} is {'there twice' if name else 'empty'}")
        return name


def read_header(path: Path) -> GgufHeader:
    """Read metadata and tensor list of a GGUF file (version 2 or 3, little endian).

    Raises:
        InputError: there is no readable regular file at ``path``.
        FileFormatError: the file is of another kind, damaged, truncated or implausible.
    """
    try:
        if not path.is_file():  # opening a named pipe would wait for ever
            raise InputError(f"cannot read {str(path)!r}: there is no such file")
        with path.open("rb") as handle:
            return _parse(_Cursor(path, handle, os.fstat(handle.fileno()).st_size))
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}") from error


def _parse(cursor: _Cursor) -> GgufHeader:
    magic = cursor.take(min(len(MAGIC), cursor.file_bytes))
    if magic != MAGIC:
        raise cursor.error(f"is not a GGUF file: it {f'begins with {magic!r}' if magic else 'is empty'}")
    version = cursor.scalar(_U32)
    if version not in VERSIONS:
        big_endian = version and version % 2**16 == 0
        raise cursor.error(f"{'is big-endian' if big_endian else f'has GGUF version {version}'}; readable: 2 and 3, little-endian")
    n_tensors = cursor.count("tensors", MAX_TENSORS, _LEAST_TENSOR_BYTES)
    n_keys = cursor.count("keys", MAX_KEYS, _LEAST_KEY_BYTES)
    metadata: dict[str, Value] = {}
    for _ in range(n_keys):
        key = cursor.name("key", metadata)
        metadata[key] = _value(cursor, key)
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1):
        raise cursor.error(f"is damaged: its alignment is {alignment!r:.80}, not a power of two")
    tensors: dict[str, Tensor] = {}
    end = 0  # of the tensors so far, from the beginning of the data
    for _ in range(n_tensors):
        name = cursor.name("tensor", tensors)
        tensors[name] = tensor = _tensor(cursor, name)
        offset, expected = cursor.scalar(_U64), end + -end % alignment
        if offset != expected:
            raise cursor.error(f"is damaged: tensor {name!r} is at offset {offset} instead of {expected}")
        end = offset + tensor.size_bytes
    data_offset = cursor.position + -cursor.position % alignment
    if tensors and data_offset + end > cursor.file_bytes:
        raise cursor.error(f"is incomplete: {format_bytes(data_offset + end - cursor.file_bytes)} are missing (a broken download?)")
    return GgufHeader(version, metadata, tuple(tensors.values()), data_offset, cursor.file_bytes)


def _value(cursor: _Cursor, key: str) -> Value:
    kind = cursor.scalar(_U32)
    is_array = kind == _ARRAY
    kind = cursor.scalar(_U32) if is_array else kind
    layout = _SCALARS.get(kind)
    if layout is None and kind != _STRING:
        raise cursor.error(f"is damaged: key {key!r} has the unknown value type {'array of ' * is_array}{kind}")
    text = partial(cursor.text, f"bytes of {key!r}", MAX_STRING_BYTES)
    element: Callable[[], Scalar] = partial(cursor.scalar, layout) if layout else text
    if not is_array:
        return element()
    length = cursor.count(f"elements of {key!r}", MAX_ARRAY_LENGTH, (layout or _U64).size)
    if length <= KEPT_ARRAY_LENGTH:
        return tuple(element() for _ in range(length))
    if layout:
        cursor.skip(length * layout.size)
    else:
        for _ in range(length):
            cursor.skip(cursor.scalar(_U64))
    return LongArray(length)


def _tensor(cursor: _Cursor, name: str) -> Tensor:
    dimensions = cursor.scalar(_U32)
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise cursor.error(f"is damaged: tensor {name!r} has {dimensions} dimensions; allowed: 1 to {MAX_DIMENSIONS}")
    shape = tuple(cursor.scalar(_U64) for _ in range(dimensions))
    type_id = cursor.scalar(_U32)
    if type_id not in WEIGHT_TYPES_BY_ID:
        raise cursor.error(f"cannot be read: tensor {name!r} has the unknown weight type {type_id}")
    tensor = Tensor(name, shape, WEIGHT_TYPES_BY_ID[type_id])
    if not 1 <= tensor.weights <= MAX_WEIGHTS or shape[0] % tensor.type.block_weights:
        raise cursor.error(f"is damaged: tensor {name!r} of type {tensor.type.name} has the impossible shape {shape}")
    return tensor


def spec_from_gguf(path: Path) -> ModelSpec:
    """Describe the language model in a GGUF file; where its layers differ, by the largest.

    Raises:
        InputError: there is no readable file at ``path``.
        FileFormatError: the file cannot be read, or holds no complete decoder.
    """
    header = read_header(path)
    unusable = f"{path} cannot be used as a model:"

    def number(key: str, default: int | None = None, least: int = 1, most: int = MAX_NUMBER) -> int:
        if (value := header.metadata.get(key, default)) is None:
            raise FileFormatError(f"{unusable} it has no key {key!r}")
        numbers = value if isinstance(value, tuple) else (value,)
        whole = [number for number in numbers if type(number) is int]
        if not whole or not least <= max(whole) <= most:
            raise FileFormatError(f"{unusable} its key {key!r} is {value!r:.80}; expected a whole number from {least} to {most}")
        return max(whole)

    arch = header.metadata.get("general.architecture", "")
    if not isinstance(arch, str) or not _ARCHITECTURE.fullmatch(arch):
        raise FileFormatError(f"{unusable} its key 'general.architecture' is {f'{arch!r:.80}' if arch else 'missing'}")
    if number("split.count", default=1, least=0) > 1:
        raise FileFormatError(f"{unusable} it is one part of several; join them with: llama-gguf-split --merge")
    table = next((tensor.shape for tensor in header.tensors if tensor.name == "token_embd.weight"), ())
    if len(table) != 2:
        raise FileFormatError(f"{unusable} it has no embedding table (is it a vocabulary, an adapter or a projector?)")
    n_embd, n_heads = number(f"{arch}.embedding_length"), number(f"{arch}.attention.head_count")
    pattern, usual = header.metadata.get(f"{arch}.attention.sliding_window_pattern"), _SLIDING_PATTERNS.get(arch, 1)
    return ModelSpec(
        name=path.stem,
        architecture=arch,
        n_layers=number(f"{arch}.block_count", most=MAX_LAYERS),
        n_embd=n_embd,
        n_heads=n_heads,
        n_kv_heads=number(f"{arch}.attention.head_count_kv", default=n_heads),
        head_dim=number(f"{arch}.attention.key_length", default=n_embd // n_heads),
        n_ff=number(f"{arch}.feed_forward_length"),
        n_vocab=table[1],
        context_length=number(f"{arch}.context_length"),
        tensors=header.tensors,
        sliding_window=number(f"{arch}.attention.sliding_window", default=0, least=0),
        # Some converters write one flag per layer instead of a period: those models keep their architecture's usual one.
        sliding_pattern=pattern if type(pattern) is int and 1 <= pattern <= MAX_LAYERS and usual > 1 else usual,
        path=path,
        source="GGUF header",
    )
