"""GGUF files put together byte by byte, right or wrong."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from mmpredict.models.quantization.weight_types import WEIGHT_TYPES

HUGE = 2**60
U8, U32, F32, BOOL, STRING, ARRAY, U64 = 0, 4, 6, 7, 8, 9, 10
Q8_0 = WEIGHT_TYPES["q8_0"].gguf_id
N_EMBD, N_VOCAB = 64, 41


def u32(number: int) -> bytes:
    return struct.pack("<I", number)


def u64(number: int) -> bytes:
    return struct.pack("<Q", number)


def text(content: str, claimed: int | None = None) -> bytes:
    return u64(len(content.encode()) if claimed is None else claimed) + content.encode()


def key(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + u32(kind) + value


def array(name: str, kind: int, values: Sequence[bytes], claimed: int | None = None) -> bytes:
    return key(name, ARRAY, u32(kind) + u64(len(values) if claimed is None else claimed) + b"".join(values))


def tensor(name: str, shape: Sequence[int], type_id: int = Q8_0, offset: int = 0, dimensions: int | None = None) -> bytes:
    extents = b"".join(map(u64, shape))
    return text(name) + u32(len(shape) if dimensions is None else dimensions) + extents + u32(type_id) + u64(offset)


KEYS = {
    "general.architecture": key("general.architecture", STRING, text("llama")),
    "llama.block_count": key("llama.block_count", U32, u32(3)),
    "llama.embedding_length": key("llama.embedding_length", U32, u32(N_EMBD)),
    "llama.attention.head_count": key("llama.attention.head_count", U32, u32(4)),
    "llama.feed_forward_length": key("llama.feed_forward_length", U32, u32(192)),
    "llama.context_length": key("llama.context_length", U32, u32(2048)),
}
TABLE_BYTES = N_EMBD // 32 * 34 * N_VOCAB
NORM_OFFSET = -(-TABLE_BYTES // 32) * 32
TENSORS = [tensor("token_embd.weight", [N_EMBD, N_VOCAB]), tensor("output_norm.weight", [N_EMBD], 0, NORM_OFFSET)]
DATA_BYTES = NORM_OFFSET + 4 * N_EMBD


def image(
    keys: Sequence[bytes] = tuple(KEYS.values()),
    tensors: Sequence[bytes] = tuple(TENSORS),
    data_bytes: int = DATA_BYTES,
    start: bytes = b"GGUF" + u32(3),
    n_tensors: int | None = None,
    n_keys: int | None = None,
    alignment: int = 32,
) -> bytes:
    counts = u64(len(tensors) if n_tensors is None else n_tensors) + u64(len(keys) if n_keys is None else n_keys)
    header = start + counts + b"".join(keys) + b"".join(tensors)
    return header + bytes(-len(header) % alignment) + bytes(data_bytes)


def with_keys(*more: bytes, without: str = "") -> bytes:
    return image([value for name, value in KEYS.items() if name != without] + list(more))
