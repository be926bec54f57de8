"""Reading the header of a GGUF file: metadata and tensor list, without trusting a single count in it.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The rules beyond it (no arrays of arrays, tensors one behind the
other) are llama.cpp's, ``ggml/src/gguf.cpp``. Weights are never read; memory follows the header's length, not the file's.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mmpredict.errors import InputError
from mmpredict.models.gguf.cursor import Cursor
from mmpredict.models.metadata.keys import LongArray, Scalar, Value
from mmpredict.models.quantization.weight_types import WEIGHT_TYPES_BY_ID
from mmpredict.models.spec import Tensor
from mmpredict.units import MIB, format_bytes

MAGIC, VERSIONS, DEFAULT_ALIGNMENT = b"GGUF", (2, 3), 32
MAX_KEYS = 1024  # models have 20 to 100
MAX_TENSORS = 65536  # the largest published models have a few thousand
MAX_NAME_BYTES = 1024  # llama.cpp: 63 for tensors; keys are about as long
MAX_STRING_BYTES = 4 * MIB  # chat templates, licences
MAX_ARRAY_LENGTH = 2**22  # 16 times the longest vocabulary
KEPT_ARRAY_LENGTH = 512  # per-layer values; longer arrays are vocabularies
MAX_DIMENSIONS = 4  # GGML_MAX_DIMS
MAX_WEIGHTS = 2**48  # per tensor; a thousand times the largest model

# Value types by number; 8 and 9 are strings and arrays.
_SCALARS = {number: struct.Struct(f"<{code}") for number, code in enumerate("BbHhIif?__Qqd") if code != "_"}
_STRING, _ARRAY = 8, 9
_U32, _U64 = _SCALARS[4], _SCALARS[10]
_EXTENTS = tuple(struct.Struct(f"<{dimensions}QIQ") for dimensions in range(MAX_DIMENSIONS + 1))  # then type and offset
_LEAST_KEY_BYTES, _LEAST_TENSOR_BYTES = 8 + 1 + 4 + 1, 8 + 1 + 4 + 8 + 4 + 8  # with names of one byte


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a GGUF file says about itself; arrays of more than ``KEPT_ARRAY_LENGTH`` elements are each a ``LongArray``."""

    version: int
    metadata: dict[str, Value]
    tensors: tuple[Tensor, ...]
    data_offset: int  # where the first tensor begins [bytes]
    file_bytes: int


def read_header(path: Path) -> GgufHeader:
    """Read metadata and tensor list of a GGUF file (version 2 or 3, little endian).

    Raises:
        InputError: there is no readable regular file at ``path``.
        FileFormatError: the file is of another kind, damaged, truncated or implausible.
    """
    try:
        if not path.is_file():  # opening a named pipe would wait for ever
            raise InputError(f"cannot read {str(path)!r}: there is no such file")
        with path.open("rb", buffering=0) as handle:
            return _parse(Cursor(path, handle, os.fstat(handle.fileno()).st_size))
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}") from error


def _parse(cursor: Cursor) -> GgufHeader:
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
        key = _name(cursor, "key", metadata)
        metadata[key] = _value(cursor, key)
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1):
        raise cursor.error(f"is damaged: its alignment is {alignment!r:.80}, not a power of two")
    tensors: dict[str, Tensor] = {}
    end = 0  # of the tensors so far, from the beginning of the data
    for _ in range(n_tensors):
        name = _name(cursor, "tensor", tensors)
        tensors[name], offset = _tensor(cursor, name)
        if offset != (expected := end + -end % alignment):
            raise cursor.error(f"is damaged: tensor {name!r:.80} is at offset {offset} instead of {expected}")
        end = offset + tensors[name].size_bytes
    data_offset = cursor.position + -cursor.position % alignment
    if tensors and data_offset + end > cursor.file_bytes:
        raise cursor.error(f"is incomplete: {format_bytes(data_offset + end - cursor.file_bytes)} are missing (a broken download?)")
    return GgufHeader(version, metadata, tuple(tensors.values()), data_offset, cursor.file_bytes)


def _name(cursor: Cursor, what: str, known: dict[str, Value] | dict[str, Tensor]) -> str:
    name = cursor.text(f"bytes of {what} name", MAX_NAME_BYTES)
    if not name or name in known:
        raise cursor.error(f"is damaged: the {what} name {name!r:.80} is {'there twice' if name else 'empty'}")
    return name


def _value(cursor: Cursor, key: str) -> Value:
    kind = cursor.scalar(_U32)
    is_array = kind == _ARRAY
    kind = cursor.scalar(_U32) if is_array else kind
    layout = _SCALARS.get(kind)
    if layout is None and kind != _STRING:
        raise cursor.error(f"is damaged: key {key!r:.80} has the unknown value type {'array of ' * is_array}{kind}")
    text = partial(cursor.text, f"bytes of {key!r:.80}", MAX_STRING_BYTES)
    element: Callable[[], Scalar] = partial(cursor.scalar, layout) if layout else text
    if not is_array:
        return element()
    length = cursor.count(f"elements of {key!r:.80}", MAX_ARRAY_LENGTH, (layout or _U64).size)
    if length <= KEPT_ARRAY_LENGTH:
        return tuple(element() for _ in range(length))
    if layout:
        cursor.skip(length * layout.size)
    else:
        cursor.skip_strings(length)
    return LongArray(length)


def _tensor(cursor: Cursor, name: str) -> tuple[Tensor, int]:
    """One tensor, and where it is said to begin [bytes]."""
    dimensions: int = cursor.scalar(_U32)
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise cursor.error(f"is damaged: tensor {name!r:.80} has {dimensions} dimensions; allowed: 1 to {MAX_DIMENSIONS}")
    *extents, type_id, offset = cursor.unpack(_EXTENTS[dimensions])
    if type_id not in WEIGHT_TYPES_BY_ID:
        raise cursor.error(f"cannot be read: tensor {name!r:.80} has the unknown weight type {type_id}")
    tensor = Tensor(name, tuple(extents), WEIGHT_TYPES_BY_ID[type_id])
    if not 1 <= tensor.weights <= MAX_WEIGHTS or extents[0] % tensor.type.block_weights:
        raise cursor.error(f"is damaged: tensor {name!r:.80} of type {tensor.type.name} has the impossible shape {tensor.shape}")
    return tensor, offset
