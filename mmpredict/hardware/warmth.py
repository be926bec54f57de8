"""The state of memory before a load: whether a file is in the page cache, and whether free memory is at hand.

On a virtual machine the host may take back memory that the guest has not used for a while; touching it again costs several
microseconds a page, once. Measurements therefore begin with memory that was used a moment ago.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import psutil

CHUNK_BYTES = 8 * 1024**2
PAGE_BYTES = 4096
LARGEST_SHARE = 0.5  # of the available memory: beyond, touching it would push out what it is meant to help


def touch_memory(size_bytes: float) -> None:
    """Use so much memory for a moment and give it back, so that the next program finds it at hand."""
    size = int(min(size_bytes, LARGEST_SHARE * psutil.virtual_memory().available))
    np.empty(size, dtype=np.uint8)[::PAGE_BYTES] = 1


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
