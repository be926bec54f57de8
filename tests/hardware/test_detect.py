"""This machine is described truly and at once; CPUs, cores and limits are read from what the kernel prints, whatever it prints."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.hardware import apple, warmth
from mmpredict.hardware import detect as detection
from mmpredict.hardware.cgroup import Limits, parse_cpu_max, parse_groups, read_limits
from mmpredict.hardware.cpu import CoreCount, count_cores, largest_cache_bytes, parse_cpu_list, parse_cpuinfo
from mmpredict.hardware.detect import THIS_MACHINE, count_usable_cores, detect, usable_cores, usable_memory
from mmpredict.hardware.telemetry import busy_cores, memory_bytes
from mmpredict.hardware.tool import Answer, ask

GIB = 1024**3
XEON = """processor\t: 0
vendor_id\t: GenuineIntel
model\t\t: 207
model name\t: Intel(R) Xeon(R)   Processor
flags\t\t: fpu avx avx2 fma f16c avx512f avx512_vnni amx_tile amx_int8 hypervisor
processor\t: 1
model name\t: another
"""
PI = """processor\t: 0
Features\t: fp asimd evtstrm asimdhp cpuid asimdrdm asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b

Model\t\t: Raspberry Pi 5 Model B Rev 1.0
"""
JETSON = "processor: 0\nmodel name : ARMv8 Processor rev 1 (v8l)\nFeatures: asimd asimddp\nCPU part : 0xd42\n"
GRAVITON = "processor: 0\nFeatures: asimd asimddp i8mm bf16 sve\nCPU implementer : 0x41\nCPU part : 0xd40\n"


@pytest.mark.parametrize(
    ("text", "model", "features", "board"),
    [
        (XEON, "Intel(R) Xeon(R) Processor", ("avx", "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "amx_tile", "amx_int8"), ""),
        (PI, "Cortex-A76", ("asimd", "asimddp"), "Raspberry Pi 5 Model B Rev 1.0"),
        (JETSON, "ARMv8 Processor rev 1 (v8l)", ("asimd", "asimddp"), ""),
        (GRAVITON, "Neoverse-V1", ("asimd", "asimddp", "i8mm", "bf16", "sve"), ""),
        ("CPU implementer: rubbish\nCPU part:\n", "", (), ""),
        ("", "", (), ""),
        (":::\n\x00\n: x", "", (), ""),
    ],
)
def test_cpuinfo(text: str, model: str, features: tuple[str, ...], board: str) -> None:
    found = parse_cpuinfo(text)
    assert (found.model, found.features, found.board) == (model, features, board)


@given(st.text(max_size=200))
def test_any_cpuinfo_is_read(text: str) -> None:
    assert set(parse_cpuinfo(text).features) <= set(text.split())


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("0-3,8\n", {0, 1, 2, 3, 8}),
        ("5", {5}),
        ("", set()),
        ("3-1", set()),
        ("a-b,2,-", {2}),
        ("4,", {4}),
    ],
)
def test_lists_of_cpus(text: str, cpus: set[int]) -> None:
    assert parse_cpu_list(text) == cpus


def test_a_list_of_cpus_is_bounded() -> None:
    assert len(parse_cpu_list("0-4000000000")) <= 8193


def fake_cpus(root: Path, siblings: list[str], capacity: dict[int, int] | None = None, atoms: str = "") -> Path:
    """A file system that describes CPUs."""
    for cpu, shared in enumerate(siblings):
        topology = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{shared}\n")
        if capacity:
            (topology.parent / "cpu_capacity").write_text(f"{capacity[cpu]}\n")
    if atoms:
        (root / "sys/devices/cpu_atom").mkdir(parents=True)
        (root / "sys/devices/cpu_atom/cpus").write_text(f"{atoms}\n")
    return root


def test_two_threads_of_a_core_are_one_core(tmp_path: Path) -> None:
    root = fake_cpus(tmp_path, ["0,2", "1,3", "0,2", "1,3"])
    assert count_cores(range(4), root) == CoreCount(2)
    assert count_cores([0, 2], root) == CoreCount(1)
    assert count_cores([0, 1], root) == CoreCount(2)


def test_efficiency_cores_of_intel_are_left_out(tmp_path: Path) -> None:
    root = fake_cpus(tmp_path, ["0-1", "0-1", "2-3", "2-3", "4", "5", "6", "7"], atoms="4-7")
    assert count_cores(range(8), root) == CoreCount(2, efficiency_cores=4)
    assert count_cores([4, 5], root) == CoreCount(2), "where nothing else is allowed, they are what there is"


def test_slower_cores_of_arm_are_counted_and_noted(tmp_path: Path) -> None:
    root = fake_cpus(tmp_path, ["0", "1", "2", "3"], capacity={0: 430, 1: 430, 2: 1024, 3: 1024})
    assert count_cores(range(4), root) == CoreCount(4, slower_cores=2)


def test_a_system_that_does_not_describe_its_cores(tmp_path: Path) -> None:
    assert count_cores([0], tmp_path) is None
    assert count_cores([], tmp_path) is None


def test_caches_that_are_shared_count_once(tmp_path: Path) -> None:
    caches = ((0, 2, "1024K", "0"), (0, 3, "32M", "0-1"), (1, 3, "32M", "0-1"), (2, 3, "32M", "2"), (3, 3, "x", "3"))
    for cpu, level, size, shared in caches:
        index = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/cache/index{level}"
        index.mkdir(parents=True)
        for name, text in (("level", str(level)), ("size", size), ("shared_cpu_list", shared)):
            (index / name).write_text(text)
    assert largest_cache_bytes(tmp_path) == 64 * 1024**2
    assert largest_cache_bytes(tmp_path / "nothing") == 0


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_limits_of_version_2_are_the_tightest_on_the_way_up(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/user.slice/job\n")
    group = tmp_path / "sys/fs/cgroup/user.slice"
    write(group / "cpu.max", "300000 100000\n")
    write(group / "memory.max", f"{8 * GIB}\n")
    write(group / "memory.current", f"{5 * GIB}\n")
    write(group / "memory.stat", f"anon 1\ninactive_file {GIB}\n")
    write(group / "job/cpu.max", "max 100000\n")
    write(group / "job/memory.max", "max\n")
    assert read_limits(tmp_path) == Limits(cpus=3.0, memory_bytes=8 * GIB, free_bytes=4 * GIB)


def test_limits_of_version_1(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n")
    mount = tmp_path / "sys/fs/cgroup"
    write(mount / "cpu/cpu.cfs_quota_us", "150000\n")  # in a container the mount is the group itself
    write(mount / "cpu/cpu.cfs_period_us", "100000\n")
    write(mount / "memory/docker/abc/memory.limit_in_bytes", f"{2 * GIB}\n")
    write(mount / "memory/docker/abc/memory.usage_in_bytes", f"{GIB}\n")
    write(mount / "memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert read_limits(tmp_path) == Limits(cpus=1.5, memory_bytes=2 * GIB, free_bytes=GIB)


@pytest.mark.parametrize("text", ["", "rubbish", "0::", "0::relative", "0::/../../etc", "4:memory", "::::"])
def test_no_limits_where_nothing_readable_is_said(text: str, tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", text)
    assert read_limits(tmp_path) == Limits()
    assert all(".." not in path for path in parse_groups(text).values())


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("50000 100000", [0.5]), ("max 100000", []), ("-1 100000", []), ("0 1", []), ("1 0", []), ("", []), ("x", [])],
)
def test_quotas(text: str, cpus: list[float]) -> None:
    assert parse_cpu_max(text) == cpus


@pytest.mark.parametrize(("quota", "cores"), [(0.5, 1), (1.0, 1), (1.9, 1), (1000.0, None)])
def test_cores_that_are_not_paid_for_do_not_count(quota: float, cores: int | None) -> None:
    unlimited = count_usable_cores(Limits()).cores
    assert count_usable_cores(Limits(cpus=quota)).cores == (unlimited if cores is None else cores)


def test_memory_beyond_the_control_group_does_not_count() -> None:
    total = psutil.virtual_memory().total
    free = usable_memory(Limits(memory_bytes=total // 2, free_bytes=GIB // 64))
    assert (free.total_bytes, free.limit_bytes, free.available_bytes) == (total, total // 2, GIB // 64)
    unlimited = usable_memory(Limits(memory_bytes=2 * total, free_bytes=GIB // 64))
    assert unlimited.limit_bytes is None
    assert unlimited.available_bytes > GIB // 64


def test_this_machine_is_described_truly() -> None:
    profile = detect()
    assert profile.name == THIS_MACHINE
    assert profile.cpu.cores == usable_cores() <= (os.cpu_count() or 1)
    memory = profile.cpu_memory
    assert memory.capacity_bytes.value == psutil.virtual_memory().total
    assert 0 < memory.usable_bytes.value <= memory.capacity_bytes.value
    assert memory.swap_bytes is not None and memory.swap_bytes.value == psutil.swap_memory().total
    assert profile.cpu.model and profile.cpu.model in profile.description
    assert not profile.storage and profile.cpu.bandwidth_bytes_per_s is None, "nothing is measured"


def test_a_mac_is_asked_as_macs_are(monkeypatch: pytest.MonkeyPatch) -> None:
    told = "machdep.cpu.brand_string: Apple M4\nhw.perflevel0.physicalcpu: 4\nhw.perflevel1.physicalcpu: 6\n"
    monkeypatch.setattr(detection.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(apple, "ask", lambda *_: Answer(told))
    cpu = detect().cpu
    assert (cpu.model, cpu.cores, cpu.efficiency_cores) == ("Apple M4", 4, 6)
    monkeypatch.setattr(apple, "ask", lambda *_: Answer(trouble="sysctl is not installed"))
    assert detect().cpu.cores >= 1


def test_describing_this_machine_starts_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a program was started"))
    monkeypatch.setattr(detection.platform, "system", lambda: "Linux")
    assert detect().cpu.cores >= 1


def test_cores_that_are_not_allowed_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection.platform, "system", lambda: "Linux")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
    assert usable_cores() == detect().cpu.cores == 1


def test_programs_are_asked_and_not_waited_for() -> None:
    assert ask("echo", "yes").text == "yes\n"
    assert ask("no-such-program-here").trouble == "no-such-program-here is not installed"
    assert ask("sleep", "10", timeout_s=0.1).trouble == "sleep did not answer within 0.1 s"
    assert ask("false").trouble == "false failed with exit code 1"
    assert ask("sh", "-c", "echo why >&2; exit 3").trouble == "sh failed: why"


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
