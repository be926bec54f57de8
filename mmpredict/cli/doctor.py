"""``mmpredict doctor``."""

from __future__ import annotations

import sys

import typer

from mmpredict.cli.console import OUTPUT
from mmpredict.errors import MmpredictError


def doctor() -> None:
    """Say what works on this machine, and what to do about the rest.

    Example: mmpredict doctor
    """
    from mmpredict.cost.library import PROGRAMS, load_coefficients, machine_key, newest_coefficients
    from mmpredict.hardware.library import find_profile
    from mmpredict.live.embedded import engine_build
    from mmpredict.live.survey import find_engines
    from mmpredict.models.synthetic import cache_directory
    from mmpredict.saving import data_directory

    profile = find_profile(gpus=True)
    healthy = True
    _line("python", sys.version.split()[0])
    _line("machine", profile.description)
    if profile.gpu is not None:
        _line("gpu", f"{profile.gpu.model}{f', as that of {profile.like}' if profile.like else ''}")
    try:
        engine = engine_build()
        _line("engine", engine)
        coefficients = load_coefficients(profile, engine)
        _line("calibration", f"{coefficients.measured_on}, {coefficients.measurements} measurements")
    except MmpredictError as error:
        healthy = False
        _line("missing", str(error))
    for program in PROGRAMS:
        if (own := newest_coefficients(machine_key(profile), program)) is not None:
            _line("calibration", f"{own.engine}: {own.measured_on}, {own.measurements} measurements")
    for found in find_engines():
        _line("answers", " ".join(filter(None, (f"{found.kind}: {found.what}", found.where and f"({found.where})"))))
    _line("models", str(cache_directory()))
    _line("data", str(data_directory()))
    if not healthy:
        raise typer.Exit(1)


def _line(name: str, value: str) -> None:
    OUTPUT.print(f"{name:12} {value}", highlight=False, markup=False, soft_wrap=True)
