"""Ten thousand damaged headers of real architectures: each is refused in a clear way or harmless, with bounded work and memory."""

from __future__ import annotations

import random
import struct
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import BinaryIO

import numpy  # noqa: F401  (or the first long array would pay for it)
import pytest
from gguf_image import HUGE
from narrow import NARROW, narrow_spec

from mmpredict.errors import FileFormatError, InputError
from mmpredict.models.cache import CacheOptions, cache_bytes
from mmpredict.models.gguf import header
from mmpredict.models.gguf.cursor import WINDOW_BYTES, Cursor
from mmpredict.models.gguf.model import spec_from_gguf
from mmpredict.models.gguf.weights_file import model_header
from mmpredict.models.metadata.keys import MAX_LAYERS
from mmpredict.units import MIB

HEADERS = 10_000
SEED = 20261120
ARCHITECTURES = (
    "llama",
    "mixtral",
    "gemma3",
    "gemma4",
    "gpt-oss",
    "deepseek2",
    "glm4moe",
    "llama4",
    "nemotron_h_moe",
    "qwen35moe",
    "lfm2",
)
ENCODERS = ("bert", "t5")
KINDS = (0, 1, 4, 5, 6, 7, 8, 9, 10, 12, 13, 99, 2**31)
NUMBERS = (0, 1, 2, 3, 5, 255, 256, 512, 513, 4096, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**40, HUGE, 2**63, 2**64 - 1)
PEAK_BYTES = 2 * MIB


def fields(content: bytes) -> tuple[list[int], list[int], list[int]]:
    """Where a header has its 8-byte counts and lengths, its value types, and its values of 4 bytes."""
    counts, kinds, values = [8, 16], [4], []
    n_tensors, n_keys = struct.unpack_from("<QQ", content, 8)
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    position = 24

    def string(place: int) -> int:
        counts.append(place)
        return place + 8 + int(struct.unpack_from("<Q", content, place)[0])

    for _ in range(n_keys):
        position = string(position)
        kinds.append(position)
        kind, length, position = struct.unpack_from("<I", content, position)[0], 1, position + 4
        if kind == 9:
            kinds.append(position)
            counts.append(position + 4)
            kind, length = struct.unpack_from("<IQ", content, position)
            position += 12
        for _ in range(length):
            if kind == 8:
                position = string(position)
            else:
                values.append(position)
                position += sizes[kind]
    for _ in range(n_tensors):
        position = string(position)
        kinds.append(position)
        dimensions = struct.unpack_from("<I", content, position)[0]
        counts += [position + 4 + 8 * extent for extent in range(dimensions)]
        kinds.append(position + 4 + 8 * dimensions)
        counts.append(position + 8 + 8 * dimensions)
        position += 16 + 8 * dimensions
    return counts, kinds, values


class Damage:
    """Changes headers, each in one to three ways."""

    def __init__(self, originals: dict[str, bytes]) -> None:
        self.generator = random.Random(SEED)
        self.originals = originals
        self.fields = {name: fields(content) for name, content in originals.items()}
        self.ways = (
            self.flip, self.flip, self.noise, self.cut, self.splice, self.insert, self.remove,
            self.number, self.number, self.number, self.kind, self.kind, self.nest, self.value, self.value, self.value,
        )  # fmt: skip

    def damaged(self, name: str) -> bytes:
        content = bytearray(self.originals[name])
        for _ in range(self.generator.randint(1, 3)):
            self.generator.choice(self.ways)(content, name)
        return bytes(content)

    def place(self, content: bytearray) -> int:
        return self.generator.randrange(len(content)) if content else 0

    def flip(self, content: bytearray, name: str) -> None:
        if content:
            content[self.place(content)] ^= 1 << self.generator.randrange(8)

    def noise(self, content: bytearray, name: str) -> None:
        place = self.place(content)
        content[place : place + 9] = self.generator.randbytes(min(9, len(content) - place))

    def cut(self, content: bytearray, name: str) -> None:
        del content[self.place(content) :]

    def splice(self, content: bytearray, name: str) -> None:
        other = self.originals[self.generator.choice(list(self.originals))]
        start, place = self.generator.randrange(len(other)), self.place(content)
        piece = other[start : start + self.generator.randrange(400)]
        content[place : place + len(piece)] = piece

    def insert(self, content: bytearray, name: str) -> None:
        place = self.place(content)
        content[place:place] = self.generator.randbytes(self.generator.randrange(1, 17))

    def remove(self, content: bytearray, name: str) -> None:
        place = self.place(content)
        del content[place : place + self.generator.randrange(1, 40)]

    def write(self, content: bytearray, place: int, layout: str, number: int) -> None:
        if place + struct.calcsize(layout) <= len(content):
            struct.pack_into(layout, content, place, number)

    def number(self, content: bytearray, name: str) -> None:
        self.write(content, self.generator.choice(self.fields[name][0]), "<Q", self.generator.choice(NUMBERS))

    def kind(self, content: bytearray, name: str) -> None:
        self.write(content, self.generator.choice(self.fields[name][1]), "<I", self.generator.choice(KINDS))

    def nest(self, content: bytearray, name: str) -> None:
        place = self.generator.choice(self.fields[name][1])
        content[place : place + 16] = struct.pack("<IIQ", 9, 9, 1) * self.generator.randrange(1, 50)

    def value(self, content: bytearray, name: str) -> None:
        self.write(content, self.generator.choice(self.fields[name][2]), "<I", self.generator.choice(NUMBERS) % 2**32)


class CountingFile:
    """Counts what is read of a file."""

    read_bytes = 0

    def __init__(self, handle: BinaryIO) -> None:
        self.handle = handle

    def seek(self, position: int, whence: int = 0) -> int:
        return self.handle.seek(position, whence)

    def read(self, count: int) -> bytes:
        content = self.handle.read(count)
        CountingFile.read_bytes += len(content)
        return content


class CountingCursor(Cursor):
    """Counts how often a header is looked at."""

    looks = 0

    def _look(self, count: int) -> int:
        CountingCursor.looks += 1
        return super()._look(count)


class Watched:
    """Makes the cursors of the reader: all of them count what they read, and every sixteenth file's its looks and memory too.

    Watching memory takes five times as long as reading.
    """

    def __init__(self) -> None:
        self.files, self.closely, self.highest_bytes = 0, False, 0

    def __call__(self, path: Path, handle: BinaryIO, file_bytes: int) -> Cursor:
        kind = CountingCursor if self.closely else Cursor
        return kind(path, CountingFile(handle), file_bytes)  # type: ignore[arg-type]

    def check(self, path: Path, length: int) -> str:
        """Read a damaged file with headers of ``length`` in all, and say how that ended."""
        self.files += 1
        self.closely = self.files % 16 == 0
        CountingFile.read_bytes = CountingCursor.looks = 0
        if not self.closely:
            outcome = check(path)
        else:
            tracemalloc.start()
            try:
                outcome = check(path)
                self.highest_bytes = max(self.highest_bytes, tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
        assert CountingFile.read_bytes <= 2 * length + 4 * WINDOW_BYTES
        assert CountingCursor.looks <= length, "more looks than bytes"
        return outcome


@pytest.fixture(scope="module")
def originals() -> dict[str, bytes]:
    return {name: model_header(narrow_spec(NARROW[name])) for name in (*ARCHITECTURES, *ENCODERS)}


@pytest.fixture(scope="module")
def parts() -> tuple[bytes, ...]:
    """The headers of a model in three parts."""
    spec = narrow_spec(NARROW["qwen3moe"])
    numbers = {"split.count": 3, "split.tensors.count": len(spec.tensors)}
    first, second = len(spec.tensors) // 3, 2 * len(spec.tensors) // 3
    pieces = (spec.tensors[:first], spec.tensors[first:second], spec.tensors[second:])
    return tuple(model_header(replace(spec, tensors=piece), {**numbers, "split.no": number}) for number, piece in enumerate(pieces))


def write(path: Path, content: bytes, size_bytes: int) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.truncate(size_bytes)


def check(path: Path) -> str:
    try:
        spec = spec_from_gguf(path)
    except InputError as error:
        message = str(error)
        assert "\n" not in message.replace(str(path), "")
        assert len(message) < 500 + 2 * len(str(path))
        return type(error).__name__
    assert 1 <= spec.shape.n_layers <= MAX_LAYERS
    assert spec.weight_bytes > 0
    assert cache_bytes(spec.shape, CacheOptions(4096)) >= 0
    return "accepted"


def test_damaged_headers(originals: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched()
    monkeypatch.setattr(header, "Cursor", watched)
    names, damage, path = list(originals), Damage(originals), tmp_path / "damaged.gguf"

    architectures = cycle(names)

    def check_next() -> str:
        content = damage.damaged(next(architectures))
        write(path, content, len(content) + 8 * MIB)
        return watched.check(path, len(content))

    outcomes = Counter(check_next() for _ in range(HEADERS))
    assert sum(outcomes.values()) == HEADERS
    assert set(outcomes) <= {"accepted", FileFormatError.__name__, InputError.__name__}
    assert outcomes["FileFormatError"] > HEADERS // 2
    assert outcomes["accepted"] > HEADERS // 50, "the damage must not only be found at the first byte"
    assert 0 < watched.highest_bytes < PEAK_BYTES


def test_damaged_parts(parts: tuple[bytes, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched()
    monkeypatch.setattr(header, "Cursor", watched)
    originals = {str(number): content for number, content in enumerate(parts)}
    damage = Damage(originals)
    paths = [tmp_path / f"model-{number + 1:05d}-of-00003.gguf" for number in range(3)]

    turns = cycle(range(6))

    def check_next() -> str:
        turn = next(turns)
        content = [damage.damaged(str(index)) if index == turn % 3 else part for index, part in enumerate(parts)]
        write_all(paths, content)
        return watched.check(paths[turn // 3], sum(map(len, content)))

    assert check(write_all(paths, parts)[1]) == "accepted"
    outcomes = Counter(check_next() for _ in range(HEADERS // 20))
    assert set(outcomes) <= {"accepted", FileFormatError.__name__, InputError.__name__}
    assert outcomes["FileFormatError"] > HEADERS // 40
    assert 0 < watched.highest_bytes < PEAK_BYTES


def write_all(paths: list[Path], parts: Sequence[bytes]) -> list[Path]:
    for path, content in zip(paths, parts, strict=True):
        write(path, content, len(content) + 8 * MIB)
    return paths
