"""Where measurements and coefficients are kept: a folder per machine, a file per engine build."""

from __future__ import annotations

import os
import re
from pathlib import Path

import platformdirs

from mmpredict.cost.coefficients import Coefficients, read_coefficients
from mmpredict.errors import NotCalibratedError
from mmpredict.hardware.detect import THIS_MACHINE
from mmpredict.hardware.profile import HardwareProfile
from mmpredict.saving import make_directory, save


def data_directory() -> Path:
    """The user's data directory (``MMPREDICT_DATA`` overrides it)."""
    override = os.environ.get("MMPREDICT_DATA")
    return Path(override) if override else Path(platformdirs.user_data_dir("mmpredict"))


def machine_key(profile: HardwareProfile) -> str:
    """Folder name of a machine: its profile's name, or for this machine its processor and number of cores."""
    return _slug(f"{profile.cpu.model} {profile.cpu.cores} cores") if profile.name == THIS_MACHINE else profile.name


def measurements_path(machine: str, engine: str) -> Path:
    """File of the newest raw measurements."""
    return data_directory() / "measurements" / machine / f"{_slug(engine)}.jsonl"


def coefficients_path(machine: str, engine: str) -> Path:
    """File of the fitted coefficients."""
    return data_directory() / "coefficients" / machine / f"{_slug(engine)}.json"


def save_coefficients(coefficients: Coefficients, path: Path | None = None) -> Path:
    """Write coefficients to their file, whole or not at all.

    Raises:
        StorageError: the file cannot be written.
    """
    path = path or coefficients_path(coefficients.machine, coefficients.engine)
    make_directory(path.parent)
    return save((coefficients.model_dump_json(indent=1) + "\n").encode(), path)


def load_coefficients(profile: HardwareProfile, engine: str) -> Coefficients:
    """Coefficients of a machine and engine.

    Raises:
        NotCalibratedError: there are none; the message says how to get them.
        FileFormatError: the file is damaged.
    """
    machine = machine_key(profile)
    path = coefficients_path(machine, engine)
    if not path.exists():
        remedy = (
            "run: mmpredict calibrate run"
            if profile.name == THIS_MACHINE
            else f"calibrate on that machine (mmpredict calibrate run) and copy the file to {path}"
        )
        raise NotCalibratedError(f"no calibration of {profile.name} ({machine}) with {engine}; {remedy}")
    return read_coefficients(path)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower().replace("(r)", "").replace("(tm)", "")).strip("-")
