"""Power of processors and boards, as Linux tells it under ``/sys``."""

from __future__ import annotations

import math
from pathlib import Path

from mmpredict.hardware.sensor import POWER, Part, Reading
from mmpredict.hardware.sysfs import MICRO, MILLI, number, text
from mmpredict.hardware.tool import plain

MAX_CHANNELS = 8
WHOLE_BOARD = "VDD_IN"
INNER_RAILS = ("VDDQ",)
"""Beginnings of rails that hang on another measured one: on AGX Orin, ``VDDQ_VDD2_1V8AO`` on ``VIN_SYS_5V0``."""


class RaplDomain:
    """One energy counter of Intel's or AMD's processors (``/sys/class/powercap/intel-rapl:*``; usually for root alone).

    Its power is the mean since the last reading, so that the first reading says nothing.

    Args:
        directory: of the counter.
        name: shown.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._energy = directory / "energy_uj"
        self._range_uj = number(directory / "max_energy_range_uj")
        self._limit_w = number(directory / "constraint_0_power_limit_uw", MICRO)
        self._name = name
        self._last: tuple[float, float] | None = None

    def read(self, now_s: float) -> list[Reading]:
        """See ``Sensor``."""
        energy_uj, last = number(self._energy), self._last
        if math.isnan(energy_uj):
            return []
        self._last = (now_s, energy_uj)
        if last is None or now_s <= last[0]:
            return []
        used_uj = energy_uj - last[1]
        if used_uj < 0:
            used_uj += self._range_uj  # the counter began anew
        power_w = used_uj * MICRO / (now_s - last[0])
        return [Reading(f"{POWER}:{self._name}", power_w, self._limit_w, "package")] if power_w >= 0 else []

    def close(self) -> None:
        """See ``Sensor``."""


class Ina3221:
    """The voltage and current monitor of NVIDIA's Jetson boards (``hwmon`` driver ``ina3221``).

    Args:
        directory: of the monitor.
    """

    def __init__(self, directory: Path) -> None:
        labels = {channel: text(directory / f"in{channel}_label") for channel in range(1, MAX_CHANNELS + 1)}
        self._channels = {channel: plain(label, 40) for channel, label in labels.items() if label}
        self._directory = directory

    def read(self, now_s: float) -> list[Reading]:
        """See ``Sensor``."""
        found = []
        for channel, label in self._channels.items():
            voltage_v = number(self._directory / f"in{channel}_input", MILLI)
            current_a = number(self._directory / f"curr{channel}_input", MILLI)
            if not math.isnan(voltage_v * current_a):
                part: Part = "board" if label == WHOLE_BOARD else "" if label.startswith(INNER_RAILS) else "rail"
                found.append(Reading(f"{POWER}:{label}", voltage_v * current_a, part=part))
        return found

    def close(self) -> None:
        """See ``Sensor``."""


def look_for_rapl(root: Path = Path("/")) -> list[RaplDomain]:
    """Energy counters of processor packages, and of memory where it is counted apart; those that cannot be read are left out."""
    found = []
    for package in sorted((root / "sys/class/powercap").glob("intel-rapl:*")):
        name = text(package / "name")
        if package.name.count(":") != 1 or not name.startswith("package"):  # psys counts packages a second time
            continue
        memories = [(domain, f"{name} dram") for domain in sorted(package.glob("intel-rapl:*")) if text(domain / "name") == "dram"]
        for directory, label in [(package, name), *memories]:
            if not math.isnan(number(directory / "energy_uj")):
                found.append(RaplDomain(directory, plain(label, 40)))
    return found


def look_for_boards(root: Path = Path("/")) -> list[Ina3221]:
    """Power monitors of Jetson boards."""
    return [Ina3221(one) for one in sorted((root / "sys/class/hwmon").glob("hwmon*")) if text(one / "name") == "ina3221"]
