"""The operating system's page cache: whether a file's next reading comes from memory or from storage."""

from __future__ import annotations

import os
from pathlib import Path

CHUNK_BYTES = 8 * 1024**2


def warm(path: Path) -> None:
    """Read a file once, so that it is in the page cache if memory allows."""
    with path.open("rb", buffering=0) as file:
        buffer = bytearray(CHUNK_BYTES)
        while file.readinto(buffer):
            pass


def drop(path: Path) -> bool:
    """Ask the system to forget a file's cached pages; returns whether it can be asked (not on every system)."""
    if not hasattr(os, "posix_fadvise"):
        return False
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
    return True
