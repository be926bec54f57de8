"""Fitting every table of measured speeds, family by family, and keeping what comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmpredict.calibrate.family import Member
from mmpredict.calibrate.rates_fit import FamilyRates, fit_family
from mmpredict.calibrate.speed_row import SpeedRow, read_rows
from mmpredict.calibrate.store import save_family
from mmpredict.cost.library import family_name
from mmpredict.cost.rates.datasheet import peaks
from mmpredict.errors import InputError, NotCalibratedError, UnknownNameError
from mmpredict.hardware.library import find_profile
from mmpredict.hardware.profile import HardwareProfile


@dataclass(frozen=True, slots=True)
class FittedFamily:
    """One family, fitted.

    Attributes:
        name: as its file is named.
        unified: whether its members share their memory with the CPU.
        rates: of its members, and what they have in common.
    """

    name: str
    unified: bool
    rates: FamilyRates


def read_tables(paths: Iterable[Path]) -> list[SpeedRow]:
    """Rows of several tables.

    Raises:
        InputError, FileFormatError: one cannot be read.
    """
    return [row for path in paths for row in read_rows(path)]


def fit_tables(rows: Sequence[SpeedRow], progress: Callable[[str], None] = lambda name: None) -> list[FittedFamily]:
    """Fit all rows, family by family; rows of machines without a profile are left out.

    Args:
        rows: of any machines.
        progress: called with the name of each family before it is fitted.

    Raises:
        NotCalibratedError: no row is of a machine with a profile.
    """
    profiles: dict[tuple[str, str], HardwareProfile] = {}
    for machine, mode in sorted({(row.machine, row.mode) for row in rows}):
        try:
            profiles[machine, mode] = find_profile(f"{machine}:{mode}" if mode else machine)
        except UnknownNameError:
            continue
    families: dict[str, list[SpeedRow]] = {}
    for row in rows:
        if (profile := profiles.get((row.machine, row.mode))) is not None:
            stated = replace(row, mode=profile.mode or "")
            profiles[stated.machine, stated.mode] = profile
            families.setdefault(family_name(row.backend, row.processor, profile.is_unified), []).append(stated)
    if not families:
        raise NotCalibratedError("no row is of a machine that has a profile (mmpredict hardware list)")
    fitted = []
    for name, members in sorted(families.items()):
        progress(name)
        unified = profiles[members[0].machine, members[0].mode].is_unified
        fitted.append(FittedFamily(name, unified, fit_family(members, _members(members, profiles))))
    return fitted


def save_families(families: Iterable[FittedFamily], directory: Path) -> list[Path]:
    """Write the rates of all families.

    Raises:
        StorageError: a file cannot be written.
    """
    return [path for family in families for path in save_family(family.rates, family.unified, directory)]


def _members(rows: Sequence[SpeedRow], profiles: dict[tuple[str, str], HardwareProfile]) -> list[Member]:
    first = rows[0]
    found = []
    for machine, mode in sorted({(row.machine, row.mode) for row in rows}):
        try:
            found.append(Member(machine, mode, peaks(profiles[machine, mode], first.processor, first.backend)))
        except InputError as error:
            raise InputError(f"{machine}: {error}") from error
    return found
