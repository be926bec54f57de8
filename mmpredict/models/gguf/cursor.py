"""A place in a file that nothing can be read beyond: every length is checked before anything is read or reserved for it."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any, BinaryIO

from mmpredict.errors import FileFormatError
from mmpredict.models.gguf.string_walk import walk_strings
from mmpredict.units import KIB, MIB, format_bytes

MAX_HEADER_BYTES = 64 * MIB  # vocabularies of 262 144 tokens with all their merges take about 20 MiB
WINDOW_BYTES = 256 * KIB  # read at a time; stays within a processor's cache
_U64 = struct.Struct("<Q")


class Cursor:
    """Reads a header from its beginning to its end, through a window of ``WINDOW_BYTES``; every complaint names the file.

    Attributes:
        path: the file, for complaints.
        file_bytes: its length when it was opened [bytes].
        position: where the next thing begins [bytes].
    """

    def __init__(self, path: Path, handle: BinaryIO, file_bytes: int) -> None:
        self.path, self.file_bytes, self.position = path, file_bytes, 0
        self._handle, self._window, self._window_start = handle, b"", 0

    def error(self, problem: str) -> FileFormatError:
        """The complaint that ``problem`` is wrong with the file."""
        return FileFormatError(f"{self.path} {problem}")

    def require(self, count: int) -> None:
        """Complain unless ``count`` more bytes can belong to the header."""
        end = self.position + count
        if end > self.file_bytes:
            raise self.error(f"is truncated or damaged: its header goes on to byte {end}, the file has {self.file_bytes}")
        if end > MAX_HEADER_BYTES:
            raise self.error(f"is damaged: its header is longer than {format_bytes(MAX_HEADER_BYTES)}")

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        offset = self._look(count)
        self.position += count
        return self._window[offset : offset + count]

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        """The next values of ``layout``."""
        offset = self._look(layout.size)
        self.position += layout.size
        return layout.unpack_from(self._window, offset)

    def scalar(self, layout: struct.Struct) -> Any:
        """The next value of ``layout``, which holds only one."""
        return self.unpack(layout)[0]

    def skip(self, count: int) -> None:
        """Go on by ``count`` bytes, without reading them."""
        self.require(count)
        self.position += count

    def skip_strings(self, count: int) -> None:
        """Go on by ``count`` strings, each of them preceded by its length in 8 bytes."""
        while count:
            offset = self._look(_U64.size)
            walked, end = walk_strings(self._window, offset, count)
            self.skip(end - offset)
            count -= walked

    def count(self, what: str, most: int, least_bytes: int) -> int:
        """The next 8 bytes as a count of things of at least ``least_bytes`` each."""
        count: int = self.scalar(_U64)
        if count > most:
            raise self.error(f"is damaged: it claims {count} {what}; at most {most} are plausible")
        self.require(count * least_bytes)
        return count

    def text(self, what: str, most: int) -> str:
        """The next string, of at most ``most`` bytes."""
        # llama.cpp does not check the encoding either, and a strange byte in a licence is no reason to refuse a model.
        return self.take(self.count(what, most, 1)).decode("utf-8", errors="replace")

    def _look(self, count: int) -> int:
        """Make sure that the next ``count`` bytes are in the window; return where they begin in it."""
        self.require(count)
        offset = self.position - self._window_start
        if offset + count > len(self._window):
            self._handle.seek(self.position, os.SEEK_SET)
            self._window, self._window_start = self._handle.read(max(count, WINDOW_BYTES)), self.position
            offset = 0
            if len(self._window) < count:
                raise self.error("is truncated: it became shorter while it was read")
        return offset
