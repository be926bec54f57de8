"""The header reader: what it reads, and that nothing in a file can make it fail in another way, or take much time or memory."""

from __future__ import annotations

import os
import struct
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpredict.errors import FileFormatError, InputError
from mmpredict.models import gguf
from mmpredict.models.gguf import GgufHeader, LongArray, read_header, spec_from_gguf
from mmpredict.models.quantization import WEIGHT_TYPES
from mmpredict.models.spec import Tensor
from mmpredict.units import MIB

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


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gguf") / "small.gguf"


def parsed(scratch: Path, content: bytes) -> GgufHeader:
    scratch.write_bytes(content)
    return read_header(scratch)


def test_small_file_is_read_back(scratch: Path) -> None:
    content = image()
    header = parsed(scratch, content)
    assert header.version == 3
    assert header.metadata["llama.block_count"] == 3
    assert header.tensors == (
        Tensor("token_embd.weight", (N_EMBD, N_VOCAB), WEIGHT_TYPES["q8_0"]),
        Tensor("output_norm.weight", (N_EMBD,), WEIGHT_TYPES["f32"]),
    )
    assert header.data_offset == len(content) - DATA_BYTES
    assert header.file_bytes == len(content)


def test_spec_of_a_small_file(scratch: Path) -> None:
    scratch.write_bytes(image())
    spec = spec_from_gguf(scratch)
    assert (spec.name, spec.architecture, spec.path, spec.source) == ("small", "llama", scratch, "GGUF header")
    assert (spec.n_layers, spec.n_embd, spec.n_heads, spec.n_kv_heads) == (3, N_EMBD, 4, 4)
    assert (spec.head_dim, spec.n_ff, spec.n_vocab, spec.context_length) == (N_EMBD // 4, 192, N_VOCAB, 2048)
    assert spec.tied_output
    assert spec.windowed_layers == 0


SCALARS = [(0, "B", 200), (1, "b", -3), (2, "H", 60000), (3, "h", -300), (4, "I", 2**31), (5, "i", -(2**31)), (6, "f", 0.5)]
SCALARS += [(7, "?", True), (10, "Q", 2**63), (11, "q", -(2**40)), (12, "d", 0.1)]


@pytest.mark.parametrize(("kind", "layout", "value"), SCALARS)
def test_every_scalar_type(scratch: Path, kind: int, layout: str, value: float) -> None:
    packed = struct.pack(f"<{layout}", value)
    header = parsed(
        scratch, with_keys(key("one", kind, packed), array("three", kind, [packed] * 3), array("many", kind, [packed] * 600))
    )
    assert header.metadata["one"] == value
    assert type(header.metadata["one"]) is type(value)
    assert header.metadata["three"] == (value,) * 3
    assert header.metadata["many"] == LongArray(600)
    assert header.tensors[0].name == "token_embd.weight", "the reader lost its place behind the arrays"


def test_long_string_arrays_are_walked_but_not_kept(scratch: Path) -> None:
    header = parsed(
        scratch, with_keys(array("tokens", STRING, [text("é" * (number % 7)) for number in range(5000)]), key("after", U32, u32(7)))
    )
    assert header.metadata["tokens"] == LongArray(5000)
    assert header.metadata["after"] == 7


def test_version_2_and_other_alignments(scratch: Path) -> None:
    assert parsed(scratch, image(start=b"GGUF" + u32(2))).version == 2
    aligned = key("general.alignment", U32, u32(512))
    offset = -(-TABLE_BYTES // 512) * 512
    tensors = [TENSORS[0], tensor("output_norm.weight", [N_EMBD], 0, offset)]
    header = parsed(scratch, image([*KEYS.values(), aligned], tensors, offset + 4 * N_EMBD, alignment=512))
    assert header.data_offset % 512 == 0
    assert header.file_bytes == header.data_offset + offset + 4 * N_EMBD


def test_only_the_header_of_a_large_file_is_read(scratch: Path) -> None:
    rows = 2**27
    content = image(tensors=[tensor("token_embd.weight", [N_EMBD, rows])], data_bytes=0)
    scratch.write_bytes(content)
    os.truncate(scratch, len(content) + rows * N_EMBD // 32 * 34)  # 9 GB with a hole
    tracemalloc.start()
    try:
        assert read_header(scratch).tensors[0].size_bytes > 2**33
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()
        scratch.unlink()


BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is not a GGUF file: it is empty"),
    "short": (b"GG", "is not a GGUF file: it begins with b'GG'"),
    "other kind": (b"abcd" + bytes(100), "is not a GGUF file: it begins with b'abcd'"),
    "magic only": (b"GGUF", "truncated"),
    "version 0": (image(start=b"GGUF" + u32(0)), "GGUF version 0"),
    "version 1": (image(start=b"GGUF" + u32(1)), "GGUF version 1"),
    "version 4": (image(start=b"GGUF" + u32(4)), "GGUF version 4"),
    "big endian": (image(start=b"GGUF" + struct.pack(">I", 3)), "big-endian"),
    "huge number of tensors": (image(n_tensors=HUGE), f"claims {HUGE} tensors"),
    "more tensors than bytes": (image(n_tensors=60000), "truncated or damaged"),
    "huge number of keys": (image(n_keys=HUGE), f"claims {HUGE} keys"),
    "more keys than bytes": (image(n_keys=1000, data_bytes=0), "truncated or damaged"),
    "huge key": (image([text("k", claimed=HUGE)]), f"claims {HUGE} bytes of key name"),
    "huge string": (image([key("k", STRING, text("v", claimed=HUGE))]), "claims"),
    "string longer than the file": (image([key("k", STRING, text("v", claimed=2**20))]), "truncated or damaged"),
    "huge array": (image([array("k", U8, [], claimed=HUGE)]), "claims"),
    "array longer than the file": (image([array("k", U64, [], claimed=2**20)]), "truncated or damaged"),
    "string array longer than the file": (image([array("k", STRING, [], claimed=2**20)]), "truncated or damaged"),
    "huge string in a long array": (image([array("k", STRING, [text("v", claimed=HUGE)] * 600)]), "truncated or damaged"),
    "array of arrays": (image([array("k", ARRAY, [u32(U8) + u64(0)])]), "unknown value type array of 9"),
    "unknown value type": (image([key("k", 13, u64(0))]), "unknown value type 13"),
    "unknown element type": (image([array("k", 99, [])]), "unknown value type array of 99"),
    "empty key": (image([key("", U8, b"\0")]), "key name '' is empty"),
    "key twice": (image([key("k", U8, b"\0")] * 2), "key name 'k' is there twice"),
    "tensor twice": (image(tensors=[TENSORS[0]] * 2), "tensor name 'token_embd.weight' is there twice"),
    "unknown weight type": (image(tensors=[tensor("t", [32], 4)]), "unknown weight type 4"),
    "no dimensions": (image(tensors=[tensor("t", [])]), "has 0 dimensions"),
    "five dimensions": (image(tensors=[tensor("t", [32] * 5)]), "has 5 dimensions"),
    "huge number of dimensions": (image(tensors=[tensor("t", [32], dimensions=2**32 - 1)]), "dimensions"),
    "no rows": (image(tensors=[tensor("t", [32, 0])]), "impossible shape (32, 0)"),
    "broken block": (image(tensors=[tensor("t", [33])]), "impossible shape (33,)"),
    "huge shape": (image(tensors=[tensor("t", [2**63] * 4)]), "impossible shape"),
    "overlapping tensors": (image(tensors=[TENSORS[0], tensor("t", [32])]), "is at offset 0 instead of"),
    "huge offset": (image(tensors=[tensor("t", [32], offset=HUGE)]), f"offset {HUGE}"),
    "broken download": (image(data_bytes=DATA_BYTES - 1), "incomplete"),
    "padding missing": (image()[: -DATA_BYTES - 1], "incomplete"),
    "alignment 0": (with_keys(key("general.alignment", U32, u32(0))), "alignment is 0"),
    "alignment 48": (with_keys(key("general.alignment", U32, u32(48))), "alignment is 48"),
    "alignment of text": (with_keys(key("general.alignment", STRING, text("32"))), "alignment is '32'"),
    "alignment true": (with_keys(key("general.alignment", BOOL, b"\1")), "alignment is True"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_are_refused_in_one_line_that_names_them(scratch: Path, case: str) -> None:
    content, complaint = BAD_FILES[case]
    scratch.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError) as caught:
            read_header(scratch)
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert complaint in message
    assert message.startswith(str(scratch))
    assert "\n" not in message


def test_header_without_end_is_refused(scratch: Path) -> None:
    with scratch.open("wb") as handle:
        handle.write(image([], [], 0, n_keys=3)[:24])
        for number in range(3):
            handle.write(array(f"k{number}", U64, [], claimed=gguf.MAX_ARRAY_LENGTH))
            handle.seek(8 * gguf.MAX_ARRAY_LENGTH, os.SEEK_CUR)  # the arrays' content is a hole
        handle.truncate()
    with pytest.raises(FileFormatError, match="header is longer than 64 MiB"):
        read_header(scratch)
    scratch.unlink()


def test_file_that_shrinks_while_it_is_read(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch.write_bytes(image()[:100])
    monkeypatch.setattr(gguf, "os", SimpleNamespace(fstat=lambda _: SimpleNamespace(st_size=10**6), SEEK_CUR=os.SEEK_CUR))
    with pytest.raises(FileFormatError, match="became shorter"):
        read_header(scratch)


@pytest.mark.parametrize("name", ["missing.gguf", "missing/x.gguf", ".", "nul\0.gguf", "x" * 5000, "pipe"])
def test_what_is_not_a_readable_file(tmp_path: Path, name: str) -> None:
    if name == "pipe":
        os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="cannot read") as caught:
        read_header(tmp_path / name)
    assert not isinstance(caught.value, FileFormatError)


def test_every_truncation_is_noticed(scratch: Path) -> None:
    content = with_keys(array("names", STRING, [text("a"), text("bc")]))
    for length in [*range(len(content) - DATA_BYTES), len(content) - DATA_BYTES // 2, len(content) - 1]:
        scratch.write_bytes(content[:length])
        with pytest.raises(FileFormatError):
            read_header(scratch)


RICH = with_keys(
    array("tokens", STRING, [text(f"t{number}") for number in range(600)]),
    array("scores", F32, [struct.pack("<f", number) for number in range(600)]),
    array("llama.attention.head_count_kv", U32, [u32(1), u32(2), u32(2)]),
    key("flag", BOOL, b"\1"),
)
ONE_CHANGE = st.tuples(st.integers(0, len(RICH) - DATA_BYTES), st.binary(min_size=1, max_size=9))


@given(changes=st.lists(ONE_CHANGE, max_size=4), length=st.integers(0, len(RICH)) | st.just(len(RICH)))
@settings(max_examples=400, deadline=1000)
def test_damage_is_refused_or_harmless(scratch: Path, changes: list[tuple[int, bytes]], length: int) -> None:
    content = bytearray(RICH)
    for position, replacement in changes:
        content[position : position + len(replacement)] = replacement
    scratch.write_bytes(content[:length])
    tracemalloc.start()
    try:
        spec = spec_from_gguf(scratch)
    except FileFormatError:
        pass
    else:
        assert spec.weight_bytes <= length
        assert 1 <= spec.n_layers <= gguf.MAX_LAYERS
        assert 0 <= spec.windowed_layers <= spec.n_layers
    finally:
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak_bytes < MIB


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=1000)
def test_noise_behind_the_magic_is_refused(scratch: Path, noise: bytes) -> None:
    for content in (noise, b"GGUF" + u32(3) + noise, b"GGUF" + u32(3) + u64(1) + u64(1) + noise):
        scratch.write_bytes(content)
        with pytest.raises(FileFormatError):
            spec_from_gguf(scratch)


@pytest.mark.parametrize("name", KEYS)
def test_missing_key_is_named(scratch: Path, name: str) -> None:
    scratch.write_bytes(with_keys(without=name))
    with pytest.raises(FileFormatError, match=name):
        spec_from_gguf(scratch)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (U32, u32(0)),
        (U32, u32(2**31)),
        (5, struct.pack("<i", -4)),
        (F32, struct.pack("<f", 4.0)),
        (BOOL, b"\1"),
        (STRING, text("4" * 10**5)),
        (ARRAY, u32(U32) + u64(0)),
        (ARRAY, u32(BOOL) + u64(2) + b"\1\1"),
        (ARRAY, u32(U8) + u64(600) + b"\4" * 600),
    ],
)
def test_implausible_hyperparameters_are_refused(scratch: Path, kind: int, value: bytes) -> None:
    scratch.write_bytes(with_keys(key("llama.attention.head_count", kind, value), without="llama.attention.head_count"))
    with pytest.raises(FileFormatError, match=r"llama\.attention\.head_count") as caught:
        spec_from_gguf(scratch)
    assert len(str(caught.value)) < len(str(scratch)) + 250


def test_more_layers_than_llama_cpp_allows(scratch: Path) -> None:
    scratch.write_bytes(with_keys(key("llama.block_count", U32, u32(513)), without="llama.block_count"))
    with pytest.raises(FileFormatError, match=r"block_count.* 513; expected a whole number from 1 to 512"):
        spec_from_gguf(scratch)


def test_per_layer_values_count_with_their_largest(scratch: Path) -> None:
    heads = array("llama.attention.head_count_kv", U32, [u32(0), u32(2), u32(1)])
    width = array("llama.feed_forward_length", U32, [u32(100), u32(300), u32(200)])
    scratch.write_bytes(
        with_keys(heads, width, key("llama.attention.key_length", U32, u32(48)), without="llama.feed_forward_length")
    )
    spec = spec_from_gguf(scratch)
    assert (spec.n_kv_heads, spec.n_ff, spec.head_dim) == (2, 300, 48)


@pytest.mark.parametrize(
    ("architecture", "written", "windowed"),
    [
        ("llama", None, 0),
        ("gemma2", None, 6),
        ("gemma3", None, 10),
        ("gemma3", key("gemma3.attention.sliding_window_pattern", U32, u32(3)), 8),
        ("gemma3", array("gemma3.attention.sliding_window_pattern", BOOL, [b"\1"] * 12), 10),
        ("llama", key("llama.attention.sliding_window_pattern", U32, u32(3)), 0),
    ],
)
def test_sliding_windows(scratch: Path, architecture: str, written: bytes | None, windowed: int) -> None:
    numbers = {"block_count": 12, "embedding_length": N_EMBD, "attention.head_count": 4, "feed_forward_length": 192}
    numbers |= {"context_length": 2048, "attention.sliding_window": 512}
    keys = [key("general.architecture", STRING, text(architecture))]
    keys += [key(f"{architecture}.{name}", U32, u32(number)) for name, number in numbers.items()]
    scratch.write_bytes(image(keys + ([written] if written else [])))
    spec = spec_from_gguf(scratch)
    assert spec.sliding_window == 512
    assert spec.windowed_layers == windowed


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (with_keys(key("split.count", 2, b"\3\0")), "one part of several"),
        (image(tensors=[], data_bytes=0), "no embedding table"),
        (image(tensors=[tensor("token_embd.weight", [N_EMBD])]), "no embedding table"),
        (with_keys(key("general.architecture", STRING, text("a\nb")), without="general.architecture"), r"is 'a\\nb'"),
        (with_keys(key("general.architecture", U32, u32(3)), without="general.architecture"), "is 3"),
        (with_keys(key("llama.attention.head_count", U32, u32(65)), without="llama.attention.head_count"), "key_length"),
    ],
)
def test_files_that_hold_no_whole_model(scratch: Path, content: bytes, complaint: str) -> None:
    scratch.write_bytes(content)
    with pytest.raises(FileFormatError, match=f"cannot be used as a model: .*{complaint}"):
        spec_from_gguf(scratch)
