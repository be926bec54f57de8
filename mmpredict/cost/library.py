"""Where fitted numbers are kept and found: a folder per machine, a file per engine build or backend.

Two places: the user's data directory, with what was measured on this machine or fitted to the user's own files, and what ships
with the project, fitted to published runs (``calibration/published``).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mmpredict.errors import NotCalibratedError
from mmpredict.saving import data_directory

if TYPE_CHECKING:
    from mmpredict.cost.coefficients import Coefficients
    from mmpredict.hardware.profile import HardwareProfile

FAMILIES = "families"
PROGRAMS = ("llama-server", "ollama")
"""Whose builds are calibrated where it is asked for, as engines' names begin; the embedded one is calibrated otherwise."""
THIS_MACHINE = "this-machine"  # as hardware.detect has it, which takes long to import


def machine_key(profile: HardwareProfile) -> str:
    """Folder name of a machine: its profile's name, or for this machine its processor and number of cores."""
    return this_machine_key(profile.cpu.model, profile.cpu.cores) if profile.name == THIS_MACHINE else profile.name


def this_machine_key(cpu_model: str, cores: int) -> str:
    """Folder name of the machine that this runs on."""
    return slug(f"{cpu_model} {cores} cores")


def coefficients_path(machine: str, engine: str) -> Path:
    """File of the fitted coefficients."""
    return data_directory() / "coefficients" / machine / f"{slug(engine)}.json"


def load_coefficients(profile: HardwareProfile, engine: str) -> Coefficients:
    """Coefficients of a machine and engine.

    Raises:
        NotCalibratedError: there are none; the message says how to get them.
        FileFormatError: the file is damaged.
    """
    from mmpredict.cost.coefficients import read_coefficients

    machine = machine_key(profile)
    path = coefficients_path(machine, engine)
    if not path.exists():
        remedy = (
            how_to_calibrate(engine.partition(" ")[0])
            if profile.name == THIS_MACHINE
            else f"calibrate on that machine (mmpredict calibrate run) and copy the file to {path}"
        )
        raise NotCalibratedError(f"no calibration of {profile.name} ({machine}) with {engine}; {remedy}")
    return read_coefficients(path)


def how_to_calibrate(program: str) -> str:
    """What to do for a calibration of a program's build on this machine."""
    return f"run: mmpredict calibrate run{f' --engine {program}' if program in PROGRAMS else ''}"


def newest_coefficients(machine: str, program: str = "") -> Coefficients | None:
    """The last calibration of a machine; None without one.

    Args:
        machine: its key.
        program: whose builds count, as engines' names begin (``ollama``); all when empty.

    Raises:
        FileFormatError: a file is damaged.
    """
    paths = sorted((data_directory() / "coefficients" / machine).glob(f"{slug(program)}*.json"))
    if not paths:
        return None
    from mmpredict.cost.coefficients import read_coefficients

    found = [read_coefficients(path) for path in paths]
    return max(found, key=lambda one: (one.measured_on, one.measured_at_s or 0.0))


def shipped_rates_directory() -> Path:
    """Where the rates that ship are: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "published_coefficients"
    return installed if installed.is_dir() else package.parent / "calibration" / "coefficients" / "published"


def own_rates_directory() -> Path:
    """Where rates are kept that were fitted to the user's own files."""
    return data_directory() / "rates"


def own_rates_stamp(machine: str) -> int:
    """When a machine's own rates last changed, in the file system's count; 0 where there are none."""
    try:
        return (own_rates_directory() / slug(machine)).stat().st_mtime_ns
    except OSError:
        return 0


def rates_path(directory: Path, machine: str, mode: str, backend: str, processor: str) -> Path:
    """File of the rates of a machine in a power mode."""
    return directory / slug(machine) / f"{slug(backend)}-{processor}{f'-{slug(mode)}' if mode else ''}.json"


def family_name(backend: str, processor: str, unified: bool) -> str:
    """Machines that are relatives: the same class of processor and backend, and a memory of its own or shared with the CPU."""
    shared = "" if processor == "cpu" else "-unified" if unified else "-discrete"
    return f"{slug(backend)}-{processor}{shared}"


def family_path(directory: Path, name: str) -> Path:
    """File of what a family has in common."""
    return directory / FAMILIES / f"{name}.json"


def slug(text: str) -> str:
    """A name for a file."""
    return re.sub(r"[^a-z0-9._]+", "-", text.lower().replace("(r)", "").replace("(tm)", "")).strip("-")
