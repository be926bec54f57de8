"""What was found on a machine becomes a profile; what shipped profiles know of it is added and named; the rest is listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmpredict.cost.library import machine_key
from mmpredict.hardware import survey as surveying
from mmpredict.hardware.cpu import CpuIdentity
from mmpredict.hardware.detect import THIS_MACHINE, detect
from mmpredict.hardware.found_gpu import FoundGpu, Sighting
from mmpredict.hardware.known_machine import completed, recognise_machine
from mmpredict.hardware.library import find_profile
from mmpredict.hardware.probe_memory import Measured
from mmpredict.hardware.profile import HardwareProfile, MemoryPool, Processor, Quantity, parse_profile
from mmpredict.hardware.profile_text import profile_text
from mmpredict.hardware.survey import Survey, survey, with_gpus

GIB = 1024**3
RTX = FoundGpu("NVIDIA GeForce RTX 4090", "nvidia-smi", ("cuda",), False, 24 * GIB, 23 * GIB, peak_w=400.0, pcie=(4, 16))
RADEON = FoundGpu("Radeon 8060S (Strix Halo)", "amdgpu", ("rocm", "vulkan"), True, GIB // 2, GIB // 4, reach_bytes=100 * GIB)


def host(cores: int = 16, total: float = 64e9, available: float = 60e9) -> HardwareProfile:
    """A machine without GPU."""
    ram = MemoryPool(capacity_bytes=Quantity(value=total, source="system"), usable_bytes=Quantity(value=available, source="system"))
    cpu = Processor(kind="cpu", model="host", cores=cores, backends=("cpu",))
    return HardwareProfile(name=THIS_MACHINE, pools={"ram": ram}, processors=(cpu,))


def test_a_card_brings_its_memory_and_its_link() -> None:
    found = with_gpus(host(), [RTX])
    assert found.gpu is not None and found.gpu_pool is not None
    assert (found.gpu.pool, found.is_unified) == ("vram", False)
    assert (found.gpu_pool.capacity_bytes.value, found.gpu_pool.usable_bytes.value) == (24 * GIB, 23 * GIB)
    link = found.link_between("ram", "vram")
    assert link is not None
    assert (link.kind, link.bandwidth_bytes_per_s.value) == ("PCIe 4.0 x16", pytest.approx(31.5e9, rel=1e-3))
    assert found.pools["ram"] == host().pools["ram"]


def test_several_gpus_get_a_pool_each_and_the_largest_card_comes_first() -> None:
    small = FoundGpu("small", "nvidia-smi", ("cuda",), False, 8 * GIB, 7 * GIB)
    found = with_gpus(host(), [RADEON, small, RTX])
    assert [processor.model for processor in found.processors] == ["host", RTX.model, "small", RADEON.model]
    assert [processor.pool for processor in found.processors] == ["ram", "vram", "vram1", "ram"]
    assert found.gpu is not None and found.gpu.model == RTX.model


def test_an_integrated_gpu_shares_the_system_s_memory() -> None:
    found = with_gpus(host(total=127.5 * GIB, available=120 * GIB), [RADEON])
    assert found.is_unified and found.gpu is not None
    ram = found.pools["ram"]
    assert ram.unified
    assert ram.capacity_bytes.value == 128 * GIB, "what the firmware set aside is memory too"
    assert found.usable_of(found.gpu).value == pytest.approx(100.25 * GIB), "what it may map, and what is its own"
    assert found.usable_of(found.cpu).value == 120 * GIB, "the CPU cannot use what is set aside"


def test_a_driver_s_limit_beyond_what_is_available_means_nothing() -> None:
    found = with_gpus(host(total=64e9, available=10 * GIB), [RADEON])
    assert found.gpu is not None
    assert found.usable_of(found.gpu).value == pytest.approx(10.25 * GIB)


def test_a_gpu_without_any_figure_is_described_all_the_same() -> None:
    found = with_gpus(host(), [FoundGpu("GB10", "nvidia-smi", ("cuda",), True)])
    assert found.is_unified and found.gpu is not None
    assert found.usable_of(found.gpu) == found.pools["ram"].usable_bytes


def test_a_known_card_is_completed_and_nothing_else() -> None:
    known = recognise_machine(["some board", "host"], [RTX.model])
    assert known is not None and (known.profile.name, known.whole) == ("rtx-4090", False)
    found = completed(with_gpus(host(12), [RTX]), known)
    assert found.gpu is not None and found.gpu_pool is not None
    assert found.gpu.flop_per_s["f16"].value == 165.15e12
    assert found.gpu.context_bytes is not None and found.gpu.context_bytes.source.startswith("profile rtx-4090: ")
    assert found.gpu.peak_w is not None and found.gpu.peak_w.value == 400, "what the machine tells stays"
    assert found.gpu_pool.bandwidth_bytes_per_s is not None and found.gpu_pool.bandwidth_bytes_per_s.value == 1008e9
    assert found.gpu_pool.capacity_bytes.source == "nvidia-smi"
    assert found.cpu == with_gpus(host(12), [RTX]).cpu, "the host of the shipped profile is assumed, not this one"
    assert found.pools["ram"].bandwidth_bytes_per_s is None


def test_a_known_machine_is_completed_as_a_whole() -> None:
    known = recognise_machine(["MS-S1 MAX", "AMD RYZEN AI MAX+ 395 w/ Radeon 8060S"], [])
    assert known is not None and (known.profile.name, known.whole, known.by) == ("ms-s1-max", True, "MS-S1 MAX")
    found = completed(with_gpus(host(16), [RADEON]), known)
    assert found.gpu is not None
    assert found.gpu.flop_per_s["f16"].value == 59.392e12
    assert found.cpu.flop_per_s and found.cpu.bandwidth_bytes_per_s is not None
    assert found.pools["ram"].bandwidth_bytes_per_s is not None and found.pools["ram"].bandwidth_bytes_per_s.value == 256e9
    fewer = completed(with_gpus(host(8), [RADEON]), known)
    assert not fewer.cpu.flop_per_s, "a part of its cores is another machine"


def test_what_is_measured_stays() -> None:
    known = recognise_machine(["MS-S1 MAX"], [])
    assert known is not None
    measured = Quantity(value=77e9, source="measured")
    base = with_gpus(host(16), [RADEON])
    cpu = base.cpu.model_copy(update={"bandwidth_bytes_per_s": measured})
    base = base.model_copy(update={"processors": (cpu, *base.processors[1:])})
    assert completed(base, known).cpu.bandwidth_bytes_per_s == measured


def test_an_integrated_gpu_is_no_card_of_the_same_name() -> None:
    assert recognise_machine(["Intel(R) Xeon(R) Processor"], ["Radeon 8060S"]) is None, "a unified machine's GPU is no card"
    assert recognise_machine([], []) is None


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine on which nothing is found, and on which nothing is measured."""
    for name in ("look_for_nvidia", "look_for_amd", "look_for_apple"):
        monkeypatch.setattr(surveying, name, lambda: Sighting())
    monkeypatch.setattr(surveying, "board_names", lambda: ())
    monkeypatch.setattr(surveying, "cpu_identity", lambda: CpuIdentity("host", ()))
    monkeypatch.setattr(surveying, "detect", host)
    return monkeypatch


def test_a_survey_without_measurements(bare: pytest.MonkeyPatch) -> None:
    found = survey(None, "2026-01-01")
    assert (found.recognised, found.mode, found.profile.storage) == (None, None, ())
    assert found.profile.name == "host-16-cores"
    assert "Bandwidth of memory and disk: the measurements were left out." in found.not_seen
    assert any(sentence.startswith("Peak FLOP/s of host") for sentence in found.not_seen)
    assert all(sentence.endswith((".", "calibrate run")) for sentence in (*found.notes, *found.not_seen))


def test_measurements_go_where_they_belong(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    memory, disk = (Quantity(value=value, source="measured", date="2026-01-01") for value in (20e9, 2e9))
    bare.setattr(surveying, "measure_memory", lambda *_: Measured(memory, "Memory: a remark."))
    bare.setattr(surveying, "measure_disk", lambda *_: Measured(disk))
    phases: list[tuple[str, float]] = []
    found = survey(tmp_path, "2026-01-01", lambda what, done: phases.append((what, done)))
    assert found.profile.cpu.bandwidth_bytes_per_s == memory
    assert [storage.read_bytes_per_s for storage in found.profile.storage] == [disk]
    assert "Memory: a remark." in found.not_seen
    assert phases[0][1] == 0.0 and phases[-1] == ("done", 1.0)


def test_measurements_that_failed_leave_a_sentence(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare.setattr(surveying, "measure_memory", lambda *_: Measured(None, "Memory: no."))
    bare.setattr(surveying, "measure_disk", lambda *_: Measured(None, "Disk: no."))
    found = survey(tmp_path, "2026-01-01")
    assert {"Memory: no.", "Disk: no."} <= set(found.not_seen)
    assert (found.profile.storage, found.profile.cpu.bandwidth_bytes_per_s) == ((), None)


def jetson(bare: pytest.MonkeyPatch, name: str, mode: str | None) -> Survey:
    """A survey of a Jetson, whose GPU nvidia-smi shows a second time."""
    bare.setattr(surveying, "board_names", lambda: (name,))
    bare.setattr(surveying, "jetson_mode", lambda: (mode, "" if mode else "Power mode: not told."))
    bare.setattr(surveying, "look_for_nvidia", lambda: Sighting((FoundGpu("Orin (nvgpu)", "nvidia-smi", ("cuda",), True),)))
    bare.setattr(surveying, "detect", lambda: host(6, 7.9e9, 6e9))
    return survey(None, "2026-01-01")


def test_a_jetson_is_completed_in_the_mode_it_is_in(bare: pytest.MonkeyPatch) -> None:
    found = jetson(bare, "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super", "15w")
    assert found.recognised is not None and found.recognised.profile.full_name == "jetson-orin-nano-super:15w"
    gpu, expected = found.profile.gpu, find_profile("jetson-orin-nano-super:15w").gpu
    assert gpu is not None and expected is not None
    assert [processor.kind for processor in found.profile.processors] == ["cpu", "gpu"], "one GPU, not two"
    assert gpu.flop_per_s["f16"].value == expected.flop_per_s["f16"].value
    assert found.mode == "15w"


def test_a_jetson_in_a_mode_of_its_owner(bare: pytest.MonkeyPatch) -> None:
    for mode in ("my-mode", None):
        found = jetson(bare, "NVIDIA Jetson Orin Nano Developer Kit", mode)
        assert found.recognised is not None and found.recognised.profile.full_name == "jetson-orin-nano"
    assert "Power mode: not told." in found.not_seen


def test_what_a_survey_makes_can_be_read_back(bare: pytest.MonkeyPatch) -> None:
    bare.setattr(surveying, "look_for_nvidia", lambda: Sighting((RTX,)))
    bare.setattr(surveying, "look_for_amd", lambda: Sighting((RADEON,), ("Intel GPU: not read.",)))
    found = survey(None, "2026-01-01")
    assert parse_profile(profile_text(found.profile, found.notes), "here") == found.profile
    assert "Intel GPU: not read." in found.not_seen


def test_a_calibration_of_this_machine_is_found_by_the_profile_s_name() -> None:
    here = detect()
    assert survey(None, "2026-01-01").profile.name == machine_key(here)
