"""The header of a GGUF file as bytes: metadata and tensor list.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Types of values are those that llama.cpp asks for: 32 bits for
whole numbers and fractions.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmpredict.errors import InputError
from mmpredict.models.gguf.header import DEFAULT_ALIGNMENT, MAGIC
from mmpredict.models.metadata.keys import LongArray, Value
from mmpredict.models.spec import Tensor

VERSION = 3
_U32, _I32, _F32, _BOOL, _STRING, _ARRAY, _U64 = 4, 5, 6, 7, 8, 9, 10
_LAYOUTS = {_U32: "<I", _I32: "<i", _F32: "<f", _BOOL: "<?", _U64: "<Q"}


@dataclass(frozen=True, slots=True)
class Packed:
    """An array that is bytes already.

    Attributes:
        kind: GGUF's number of the elements' type.
        length: elements [1].
        content: all of them.
    """

    kind: int
    length: int
    content: bytes

    @classmethod
    def strings(cls, texts: Sequence[str]) -> Packed:
        """Many strings."""
        return cls(_STRING, len(texts), b"".join(map(_text, texts)))

    @classmethod
    def numbers(cls, values: Sequence[int]) -> Packed:
        """Many whole numbers of 32 bits with a sign."""
        return cls(_I32, len(values), struct.pack(f"<{len(values)}i", *values))


def padding(size_bytes: int) -> int:
    """Zeros that follow so many bytes [bytes]."""
    return -size_bytes % DEFAULT_ALIGNMENT


def header_bytes(metadata: Mapping[str, Value | Packed], tensors: Sequence[Tensor]) -> bytes:
    """Everything before the first tensor's data, padding included.

    Args:
        metadata: keys and values.
        tensors: in the order in which their data follows.

    Raises:
        InputError: a value cannot be written.
    """
    written = unpadded_header(metadata, tensors)
    return written + bytes(padding(len(written)))


def unpadded_header(metadata: Mapping[str, Value | Packed], tensors: Sequence[Tensor]) -> bytes:
    """The same without the padding.

    Raises:
        InputError: as ``header_bytes``.
    """
    pieces = [MAGIC, struct.pack("<IQQ", VERSION, len(tensors), len(metadata))]
    pieces += [_text(key) + _value(key, value) for key, value in metadata.items()]
    offset = 0
    for tensor in tensors:
        dimensions = len(tensor.shape)
        pieces.append(_text(tensor.name))
        pieces.append(struct.pack(f"<I{dimensions}QIQ", dimensions, *tensor.shape, tensor.type.gguf_id, offset))
        offset += tensor.size_bytes + padding(tensor.size_bytes)
    return b"".join(pieces)


def _value(key: str, value: Value | Packed) -> bytes:
    if isinstance(value, Packed):
        return struct.pack("<IIQ", _ARRAY, value.kind, value.length) + value.content
    if isinstance(value, LongArray) or value == ():
        raise InputError(f"the value of {key!r} cannot be written: {value!r:.80}")
    elements = value if isinstance(value, tuple) else (value,)
    kind = max(map(_kind, elements))
    content = b"".join(_text(element) if isinstance(element, str) else struct.pack(_LAYOUTS[kind], element) for element in elements)
    return (
        struct.pack("<I", kind) + content if elements is not value else struct.pack("<IIQ", _ARRAY, kind, len(elements)) + content
    )


def _kind(value: bool | int | float | str) -> int:
    if isinstance(value, bool):
        return _BOOL
    if isinstance(value, int):
        return _U32 if 0 <= value < 2**32 else _I32 if -(2**31) <= value < 0 else _U64
    return _F32 if isinstance(value, float) else _STRING


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded
