"""Profiles: those that ship are usable, broken ones are explained, and this machine is described truly."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from mmpredict.errors import FileFormatError, InputError, UnknownNameError
from mmpredict.hardware import warmth
from mmpredict.hardware.detect import THIS_MACHINE, detect, usable_cores
from mmpredict.hardware.library import find_profile, profile_names, profiles_directory
from mmpredict.hardware.profile import MAX_PROFILE_BYTES, HardwareProfile, Quantity, load_profile
from mmpredict.hardware.telemetry import busy_cores, memory_bytes

SHIPPED = sorted(profiles_directory().glob("*.toml"))
GOOD = """
name = "bench"
pools.ram = { capacity_bytes = 8e9, usable_bytes = 6e9 }
processors = [{ kind = "cpu", model = "four cores", cores = 4 }]
"""


def quantities(profile: HardwareProfile) -> list[Quantity]:
    found = []
    for pool in profile.pools.values():
        found += [pool.capacity_bytes, pool.usable_bytes, *([pool.bandwidth_bytes_per_s] if pool.bandwidth_bytes_per_s else [])]
    return found + [value for processor in profile.processors for value in processor.flop_per_s.values()]


def test_there_are_shipped_profiles() -> None:
    assert {path.stem for path in SHIPPED} >= {"ms-s1-max", "jetson-orin-nano"}
    assert profile_names() == [THIS_MACHINE, *(path.stem for path in SHIPPED)]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_profiles_are_possible_machines_with_sources(path: Path) -> None:
    profile = load_profile(path)
    assert profile.name == path.stem
    assert profile.description
    assert 1 <= profile.cpu.cores <= 256
    for pool in profile.pools.values():
        assert 1e9 < pool.usable_bytes.value <= pool.capacity_bytes.value < 1e13
    for quantity in quantities(profile):
        assert quantity.source, "every number says where it comes from"
        low = quantity.value if quantity.low is None else quantity.low
        high = quantity.value if quantity.high is None else quantity.high
        assert low <= quantity.value <= high


@pytest.mark.parametrize("name", ["ms-s1-max", "MS-S1-Max", "ms_s1_max", "MS S1 MAX"])
def test_names_are_found_as_people_write_them(name: str) -> None:
    assert find_profile(name).name == "ms-s1-max"


@pytest.mark.parametrize("name", [THIS_MACHINE, "This-Machine", "this machine"])
def test_this_machine_is_found_as_people_write_it(name: str) -> None:
    assert find_profile(name).name == THIS_MACHINE


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown hardware 'ms-s1'; did you mean ms-s1-max\? \(mmpredict hardware list\)"
    ) as caught:
        find_profile("ms-s1")
    assert caught.value.exit_code == 2
    with pytest.raises(UnknownNameError, match="known: jetson-orin-nano, "):
        find_profile("")


def test_a_file_is_a_profile_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    profile = find_profile(str(path))
    assert (profile.name, profile.cpu.cores, profile.cpu_memory.usable_bytes.value) == ("bench", 4, 6e9)
    assert not profile.cpu_memory.usable_bytes.source


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cores = 4", "cores = 0", r"processors\.0\.cores: .*greater than or equal to 1"),
        (", cores = 4", "", r"processors\.0\.cores: Field required"),
        ('kind = "cpu"', 'kind = "tpu"', r"processors\.0\.kind: .*'cpu', 'gpu' or 'npu'"),
        ("cores = 4", 'cores = 4, pool = "vram"', r"reads pool 'vram'; pools are \['ram'\]"),
        ("8e9", "-8e9", r"pools\.ram\.capacity_bytes\.value"),
        ("8e9", '"much"', r"pools\.ram\.capacity_bytes"),
        ("8e9", "true", r"pools\.ram\.capacity_bytes"),
        ('"bench"', '"My Bench!"', "name: .*pattern"),
        ("name", "surname", "name: Field required"),
        ('name = "bench"', 'name = "bench"\nsockets = 2', "sockets: Extra inputs"),
        ("name", "[name", "is not TOML"),
    ],
)
def test_broken_profiles_are_explained_with_the_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "broken.toml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(FileFormatError, match=message) as caught:
        load_profile(path)
    assert caught.value.exit_code == 2
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read hardware profile .*missing\.toml: No such file"):
        find_profile(str(tmp_path / "missing.toml"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(FileFormatError, match="is not TOML"):
        find_profile(str(tmp_path / "binary.toml"))
    with (tmp_path / "large.toml").open("wb") as file:
        file.truncate(MAX_PROFILE_BYTES + 1)
    with pytest.raises(FileFormatError, match="larger than"):
        find_profile(str(tmp_path / "large.toml"))


def test_a_machine_without_a_cpu_says_so(tmp_path: Path) -> None:
    path = tmp_path / "gpu.toml"
    path.write_text(GOOD.replace('"cpu"', '"gpu"'))
    with pytest.raises(InputError, match="'bench' has no processor of kind cpu"):
        _ = load_profile(path).cpu


def test_this_machine_is_described_truly() -> None:
    profile = detect()
    assert profile.name == THIS_MACHINE
    assert profile.cpu.cores == usable_cores() <= (os.cpu_count() or 1)
    memory = profile.cpu_memory
    assert memory.capacity_bytes.value == psutil.virtual_memory().total
    assert 0 < memory.usable_bytes.value <= memory.capacity_bytes.value
    assert profile.cpu.model and profile.cpu.model in profile.description
    assert all(quantity.source for quantity in quantities(profile))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_cores_that_are_not_allowed_do_not_count() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert usable_cores() == detect().cpu.cores == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_memory_of_processes() -> None:
    import mmap

    before = memory_bytes(os.getpid())
    with mmap.mmap(-1, 64 * 1024**2) as block:
        block.write(b"\x01" * len(block))
        grown = memory_bytes(os.getpid()) - before
    assert before > 1e6
    assert grown == pytest.approx(64 * 1024**2, rel=0.2)
    assert memory_bytes(2**22 + 1) == 0, "no process has such a number"


def test_busy_cores_are_a_number_of_cores() -> None:
    assert 0.0 <= busy_cores(0.01) <= (psutil.cpu_count() or 1)


def test_warming_and_dropping_leave_a_file_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(os.urandom(100_000))
    before = path.read_bytes()
    warmth.warm(path)
    assert warmth.drop(path) is hasattr(os, "posix_fadvise")
    warmth.warm(path)
    assert path.read_bytes() == before
