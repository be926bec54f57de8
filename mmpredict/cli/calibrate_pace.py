"""``mmpredict calibrate pace``: how fast this machine is now, compared with the hours of its calibration."""

from __future__ import annotations

import math
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from mmpredict.cli.console import OUTPUT, print_json, progress_bars, remark, warn, warn_if_busy
from mmpredict.cli.engine_options import Binary, Engine

ANOTHER_MACHINE = 0.2
"""Logarithm of a pace that no hour explains: virtual machines keep their name when they come to another host."""


def pace(
    forget: Annotated[bool, typer.Option("--forget", help="Predict at the pace of the calibration again.")] = False,
    engine: Engine = "embedded",
    binary: Binary = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")] = False,
) -> None:
    """Measure this machine's present pace, in half a minute, and predict at that pace from now on.

    Machines are quicker in one hour than in another. A few servers of the calibration are measured again; all times are then taken
    to be as much longer or shorter as theirs. It holds until the next calibration, the next pace, or --forget.

    Example: mmpredict calibrate pace
    """
    from mmpredict.calibrate.measurement import MeasurementLog, read_measurements
    from mmpredict.calibrate.pace import measure_pace, pace_models, pace_of
    from mmpredict.calibrate.store import measurements_path, pace_path, save_coefficients
    from mmpredict.cost.library import load_coefficients
    from mmpredict.cost.pace import pace_sentence, with_pace
    from mmpredict.errors import InputError
    from mmpredict.hardware.library import find_profile
    from mmpredict.live.build import build_of_kind
    from mmpredict.models.resolve import resolve

    build = build_of_kind(engine, binary)
    own = load_coefficients(find_profile(), build.name)
    if forget:
        remark(f"coefficients at the pace of their calibration: {save_coefficients(with_pace(own, None))}")
        return
    path = measurements_path(own.machine, own.engine)
    if not path.exists():
        raise InputError(f"the calibration's raw measurements are not here ({path}); run: mmpredict calibrate run")
    header, then = read_measurements(path)
    names = pace_models(then)
    measured_at = datetime.now().isoformat(timespec="minutes")
    log_header = {key: header[key] for key in ("machine", "engine", "cores")} | {"measured_on": measured_at}
    warn_if_busy()
    with (
        progress_bars() as bars,
        tempfile.TemporaryDirectory(prefix="mmpredict-") as logs,
        MeasurementLog(pace_path(own.machine, own.engine), log_header) as log,
    ):
        specs = {name: resolve(name) for name in names}
        measure_pace(names, specs, own.cores, Path(logs), log, build, lambda label, part: bars("measuring the pace", label, part))
        found = pace_of(then, log.rows, own, measured_at)
    stored = save_coefficients(with_pace(own, found))
    if as_json:
        print_json({"schema_version": 1, "pace": found.model_dump(mode="json"), "saved": str(stored)})
    else:
        OUTPUT.print(pace_sentence(found), highlight=False)
    ends = [abs(math.log(factor)) for factor in (*found.prefill.values(), *found.decode.values())]
    if max(ends) > ANOTHER_MACHINE:
        warn("the machine is so different from the one that was calibrated that it may be another one: mmpredict calibrate run")
    remark(f"raw measurements: {log.path}; coefficients: {stored}")
