"""``mmpredict hardware list | show | detect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmpredict.cli.console import OUTPUT, print_json, progress_bars, remark, warn_if_busy

if TYPE_CHECKING:
    from mmpredict.hardware.profile import HardwareProfile
    from mmpredict.hardware.quantity import Quantity
    from mmpredict.hardware.survey import Survey

app = typer.Typer(no_args_is_help=True, help="Machines that are known, and this one.")

SCHEMA_VERSION = 1
_JSON = typer.Option("--json", help="Print one JSON document on standard output.")


@app.command("list")
def list_profiles(as_json: Annotated[bool, _JSON] = False) -> None:
    """Name and description of every profile; the modes and aliases of each are in ``--json`` and in ``hardware show``.

    Example: mmpredict hardware list --json
    """
    from mmpredict.hardware.library import find_profile, profile_names

    profiles = {name: find_profile(name) for name in profile_names()}
    if as_json:
        print_json({"schema_version": SCHEMA_VERSION, "profiles": [_summary(name, found) for name, found in profiles.items()]})
        return
    for name, profile in profiles.items():
        _line(f"{name:23} {profile.description}")


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Profile, alias or TOML file; NAME:MODE for a power mode.")] = "this-machine",
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """One profile with its figures, their intervals and their sources.

    Example: mmpredict hardware show jetson-orin-nano-super:15w
    """
    from mmpredict.hardware.library import find_profile

    profile = find_profile(name, gpus=True)
    if as_json:
        print_json({"schema_version": SCHEMA_VERSION, **_document(profile)})
        return
    _show(profile)


@app.command("detect")
def detect(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the profile to this TOML file.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the profile; default: processor and number of cores.")] = None,
    probe: Annotated[bool, typer.Option("--probe/--no-probe", help="Measure memory and disk for a few seconds.")] = True,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Describe this machine: processors, memory, GPUs, measured bandwidth of memory and disk, and what could not be seen.

    The file that it writes can be named wherever a command takes --hardware.

    Example: mmpredict hardware detect --no-probe --output my-machine.toml
    """
    from datetime import date

    from mmpredict.hardware.library import check_name
    from mmpredict.hardware.profile_text import profile_text
    from mmpredict.hardware.survey import survey
    from mmpredict.models.synthetic import cache_directory
    from mmpredict.saving import save

    wanted = None if name is None else check_name(name)
    if probe:
        warn_if_busy()
    with progress_bars() as bars:
        found = survey(
            cache_directory() if probe else None,
            date.today().isoformat(),
            lambda what, fraction: bars("looking", what, fraction),
        )
    profile = found.profile if wanted is None else found.profile.model_copy(update={"name": wanted})
    if output is not None:
        head = ("Written by: mmpredict hardware detect", *found.notes, *(f"Not seen: {sentence}" for sentence in found.not_seen))
        save(profile_text(profile, head).encode(), output)
        remark(f"written to {output}; use it with --hardware {output}")
    if as_json:
        print_json({"schema_version": SCHEMA_VERSION, "profile": _document(profile), **_findings(found)})
        return
    _show(profile)
    for note in found.notes:
        _line(f"  note: {note}")
    for sentence in found.not_seen:
        _line(f"  not seen: {sentence}")


def _summary(name: str, profile: HardwareProfile) -> dict[str, Any]:
    return {
        "name": name,
        "description": profile.description,
        "aliases": profile.aliases,
        "modes": list(profile.modes),
        "default_mode": profile.default_mode,
        "capacity_bytes": {pool: memory.capacity_bytes.value for pool, memory in profile.pools.items()},
        "unified": profile.is_unified,
        "gpu": None if profile.gpu is None else profile.gpu.model,
    }


def _document(profile: HardwareProfile) -> dict[str, Any]:
    return {**profile.model_dump(mode="json"), "mode": profile.mode}


def _findings(found: Survey) -> dict[str, Any]:
    known = found.recognised
    return {
        "recognised": None if known is None else {"profile": known.profile.name, "by": known.by, "whole_machine": known.whole},
        "power_mode": found.mode,
        "notes": list(found.notes),
        "not_seen": list(found.not_seen),
    }


def _show(profile: HardwareProfile) -> None:
    _line(f"{profile.full_name}: {profile.description}")
    for alias, why in profile.aliases.items():
        _line(f"  also {alias!r}: {why}")
    for pool_name, pool in profile.pools.items():
        shared = ", shared by CPU and GPU" if pool.unified else ""
        _line(f"  memory {pool_name}: {pool.kind or 'kind not stated'}{shared}")
        _quantities(pool)
    for processor in profile.processors:
        slow = f" and {processor.efficiency_cores} efficiency cores" if processor.efficiency_cores else ""
        cores = f", {processor.cores} cores{slow}" if processor.cores else ""
        _line(f"  {processor.kind}: {processor.model}{cores}, reads {processor.pool}")
        for what, values in (("features", processor.features), ("backends", processor.backends)):
            if values:
                _line(f"    {what}: {' '.join(values)}")
        _quantities(processor)
        for kind, peak in processor.flop_per_s.items():
            _quantity(f"flop_per_s.{kind}", peak)
        if processor.thermal is not None:
            _quantities(processor.thermal)
    for link in profile.links:
        _line(f"  link {' - '.join(link.pools)}: {link.kind}")
        _quantities(link)
    for storage in profile.storage:
        _line(f"  storage: {storage.kind} {storage.model}".rstrip())
        _quantities(storage)
    _quantities(profile, "  ")
    for mode, limits in profile.modes.items():
        words = (("default", mode == profile.default_mode), ("applied", mode == profile.mode))
        marks = ", ".join(word for word, holds in words if holds)
        _line(f"  mode {mode}{f' ({marks})' if marks else ''}: {limits.description}")


def _quantities(part: object, indent: str = "    ") -> None:
    """Every quantity of a part of a profile, in the order of its fields."""
    from mmpredict.hardware.quantity import Quantity

    for field in type(part).model_fields:  # type: ignore[attr-defined]
        value = getattr(part, field)
        if isinstance(value, Quantity):
            _quantity(field, value, indent)


def _quantity(name: str, quantity: Quantity, indent: str = "    ") -> None:
    from mmpredict.units import GIB

    stated = quantity.low is not None or quantity.high is not None
    interval = f", {_in_unit(name, quantity.lower)} to {_in_unit(name, quantity.upper)}" if stated else ""
    decimal = f" = {quantity.value / 1e9:.2f} GB" if name.endswith("_bytes") and quantity.value >= GIB else ""
    _line(f"{indent}{name}: {_in_unit(name, quantity.value)}{decimal}{interval} ({quantity.source or 'no source'})")


def _in_unit(name: str, value: float) -> str:
    """A figure in the unit in which data sheets print it, by the end of its name."""
    from mmpredict.units import format_bytes

    if name.endswith("_bytes"):
        return format_bytes(value)
    for end, factor, unit in (("bytes_per_s", 1e9, "GB/s"), ("_hz", 1e9, "GHz"), ("_w", 1, "W"), ("_c", 1, "°C"), ("_s", 1, "s")):
        if name.endswith(end):
            return f"{value / factor:.4g} {unit}"
    return f"{value / 1e12:.4g} TFLOP/s" if name.startswith("flop_per_s") else f"{value:.4g}"


def _line(text: str) -> None:
    OUTPUT.print(text, highlight=False, markup=False, soft_wrap=True)
