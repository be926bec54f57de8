"""``mmpredict validate memory``: predicted memory against real servers."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path

from mmpredict.cli.console import progress_bars, show_check
from mmpredict.cli.recording import remember

MEMORY = "memory"


def validate_memory(as_json: bool, output: Path | None, quick: bool, out_of_tolerance: int) -> None:
    """Measure, print, and leave with ``out_of_tolerance`` when a part is beyond its tolerance."""
    from mmpredict.hardware.detect import usable_cores
    from mmpredict.live.embedded import engine_build, require_engine
    from mmpredict.models.synthetic import cache_directory
    from mmpredict.report.memory import memory_table
    from mmpredict.results.memory import passed, summary
    from mmpredict.saving import data_directory
    from mmpredict.validation.check_figures import memory_figures
    from mmpredict.validation.memory import run_checks
    from mmpredict.validation.memory_cases import QUICK_CASES, memory_cases

    require_engine()
    cases = memory_cases(usable_cores())[: QUICK_CASES if quick else None]
    raw_path = (output or data_directory() / "validation") / f"memory-{date.today().isoformat()}.jsonl"
    with progress_bars() as bars, tempfile.TemporaryDirectory(prefix="mmpredict-") as logs:
        rows = run_checks(
            cases, cache_directory() / "models", Path(logs), raw_path, lambda label, fraction: bars("checking", label, fraction)
        )
    remember(MEMORY, raw_path, [(memory_figures(rows), None)])
    document = {"engine": engine_build(), "rows": [row.to_dict() for row in rows], "parts": summary(rows)}
    show_check(as_json, document, memory_table(rows), raw_path, passed(rows), out_of_tolerance)
