"""Memory, power and temperature of GPUs while they work."""

from __future__ import annotations

import contextlib
import csv
import math
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter

from mmpredict.hardware.amd import AMD, cards, is_integrated
from mmpredict.hardware.sensor import POWER, Part, Reading
from mmpredict.hardware.sysfs import MICRO, MILLI, number, text
from mmpredict.hardware.temperature import TEMPERATURE
from mmpredict.units import MIB

NVIDIA_FIELDS = ("index", "memory.used", "memory.total", "power.draw", "power.limit", "temperature.gpu")
NVIDIA_INTERVAL_MS = 500
FRESH_S = 3.0
"""After which a line of nvidia-smi is no longer what is now [s]."""
END_S = 2.0
MAX_LINE = 4096


class AmdGpu:
    """One GPU of the kernel's amdgpu driver.

    Args:
        device: its directory, ``/sys/class/drm/cardN/device``.
        name: shown.
    """

    def __init__(self, device: Path, name: str) -> None:
        self._device, self._name = device, name
        self._monitor = next(iter(sorted(device.glob("hwmon/hwmon*"))), device)
        self._part: Part = "integrated" if is_integrated(device) else "card"

    def read(self, now_s: float) -> list[Reading]:
        """See ``Sensor``."""
        found = []
        for kind in ("vram", "gtt"):
            used, total = (number(self._device / f"mem_info_{kind}_{what}") for what in ("used", "total"))
            found.append(Reading(f"{kind}:{self._name}", used, total))
        power_w = number(self._monitor / "power1_average", MICRO)
        if math.isnan(power_w):  # newer GPUs tell the moment's power alone
            power_w = number(self._monitor / "power1_input", MICRO)
        found.append(Reading(f"{POWER}:{self._name}", power_w, number(self._monitor / "power1_cap", MICRO), self._part))
        temperature_c, limit_c = (number(self._monitor / f"temp1_{what}", MILLI) for what in ("input", "crit"))
        found.append(Reading(f"{TEMPERATURE}:{self._name}", temperature_c, limit_c))
        return [reading for reading in found if not math.isnan(reading.used)]

    def close(self) -> None:
        """See ``Sensor``."""


class NvidiaGpus:
    """All GPUs of NVIDIA, by one nvidia-smi that goes on printing: starting one takes longer than what it tells is true.

    It ends with this process whatever happens: it is told to at the end, and otherwise cannot write to its broken pipe.

    Args:
        command: the program and its arguments.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, command: Iterable[str]) -> None:
        self._process = subprocess.Popen([*command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._latest: dict[str, tuple[float, list[Reading]]] = {}
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def read(self, now_s: float) -> list[Reading]:
        """See ``Sensor``."""
        oldest_s = perf_counter() - FRESH_S
        return [reading for came_s, readings in list(self._latest.values()) if came_s > oldest_s for reading in readings]

    def close(self) -> None:
        """See ``Sensor``."""
        self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(END_S)

    def _listen(self) -> None:
        with contextlib.suppress(OSError, ValueError), self._process.stdout as lines:  # type: ignore[union-attr]
            while line := lines.readline(MAX_LINE):
                readings = parse_nvidia_line(line.decode(errors="replace"))
                if readings:
                    self._latest[readings[0].resource.rpartition(":")[2]] = (perf_counter(), readings)


def parse_nvidia_line(line: str) -> list[Reading]:
    """Readings of a line that nvidia-smi prints for ``NVIDIA_FIELDS``; what it has no number for is left out."""
    cells = [cell.strip() for cell in next(csv.reader([line], skipinitialspace=True), [])]
    if len(cells) != len(NVIDIA_FIELDS) or not cells[0].isdecimal():
        return []
    name = f"gpu{cells[0]}"
    used_mib, total_mib, power_w, limit_w, temperature_c = (_number(cell) for cell in cells[1:])
    found = [
        Reading(f"vram:{name}", used_mib * MIB, total_mib * MIB),
        Reading(f"{POWER}:{name}", power_w, limit_w, "card"),
        Reading(f"{TEMPERATURE}:{name}", temperature_c),
    ]
    return [reading for reading in found if not math.isnan(reading.used)]


def look_for_amd_gpus(root: Path = Path("/")) -> list[AmdGpu]:
    """GPUs that the amdgpu driver shows, named after their cards."""
    return [AmdGpu(card / "device", card.name) for card in cards(root) if text(card / "device/vendor") == AMD]


def look_for_nvidia_gpus(interval_ms: int = NVIDIA_INTERVAL_MS) -> list[NvidiaGpus]:
    """One sensor for all GPUs of NVIDIA; none where there is no nvidia-smi."""
    query = f"--query-gpu={','.join(NVIDIA_FIELDS)}"
    try:
        return [NvidiaGpus(["nvidia-smi", query, "--format=csv,noheader,nounits", f"--loop-ms={interval_ms}"])]
    except OSError:
        return []


def _number(cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) and value >= 0 else math.nan
