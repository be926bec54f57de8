"""A short measurement of how fast the disk of a directory is read from its beginning to its end."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from mmpredict.hardware.memory_pool import Storage
from mmpredict.hardware.probe_memory import Measured, rate_of
from mmpredict.hardware.quantity import Quantity
from mmpredict.hardware.tool import plain
from mmpredict.units import GIB, MIB, format_bytes

CHUNK_BYTES = 8 * MIB
SMALLEST_BYTES = 64 * MIB
LARGEST_BYTES = 512 * MIB
KEPT_FREE_BYTES = GIB
REPEATS = 3
PATIENCE_S = 4.0  # for writing, and for each reading
SAMPLES = 8  # places at which the page cache is asked whether it has let go
MOSTLY = 0.25
_IN_MEMORY = ("tmpfs", "ramfs")


def measure_disk(directory: Path, measured_on: str, progress: Callable[[float], None] = lambda _: None) -> Measured:
    """Sequential read bandwidth of the disk that a directory is on.

    A file of random bytes without a name is written there (the system removes it whatever happens to this process), its pages are
    dropped from the cache, and it is read in pieces of 8 MiB with the kernel's read-ahead for sequential files, as model files are.
    The figure is the median of the readings, the interval from the slowest to the fastest.

    Args:
        directory: need not exist; then the nearest one above it counts.
        measured_on: date of the measurement.
        progress: told the fraction done.
    """
    place = existing(directory)
    if not hasattr(os, "posix_fadvise"):
        return Measured(None, "Disk speed: this system cannot be asked to forget cached pages, so a reading would measure memory.")
    if file_system(place.stat().st_dev) in _IN_MEMORY:
        return Measured(None, f"Disk speed: {place} is in memory, not on a disk.")
    free = shutil.disk_usage(place).free - KEPT_FREE_BYTES
    if free < SMALLEST_BYTES:
        wanted = format_bytes(KEPT_FREE_BYTES + SMALLEST_BYTES)
        return Measured(None, f"Disk speed: the disk of {place} has less than {wanted} free; nothing was written.")
    try:
        with tempfile.TemporaryFile(dir=place, buffering=0) as file:
            size = _fill(file, min(LARGEST_BYTES, free), lambda done: progress(done / 2))
            rates = _read_rates(file, size, lambda done: progress(0.5 + done / 2))
    except OSError as error:
        return Measured(None, f"Disk speed: {place} could not be written to or read from ({error.strerror}).")
    if not rates:
        return Measured(None, f"Disk speed: the pages of a file in {place} stay in memory, so a reading would measure that.")
    how = f"{format_bytes(size)} read in pieces of 8 MiB, page cache dropped, median of {len(rates)} readings"
    source = f"measured by mmpredict: {how}"
    return Measured(rate_of(rates, source, measured_on))


def existing(directory: Path) -> Path:
    """The directory, or the nearest one above it that exists."""
    absolute = directory.absolute()
    return next((place for place in (absolute, *absolute.parents) if place.is_dir()), Path("/"))


def storage_of(device: int, root: Path = Path("/")) -> tuple[str, str]:
    """Kind (as in ``Storage``) and name of a block device.

    Args:
        device: its number, ``st_dev`` of a file on it.
        root: of the file system that describes devices.
    """
    entry = (root / "sys/dev/block" / f"{os.major(device)}:{os.minor(device)}").resolve()
    disk = entry.parent if (entry / "partition").exists() else entry
    name = disk.name
    model = plain(_read(disk / "device/model") or _read(disk / "device/name"))
    if not disk.is_dir():
        return "unknown", ""
    if name.startswith("nvme"):
        return "nvme", model
    if name.startswith("mmcblk"):
        return ("sd-card" if _read(disk / "device/type") == "SD" else "emmc"), model
    turning = _read(disk / "queue/rotational")
    if re.fullmatch(r"sd[a-z]+", name) and turning in ("0", "1"):
        return ("hdd" if turning == "1" else "ssd"), model
    return "unknown", model


def file_system(device: int, root: Path = Path("/")) -> str:
    """Type of the file system with a device number; empty where the system does not tell.

    Args:
        device: ``st_dev`` of a file on it.
        root: of the file system that describes processes.
    """
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in _read(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[2:3] == [number] and after:
            return after.split()[0]
    return ""


def describe_storage(directory: Path, reading: Quantity) -> Storage:
    """The disk of a directory as a part of a profile."""
    place = existing(directory)
    kind, model = storage_of(place.stat().st_dev)
    total = Quantity(value=shutil.disk_usage(place).total, source="operating system")
    return Storage.model_validate({"kind": kind, "model": model, "read_bytes_per_s": reading, "capacity_bytes": total})


def _fill(file: IO[bytes], size_bytes: int, progress: Callable[[float], None]) -> int:
    """Write random bytes, for a while at most; returns how many."""
    import numpy as np

    begin, written = time.perf_counter(), 0
    while written < size_bytes:
        chunk = memoryview(np.random.default_rng(written).bytes(CHUNK_BYTES))  # differing: a disk may store equal blocks once
        while chunk:
            chunk = chunk[file.write(chunk) :]
        written += CHUNK_BYTES
        progress(written / size_bytes)
        if time.perf_counter() - begin > PATIENCE_S and written >= SMALLEST_BYTES:
            break
    os.fsync(file.fileno())
    return written


def _read_rates(file: IO[bytes], size_bytes: int, progress: Callable[[float], None]) -> list[float]:
    """Bandwidths of readings from the disk [bytes/s]; none where the pages cannot be dropped."""
    descriptor, buffer = file.fileno(), bytearray(CHUNK_BYTES)
    rates: list[float] = []
    for number in range(REPEATS):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        if cached_share(descriptor, size_bytes) > MOSTLY:
            return rates
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)  # asking may have read a little
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        os.lseek(descriptor, 0, os.SEEK_SET)
        begin, done = time.perf_counter(), 0
        while (now := time.perf_counter()) - begin < PATIENCE_S and (got := os.readv(descriptor, [buffer])):
            done += got
            progress((number + done / size_bytes) / REPEATS)
        now = time.perf_counter()
        rates.append(done / (now - begin))
    return rates


def cached_share(descriptor: int, size_bytes: int) -> float:
    """Share of sampled places of a file that are in the page cache [1]; 0 where the system cannot say."""
    flag = getattr(os, "RWF_NOWAIT", None)
    if flag is None:
        return 0.0
    hits = 0
    for number in range(SAMPLES):
        try:
            hits += os.preadv(descriptor, [bytearray(1)], number * size_bytes // SAMPLES, flag)
        except BlockingIOError:
            continue
        except OSError:  # the file system does not offer it
            return 0.0
    return hits / SAMPLES


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""
