"""Model files that the operating system still holds in memory, so that loading them again reads no storage."""

from __future__ import annotations

from collections.abc import Mapping


class PageCache:
    """Files in memory, the one read longest ago dropped first.

    Args:
        files: name → size of those that are there at the beginning, the one read longest ago first [bytes].
    """

    def __init__(self, files: Mapping[str, float]) -> None:
        self._files = dict(files)

    def has(self, name: str) -> bool:
        """Whether a file is there, whole: one of which pages are missing is read from storage in the end."""
        return name in self._files

    def read(self, name: str, size_bytes: float) -> None:
        """A file has been read, or mapped and used."""
        self._files.pop(name, None)
        self._files[name] = size_bytes

    def shrink(self, room_bytes: float) -> None:
        """Memory that programs do not use has changed; what does not fit into it is dropped [bytes]."""
        while self._files and sum(self._files.values()) > room_bytes:
            del self._files[next(iter(self._files))]
