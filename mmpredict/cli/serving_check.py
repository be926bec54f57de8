"""``mmpredict validate serving``: servers under load, together, and loaded again, against predictions."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path
from time import time

from mmpredict.cli.console import progress_bars, show_check, warn_if_busy
from mmpredict.cli.recording import remember

SERVING = "serving"
REPEATS = 2


def validate_serving(as_json: bool, output: Path | None, quick: bool, out_of_tolerance: int) -> None:
    """Predict, run, print, and leave with ``out_of_tolerance`` when a median error is beyond its tolerance.

    Raises:
        NotCalibratedError: this machine has not been calibrated.
        EngineError: a server could not be started or used.
    """
    from mmpredict.calibrated import own_coefficients
    from mmpredict.cost.drift import at_time
    from mmpredict.hardware.library import find_profile
    from mmpredict.live.embedded import require_engine
    from mmpredict.report.serving_check import serving_check_table
    from mmpredict.results.serving_check import passed, summary
    from mmpredict.saving import data_directory
    from mmpredict.validation.check_figures import serving_runs
    from mmpredict.validation.serving import run_cases, serving_cases, serving_specs

    require_engine()
    profile = find_profile()
    own = at_time(own_coefficients(profile), time())
    cases = serving_cases(own, serving_specs(), quick)
    raw_path = (output or data_directory() / "validation") / f"serving-{date.today().isoformat()}.jsonl"
    warn_if_busy()
    with progress_bars() as bars, tempfile.TemporaryDirectory(prefix="mmpredict-") as logs:
        memory_bytes = profile.cpu_memory.usable_bytes.value
        repeats = 1 if quick else REPEATS
        rows = run_cases(cases, own, memory_bytes, repeats, Path(logs), raw_path, lambda label, part: bars("checking", label, part))
    remember(SERVING, raw_path, serving_runs(cases, rows, raw_path))
    parts = {"rows": [row.to_dict() for row in rows], "groups": summary(rows)}
    document = {"engine": own.engine, "calibrated_on": own.measured_on, **parts}
    show_check(as_json, document, serving_check_table(rows), raw_path, passed(rows), out_of_tolerance)
