"""The header reader: what it reads, and that nothing in a file can make it fail in another way, or take much time or memory."""

from __future__ import annotations

import os
import struct
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import pytest
from gguf_image import (
    ARRAY,
    BOOL,
    DATA_BYTES,
    F32,
    HUGE,
    KEYS,
    N_EMBD,
    N_VOCAB,
    STRING,
    TABLE_BYTES,
    TENSORS,
    U8,
    U32,
    U64,
    array,
    image,
    key,
    tensor,
    text,
    u32,
    u64,
    with_keys,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpredict.errors import FileFormatError, InputError
from mmpredict.models.gguf import cursor, header, string_walk
from mmpredict.models.gguf.header import GgufHeader, read_header
from mmpredict.models.gguf.model import spec_from_gguf
from mmpredict.models.gguf.string_walk import walk_strings
from mmpredict.models.metadata.keys import MAX_LAYERS, LongArray
from mmpredict.models.quantization.weight_types import WEIGHT_TYPES
from mmpredict.models.spec import Tensor
from mmpredict.units import MIB


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
            handle.write(array(f"k{number}", U64, [], claimed=header.MAX_ARRAY_LENGTH))
            handle.seek(8 * header.MAX_ARRAY_LENGTH, os.SEEK_CUR)  # the arrays' content is a hole
        handle.truncate()
    with pytest.raises(FileFormatError, match="header is longer than 64 MiB"):
        read_header(scratch)
    scratch.unlink()


def test_file_that_shrinks_while_it_is_read(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch.write_bytes(image()[:100])
    monkeypatch.setattr(header, "os", SimpleNamespace(fstat=lambda _: SimpleNamespace(st_size=10**6)))
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
        assert 1 <= spec.shape.n_layers <= MAX_LAYERS
        assert spec.shape.window is None or len(spec.shape.window.local) == spec.shape.n_layers
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


class CountingFile:
    """A file that counts what is read of it."""

    def __init__(self, handle: BinaryIO) -> None:
        self.handle, self.reads, self.read_bytes = handle, 0, 0

    def seek(self, position: int, whence: int = 0) -> int:
        return self.handle.seek(position, whence)

    def read(self, count: int) -> bytes:
        content = self.handle.read(count)
        self.reads, self.read_bytes = self.reads + 1, self.read_bytes + len(content)
        return content


def counted(path: Path) -> CountingFile:
    with path.open("rb", buffering=0) as handle:
        counting = CountingFile(handle)
        header._parse(cursor.Cursor(path, counting, path.stat().st_size))  # type: ignore[arg-type]
    return counting


def test_a_header_is_read_once_and_in_large_pieces(scratch: Path) -> None:
    words = [text(f"token {number}") for number in range(200_000)]
    content = with_keys(array("tokens", STRING, words), array("scores", F32, [bytes(4)] * 200_000), key("after", U32, u32(7)))
    scratch.write_bytes(content)
    counting = counted(scratch)
    strings_bytes = sum(map(len, words))
    assert strings_bytes < counting.read_bytes < strings_bytes + 3 * cursor.WINDOW_BYTES, "numbers are not read"
    assert counting.reads < 4 + strings_bytes // (cursor.WINDOW_BYTES // 2)
    scratch.unlink()


def plain_walk(window: bytes, position: int, most: int) -> tuple[int, int]:
    walked = 0
    while walked < most and position + 8 <= len(window):
        position += 8 + struct.unpack_from("<Q", window, position)[0]
        walked += 1
    return walked, position


STRINGS = st.one_of(
    st.binary(min_size=1, max_size=12),
    st.sampled_from(
        [
            b"",
            b"\0",
            b"\0" * 7,
            b"\0" * 9,
            b"ab\0\0\0\0\0\0\0",
            bytes([1, 0, 0, 0, 0, 0, 0, 0, 65]),
            b"x" * 255,
            b"y" * 256,
            b"z" * 700,
        ]
    ),
)


@given(
    some=st.lists(STRINGS, min_size=1, max_size=12),
    before=st.integers(0, 9),
    cut=st.integers(0, 40),
    most=st.integers(0, 12000),
    odd=st.none() | st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=9)),
)
@settings(max_examples=150)
def test_jumping_over_strings_arrives_where_walking_does(
    some: list[bytes], before: int, cut: int, most: int, odd: tuple[int, bytes] | None
) -> None:
    content = bytearray(before) + b"".join(struct.pack("<Q", len(string)) + string for string in some * (6000 // len(some)))
    if odd is not None:
        place = before + odd[0] % (len(content) - before)
        content[place : place + len(odd[1])] = odd[1]
    window = bytes(content[: max(before + 8, len(content) - cut)])
    assert walk_strings(window, before, most) == plain_walk(window, before, most)


def test_a_vocabulary_is_passed_in_few_jumps() -> None:
    words = [f"token {number}".encode() for number in range(10_000)]
    words[5000] = b"x" * 300  # too long to be seen from afar
    window = b"".join(struct.pack("<Q", len(word)) + word for word in words)
    seen = string_walk._Seen(window)
    assert seen.jump(0, 20_000)[0] == 5000
    behind = sum(8 + len(word) for word in words[:5001])
    assert seen.jump(behind, 20_000) == (4999, len(window))
    assert seen.jump(behind + 1, 20_000) == (0, behind + 1)
    assert seen.jump(behind, 7)[0] == 7
