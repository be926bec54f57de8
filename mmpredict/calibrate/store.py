"""Writing fitted numbers and finding raw measurements; where they are kept, ``cost.library`` says."""

from __future__ import annotations

from pathlib import Path

from mmpredict.calibrate.rates_fit import FamilyRates
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.library import coefficients_path, family_name, family_path, machine_key, rates_path, slug
from mmpredict.cost.rates.rates import Rates
from mmpredict.hardware.profile import HardwareProfile
from mmpredict.saving import data_directory, make_directory, save


def measurements_path(machine: str, engine: str) -> Path:
    """File of the newest raw measurements."""
    return data_directory() / "measurements" / machine / f"{slug(engine)}.jsonl"


def pace_path(machine: str, engine: str) -> Path:
    """File of what was measured last to know the machine's pace."""
    return measurements_path(machine, f"{engine} pace")


def served_directory(profile: HardwareProfile) -> Path:
    """Directory of what was measured of running servers on a machine in its power mode."""
    return data_directory() / "measurements" / machine_key(profile) / slug(f"served-{profile.mode}" if profile.mode else "served")


def served_path(profile: HardwareProfile, engine: str, model: str) -> Path:
    """File of the newest rows of one model of a server."""
    return served_directory(profile) / f"{slug(f'{engine}-{model}')}.jsonl"


def save_coefficients(coefficients: Coefficients, path: Path | None = None) -> Path:
    """Write coefficients to their file, whole or not at all.

    Raises:
        StorageError: the file cannot be written.
    """
    path = path or coefficients_path(coefficients.machine, coefficients.engine)
    make_directory(path.parent)
    return save((coefficients.model_dump_json(indent=1) + "\n").encode(), path)


def save_family(family: FamilyRates, unified: bool, directory: Path) -> list[Path]:
    """Write the rates of all members of a family, and what they have in common.

    Raises:
        StorageError: a file cannot be written.
    """
    common = family.common
    where = family_path(directory, family_name(common.backend, common.processor, unified))
    return [save_rates(rates, directory) for rates in family.members] + [_save(common, where)]


def save_rates(rates: Rates, directory: Path) -> Path:
    """Write the rates of one machine.

    Raises:
        StorageError: the file cannot be written.
    """
    return _save(rates, rates_path(directory, rates.machine, rates.mode, rates.backend, rates.processor))


def _save(rates: Rates, path: Path) -> Path:
    make_directory(path.parent)
    return save(rates.to_json().encode(), path)
