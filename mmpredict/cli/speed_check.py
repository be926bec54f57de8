"""``mmpredict validate speed``: predicted speed of single models against real servers."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path
from time import time

from mmpredict.cli.console import progress_bars, show_check, warn_if_busy
from mmpredict.cli.recording import remember

SPEED = "speed"


def validate_speed(as_json: bool, output: Path | None, quick: bool, out_of_tolerance: int) -> None:
    """Measure, print, and leave with ``out_of_tolerance`` when a median error is beyond its tolerance.

    Raises:
        NotCalibratedError: this machine has not been calibrated.
        EngineError: a server could not be started or used.
    """
    from mmpredict.calibrated import own_coefficients
    from mmpredict.cost.drift import at_time
    from mmpredict.hardware.library import find_profile
    from mmpredict.live.embedded import require_engine
    from mmpredict.models.synthetic import cache_directory
    from mmpredict.report.speed_check import speed_check_table
    from mmpredict.results.speed_check import passed, summary
    from mmpredict.saving import data_directory, make_directory
    from mmpredict.validation.check_figures import speed_figures
    from mmpredict.validation.speed import QUICK_MODELS, run_checks, speed_models

    require_engine()
    own = at_time(own_coefficients(find_profile()), time())
    models = speed_models()[: QUICK_MODELS if quick else None]
    raw_path = (output or data_directory() / "validation") / f"speed-{date.today().isoformat()}.jsonl"
    warn_if_busy()
    with progress_bars() as bars, tempfile.TemporaryDirectory(prefix="mmpredict-") as logs:
        directory = make_directory(cache_directory() / "models")
        rows = run_checks(models, own, directory, Path(logs), raw_path, lambda label, fraction: bars("checking", label, fraction))
    remember(SPEED, raw_path, [(speed_figures(rows), None)])
    parts = {"rows": [row.to_dict() for row in rows], "phases": summary(rows)}
    document = {"engine": own.engine, "calibrated_on": own.measured_on, **parts}
    show_check(as_json, document, speed_check_table(rows), raw_path, passed(rows), out_of_tolerance)
