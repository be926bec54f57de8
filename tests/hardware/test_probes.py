"""The short measurements recover a speed that is known, stay within their bounds, and leave nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.hardware import probe_disk, probe_memory
from mmpredict.hardware.probe_disk import cached_share, existing, file_system, measure_disk, storage_of
from mmpredict.hardware.probe_memory import measure_memory, probe_bytes

MIB = 1024**2
Usage = namedtuple("Usage", "total used free")


@given(st.floats(min_value=0, max_value=1e13), st.floats(min_value=0, max_value=1e10))
def test_the_size_read_is_bounded(available: float, caches: float) -> None:
    size = probe_bytes(available, caches)
    assert size == 0 or 64 * MIB <= size <= min(1024 * MIB, 0.25 * available)
    if available > 8e9:
        assert size >= 256 * MIB, "with memory to spare, more than usual caches hold"


def test_memory_is_read_at_a_possible_speed() -> None:
    found = measure_memory(1, 64 * MIB, 0, "2026-01-01").quantity
    assert found is not None
    assert 1e8 < found.lower <= found.value <= found.upper < 5e12
    assert found.date == "2026-01-01"
    assert "64 MiB by 1 threads" in found.source


def test_every_byte_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With passes of a known duration, the bandwidth is bytes over time: 1 GB in a second."""
    monkeypatch.setattr(probe_memory, "_time_passes", lambda threads, items, _: [threads * items * 8 / 1e9] * 3)
    found = measure_memory(4, 128 * MIB, 0, "2026-01-01").quantity
    assert found is not None
    assert (found.lower, found.value, found.upper) == (1e9, 1e9, 1e9)


def test_all_threads_read_at_the_same_time() -> None:
    progress: list[float] = []
    before = threading.active_count()
    found = measure_memory(3, 96 * MIB, 0, "2026-01-01", progress.append).quantity
    assert found is not None and found.value > 1e8
    assert threading.active_count() == before, "no thread stays"
    assert progress == sorted(progress) and progress[-1] >= 0.2


def test_caches_that_hold_a_part_are_mentioned() -> None:
    assert "hold a part" in measure_memory(1, 64 * MIB, 60 * MIB, "2026-01-01").remark
    assert measure_memory(1, 64 * MIB, 1 * MIB, "2026-01-01").remark == ""


def test_memory_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measure_memory(2, 0, 0, "2026-01-01").quantity is None
    monkeypatch.setattr(probe_memory, "_time_passes", lambda *_: (_ for _ in ()).throw(MemoryError))
    nothing = measure_memory(2, 64 * MIB, 0, "2026-01-01")
    assert nothing.quantity is None and "could not be had" in nothing.remark


def test_a_thread_that_fails_does_not_hang_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "ones", lambda *_, **__: (_ for _ in ()).throw(MemoryError("no")))
    assert measure_memory(2, 64 * MIB, 0, "2026-01-01").quantity is None


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of 16 MiB will do."""
    monkeypatch.setattr(probe_disk, "LARGEST_BYTES", 16 * MIB)
    monkeypatch.setattr(probe_disk, "SMALLEST_BYTES", 8 * MIB)


def test_a_disk_is_read_and_nothing_stays(small: None, tmp_path: Path) -> None:
    progress: list[float] = []
    found = measure_disk(tmp_path / "not" / "there", "2026-01-01", progress.append)
    assert list(tmp_path.rglob("*")) == []
    if found.quantity is None:
        why = "in memory" if hasattr(os, "posix_fadvise") else "cannot be asked to forget"
        assert why in found.remark, "the tests' folder is on no disk, or its pages cannot be dropped"
        return
    assert 1e6 < found.quantity.value < 1e11
    assert found.quantity.lower <= found.quantity.value <= found.quantity.upper
    assert "16 MiB read in pieces of 8 MiB" in found.quantity.source
    assert progress == sorted(progress) and progress[-1] == pytest.approx(1.0)


def test_the_pages_are_dropped_before_each_reading(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    readv, advised = os.readv, {"POSIX_FADV_DONTNEED": 4, "POSIX_FADV_SEQUENTIAL": 2}
    for name, kind in advised.items():
        monkeypatch.setattr(os, name, kind, raising=False)

    def drop(descriptor: int, begin: int, length: int, kind: int) -> None:
        calls.extend(["drop"] * (kind == advised["POSIX_FADV_DONTNEED"]))

    monkeypatch.setattr(os, "posix_fadvise", drop, raising=False)
    monkeypatch.setattr(probe_disk, "cached_share", lambda *_: 0.0)
    monkeypatch.setattr(os, "readv", lambda fd, buffers: (calls.append("read"), readv(fd, buffers))[1])
    monkeypatch.setattr(probe_disk, "file_system", lambda *_: "ext4")
    measure_disk(tmp_path, "2026-01-01")
    readings = "".join(call[0] for call in calls).split("dd")
    assert readings == ["", "rrr", "rrr", "rrr"]  # two pieces and the end of the file, each time after dropping


def test_pages_that_stay_in_memory_are_not_measured(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_disk, "file_system", lambda *_: "ext4")
    monkeypatch.setattr(probe_disk, "cached_share", lambda *_: 1.0)
    found = measure_disk(tmp_path, "2026-01-01")
    assert found.quantity is None and "stay in memory" in found.remark


def test_the_share_of_pages_that_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data"
    path.write_bytes(bytes(MIB))

    def only_first_half(descriptor: int, buffers: list[bytearray], offset: int, flag: int) -> int:
        if offset >= MIB // 2:
            raise BlockingIOError
        return 1

    def not_offered(*_: object) -> int:
        raise OSError("not supported")

    monkeypatch.setattr(os, "RWF_NOWAIT", 8, raising=False)
    with path.open("rb") as file:
        for read, share in ((only_first_half, 0.5), (not_offered, 0.0)):
            monkeypatch.setattr(os, "preadv", read, raising=False)
            assert cached_share(file.fileno(), MIB) == share
        monkeypatch.delattr(os, "RWF_NOWAIT")
        assert cached_share(file.fileno(), MIB) == 0.0, "the system cannot say"


def test_a_full_disk_is_refused_politely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_disk, "file_system", lambda *_: "ext4")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1e12, 1e12 - 5e8, 5e8))
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: pytest.fail("something was written"))
    found = measure_disk(tmp_path, "2026-01-01")
    assert found.quantity is None
    assert "less than 1.06 GiB free; nothing was written" in found.remark


def test_a_file_takes_no_more_than_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(probe_disk, "file_system", lambda *_: "ext4")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1e12, 0, 1024 * MIB + 100 * MIB))
    monkeypatch.setattr(probe_disk, "_fill", lambda _, size, __: sizes.append(size) or size)
    monkeypatch.setattr(probe_disk, "_read_rates", lambda *_: [1e9])
    assert measure_disk(tmp_path, "2026-01-01").quantity is not None
    assert sizes == [100 * MIB]


def test_a_directory_in_memory_and_one_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_disk, "file_system", lambda *_: "tmpfs")
    assert "is in memory" in measure_disk(tmp_path, "2026-01-01").remark
    monkeypatch.setattr(probe_disk, "file_system", lambda *_: "ext4")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    assert "(Permission denied)" in measure_disk(tmp_path, "2026-01-01").remark


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_stays_of_a_measurement_that_is_interrupted(number: signal.Signals, tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from mmpredict.hardware import probe_disk as p; p.file_system = lambda *_: 'ext4'\n"
        "p.measure_disk(pathlib.Path(sys.argv[1]), '', lambda done: print(done, flush=True))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None and process.stdout.readline(), "the file is being written"
        process.send_signal(number)
        process.stdout.read()
        assert process.wait(30) != 0
    assert list(tmp_path.iterdir()) == []


def test_the_nearest_directory_that_exists(tmp_path: Path) -> None:
    assert existing(tmp_path / "a" / "b") == tmp_path
    assert existing(tmp_path) == tmp_path


def disk(root: Path, number: str, path: str, **entries: str) -> None:
    """A block device as the kernel shows it."""
    place = root / "sys/devices" / path
    place.mkdir(parents=True)
    for entry, text in entries.items():
        target = place / entry.replace("__", "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"{text}\n")
    link = root / "sys/dev/block" / number
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(place)


def test_kinds_of_disks(tmp_path: Path) -> None:
    disk(tmp_path, "259:0", "nvme0n1", device__model="Samsung SSD 990 PRO 2TB   ")
    disk(tmp_path, "259:1", "nvme0n1/nvme0n1p1", partition="1")
    disk(tmp_path, "8:0", "sda", queue__rotational="1", device__model="WDC")
    disk(tmp_path, "8:16", "sdb", queue__rotational="0")
    disk(tmp_path, "179:0", "mmcblk0", device__type="SD", device__name="SD64G")
    disk(tmp_path, "179:8", "mmcblk1", device__type="MMC")
    disk(tmp_path, "254:0", "vda", queue__rotational="1")
    for major, minor, kind, model in (
        (259, 0, "nvme", "Samsung SSD 990 PRO 2TB"),
        (259, 1, "nvme", "Samsung SSD 990 PRO 2TB"),
        (8, 0, "hdd", "WDC"),
        (8, 16, "ssd", ""),
        (179, 0, "sd-card", "SD64G"),
        (179, 8, "emmc", ""),
        (254, 0, "unknown", ""),
        (1, 1, "unknown", ""),
    ):
        assert storage_of(os.makedev(major, minor), tmp_path) == (kind, model)


def test_file_systems_by_number(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    disk, memory = "22 1 254:0 / / rw shared:1 - ext4 /dev/vda rw", "31 22 0:27 / /dev/shm rw - tmpfs tmpfs rw"
    (tmp_path / "proc/self/mountinfo").write_text("\n".join((disk, memory, "x", " - x", "")))
    assert file_system(os.makedev(254, 0), tmp_path) == "ext4"
    assert file_system(os.makedev(0, 27), tmp_path) == "tmpfs"
    assert file_system(os.makedev(9, 9), tmp_path) == ""
    assert file_system(os.makedev(9, 9), tmp_path / "none") == ""
