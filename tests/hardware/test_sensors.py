"""Sensors as Linux shows them, in a tree of files that is built here: what is there is read right, what is not is absent."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from mmpredict.hardware import gpu_sensors, telemetry
from mmpredict.hardware.gpu_sensors import NvidiaGpus, parse_nvidia_line
from mmpredict.hardware.sensor import Reading, machine_power
from mmpredict.hardware.sensors import find_sensors
from mmpredict.hardware.telemetry import CpuUse, memory_kills

MIB = 1024**2


def put(root: Path, **files: object) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (root / name).write_text(f"{content}\n")


def readings(root: Path, now_s: float = 0.0) -> dict[str, Reading]:
    return {reading.resource: reading for sensor in find_sensors(root) for reading in sensor.read(now_s)}


def test_nothing_is_there(tmp_path: Path) -> None:
    assert find_sensors(tmp_path) == []
    assert machine_power([]) is None


def test_energy_counters_of_processors(tmp_path: Path) -> None:
    rapl = tmp_path / "sys/class/powercap"
    package = rapl / "intel-rapl:0"
    put(package, name="package-0", energy_uj=1_000_000, max_energy_range_uj=10_000_000, constraint_0_power_limit_uw=65_000_000)
    put(package / "intel-rapl:0:0", name="core", energy_uj=1)
    put(package / "intel-rapl:0:1", name="dram", energy_uj=0, max_energy_range_uj=10_000_000)
    put(rapl / "intel-rapl:1", name="psys", energy_uj=5)
    put(rapl / "intel-rapl:2", name="package-1")  # not for us to read
    sensors = find_sensors(tmp_path)
    assert [sensor.read(0.0) for sensor in sensors] == [[], []]  # power is known from the second look on
    put(package, energy_uj=9_000_000)
    put(package / "intel-rapl:0:1", energy_uj=1_000_000)
    found = [reading for sensor in sensors for reading in sensor.read(0.5)]
    assert [(one.resource, one.used, one.part) for one in found] == [
        ("power:package-0", pytest.approx(16.0), "package"),
        ("power:package-0 dram", pytest.approx(2.0), "package"),
    ]
    assert (found[0].capacity, math.isnan(found[1].capacity)) == (65.0, True)
    put(package, energy_uj=500_000)  # the counter began anew
    assert sensors[0].read(1.0)[0].used == pytest.approx(3.0)
    (package / "energy_uj").unlink()
    assert sensors[0].read(2.0) == []


@pytest.mark.parametrize(("number", "part"), [("0x744c", "card"), ("0x1586", "integrated")])
def test_gpus_of_amd(number: str, part: str, tmp_path: Path) -> None:
    device = tmp_path / "sys/class/drm/card1/device"
    sizes = {"mem_info_vram_used": 5 * MIB, "mem_info_vram_total": 24 * 1024 * MIB, "mem_info_gtt_used": 7, "mem_info_gtt_total": 9}
    put(device, vendor="0x1002", device=number, mem_busy_percent=3, **sizes)
    put(device / "hwmon/hwmon3", power1_average=55_500_000, power1_cap=300_000_000, temp1_input=61_000, temp1_crit=95_000)
    put(tmp_path / "sys/class/drm/card1-HDMI-A-1")
    put(tmp_path / "sys/class/drm/card0/device", vendor="0x8086")
    found = readings(tmp_path)
    assert {name: (one.used, one.capacity, one.part) for name, one in found.items()} == {
        "vram:card1": (5 * MIB, 24 * 1024 * MIB, ""),
        "gtt:card1": (7, 9, ""),
        "power:card1": (55.5, 300.0, part),
        "temperature:card1": (61.0, 95.0, ""),
    }
    (device / "hwmon/hwmon3/power1_average").unlink()
    assert "power:card1" not in readings(tmp_path)
    put(device / "hwmon/hwmon3", power1_input=44_000_000)
    assert readings(tmp_path)["power:card1"].used == 44.0


def test_a_jetson_board(tmp_path: Path) -> None:
    monitor = tmp_path / "sys/class/hwmon/hwmon1"
    put(monitor, name="ina3221", in1_label="VDD_IN", in1_input=5000, curr1_input=2000)
    put(monitor, in2_label="VDD_CPU_GPU_CV", in2_input=5000, curr2_input=800, in3_label="VDD_SOC", in3_input=5000)
    found = readings(tmp_path)
    assert {name: (one.used, one.part) for name, one in found.items()} == {
        "power:VDD_IN": (10.0, "board"),
        "power:VDD_CPU_GPU_CV": (4.0, "rail"),
    }
    total = machine_power(found.values())
    assert total is not None and total.used == 10.0


def test_temperatures(tmp_path: Path) -> None:
    core = tmp_path / "sys/class/hwmon/hwmon0"
    put(
        core,
        name="coretemp",
        temp1_label="Package id 0",
        temp1_input=55_000,
        temp1_crit=100_000,
        temp2_label="Core 0",
        temp2_input=54_000,
    )
    put(tmp_path / "sys/class/hwmon/hwmon2", name="nvme", temp1_label="Composite", temp1_input=40_000)
    zones = tmp_path / "sys/class/thermal"
    put(zones / "thermal_zone0", type="cpu-thermal", temp=48_500)
    put(zones / "thermal_zone1", type="cpu-thermal", temp=49_500)
    put(zones / "thermal_zone2", type="off-thermal", temp=-256_000)
    put(zones / "thermal_zone3", type="broken", temp="n/a")
    found = {name: (one.used, one.capacity) for name, one in readings(tmp_path).items()}
    assert found.pop("temperature:coretemp Package id 0") == (55.0, 100.0)
    assert {name: value for name, (value, _) in found.items()} == {
        "temperature:cpu-thermal": 48.5,
        "temperature:cpu-thermal 1": 49.5,
    }


def test_no_part_is_counted_twice() -> None:
    package, memory = Reading("power:package-0", 30.0, 65.0, "package"), Reading("power:dram", 5.0, math.nan, "package")
    card, integrated = Reading("power:gpu0", 200.0, 350.0, "card"), Reading("power:card1", 40.0, 120.0, "integrated")
    warm = Reading("temperature:gpu0", 60.0)

    def watts(*found: Reading) -> float:
        total = machine_power(found)
        assert total is not None and total.resource == "power"
        return total.used

    assert watts(package, memory, card, warm) == 235.0
    assert watts(package, integrated) == 30.0  # the integrated GPU reports the package that the counter counts
    assert watts(integrated, card) == 240.0
    assert machine_power([warm]) is None


def test_a_line_of_nvidia_smi() -> None:
    assert parse_nvidia_line("1, 1024, 24576, 187.55, 350.00, 64") == [
        Reading("vram:gpu1", 1024 * MIB, 24576 * MIB),
        Reading("power:gpu1", 187.55, 350.0, "card"),
        *parse_nvidia_line("1, [N/A], [N/A], [N/A], [N/A], 64"),
    ]
    assert [one.resource for one in parse_nvidia_line("0, [N/A], [N/A], [Not Supported], [N/A], 48")] == ["temperature:gpu0"]


@pytest.mark.parametrize(
    "line", ["", "\n", "Unable to determine the device handle", "a, 1, 2, 3, 4, 5", "0, nan, inf, -1, x, n/a", '"0, 1']
)
def test_lines_that_tell_nothing(line: str) -> None:
    assert parse_nvidia_line(line) == []


def test_an_nvidia_smi_that_goes_on_printing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that prints as nvidia-smi does: the latest line counts, an old one does not, and it is ended."""
    program = "import itertools, time\nfor n in itertools.count(1): print(f'0, {n}, 100, {n}, 9, 50', flush=True); time.sleep(0.02)"
    sensor = NvidiaGpus([sys.executable, "-c", program])
    limit_s = time.perf_counter() + 20.0
    while not (found := sensor.read(0.0)) or found[1].used < 3.0:
        assert time.perf_counter() < limit_s
        time.sleep(0.01)
    assert [one.resource for one in found] == ["vram:gpu0", "power:gpu0", "temperature:gpu0"]
    sensor.close()
    assert sensor._process.returncode is not None
    monkeypatch.setattr(gpu_sensors, "FRESH_S", 0.0)
    assert sensor.read(0.0) == []
    with pytest.raises(OSError):
        NvidiaGpus(["no-such-program-here"])


def test_an_nvidia_smi_that_ends_at_once() -> None:
    sensor = NvidiaGpus([sys.executable, "-c", "print('NVIDIA-SMI has failed')"])
    assert sensor._process.wait(20.0) == 0
    assert sensor.read(0.0) == []
    sensor.close()


class Times(NamedTuple):
    """CPU time since the start, as ``psutil`` has it on Linux [s]."""

    user: float
    idle: float
    iowait: float
    guest: float


def test_busy_cores_between_two_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([Times(9.0, 90.0, 1.0, 5.0), Times(9.1, 90.2, 1.0, 5.1), Times(12.0, 90.5, 1.5, 6.0)])
    monkeypatch.setattr(telemetry.psutil, "cpu_times", lambda: next(looks))
    monkeypatch.setattr(telemetry.psutil, "cpu_count", lambda: 4)
    use = CpuUse()
    assert math.isnan(use.busy_cores())
    assert math.isnan(use.busy_cores())  # 0.3 s of 4 cores: too soon to tell
    assert use.busy_cores() == pytest.approx(4 * 3.0 / 4.0)  # since the first look: guests' second is part of the users' three


def test_kills_for_want_of_memory_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_: "pgfault 12\noom_kill 3\nnuma_hit 4\n")
    assert memory_kills() == 3
    monkeypatch.setattr(Path, "read_text", lambda *_: "pgfault 12\n")
    assert memory_kills() is None
