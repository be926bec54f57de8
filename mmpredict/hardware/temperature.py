"""Temperatures of processors and boards, as Linux tells them under ``/sys``."""

from __future__ import annotations

from pathlib import Path

from mmpredict.hardware.sensor import Reading
from mmpredict.hardware.sysfs import MILLI, number, text
from mmpredict.hardware.tool import plain

TEMPERATURE = "temperature"
MAX_SENSORS = 24
PLAUSIBLE_C = (-60.0, 200.0)  # zones that are switched off say -256 or 0x7fff
PACKAGES = {"coretemp": ("Package",), "k10temp": ("Tctl", "Tdie"), "zenpower": ("Tctl", "Tdie")}
"""Drivers of processors → beginnings of the labels of their whole packages."""


class Thermometer:
    """One temperature.

    Args:
        name: shown.
        value, limit: files, in thousandths of a degree Celsius.
    """

    def __init__(self, name: str, value: Path, limit: Path) -> None:
        self._name, self._value = name, value
        self._limit_c = number(limit, MILLI)

    def read(self, now_s: float) -> list[Reading]:
        """See ``Sensor``."""
        value_c = number(self._value, MILLI)
        plausible = PLAUSIBLE_C[0] < value_c < PLAUSIBLE_C[1]
        return [Reading(f"{TEMPERATURE}:{self._name}", value_c, self._limit_c)] if plausible else []

    def close(self) -> None:
        """See ``Sensor``."""


def look_for_thermometers(root: Path = Path("/")) -> list[Thermometer]:
    """Temperatures of processor packages, and of thermal zones."""
    found: dict[str, Thermometer] = {}
    for monitor in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        driver = text(monitor / "name")
        for label_file in sorted(monitor.glob("temp*_label")) if driver in PACKAGES else ():
            label = text(label_file)
            if label.startswith(PACKAGES[driver]):
                kind = label_file.name.removesuffix("_label")
                name = plain(f"{driver} {label}", 40)
                found.setdefault(name, Thermometer(name, monitor / f"{kind}_input", monitor / f"{kind}_crit"))
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        name = plain(text(zone / "type"), 40)
        if name:
            unique = name if name not in found else f"{name} {zone.name.removeprefix('thermal_zone')}"
            found[unique] = Thermometer(unique, zone / "temp", zone / "none")
    return list(found.values())[:MAX_SENSORS]
