"""``mmpredict hardware list | show``."""

from __future__ import annotations

from typing import Annotated

import typer

from mmpredict.cli.console import OUTPUT, print_json
from mmpredict.hardware.detect import THIS_MACHINE
from mmpredict.units import format_bytes

app = typer.Typer(no_args_is_help=True, help="Machines that are known.")


@app.command("list")
def list_profiles() -> None:
    """Name and description of every profile.

    Example: mmpredict hardware list
    """
    from mmpredict.hardware.library import find_profile, profile_names

    for name in profile_names():
        OUTPUT.print(f"{name:20} {find_profile(name).description}", highlight=False)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Name of a profile, or a TOML file.")] = THIS_MACHINE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")] = False,
) -> None:
    """One profile with its figures and their sources.

    Example: mmpredict hardware show ms-s1-max
    """
    from mmpredict.hardware.library import find_profile

    profile = find_profile(name)
    if as_json:
        print_json({"schema_version": 1, **profile.model_dump(mode="json")})
        return
    OUTPUT.print(f"{profile.name}: {profile.description}", highlight=False)
    for pool_name, pool in profile.pools.items():
        OUTPUT.print(
            f"  memory {pool_name}: {format_bytes(pool.capacity_bytes.value)}, usable {format_bytes(pool.usable_bytes.value)} "
            f"({pool.usable_bytes.source or 'no source'})",
            highlight=False,
        )
    for processor in profile.processors:
        OUTPUT.print(f"  {processor.kind}: {processor.model}, {processor.cores} cores", highlight=False)
