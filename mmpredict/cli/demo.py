"""``mmpredict demo``."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from mmpredict.cli.console import OUTPUT, print_json, progress_bars, remark, warn_if_busy
from mmpredict.cli.recording import keeper
from mmpredict.units import format_percent


def demo(
    output: Annotated[Path, typer.Option("--output", help="Directory for report.json, timeline.png and trace.json.")] = Path(
        "demo-output"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON document.")] = False,
    reuse_calibration: Annotated[
        bool, typer.Option("--reuse-calibration", help="Use this machine's stored calibration, if there is one.")
    ] = False,
) -> None:
    """Calibrate this machine, predict five ways of running three models, run them for real, and compare.

    Nothing is downloaded: the models are made here, with random weights and the exact shapes of real ones. Takes about five
    minutes.

    Example: mmpredict demo --output /tmp/demo
    """
    from mmpredict.demo import demo_scenario, run_demo
    from mmpredict.report.table import comparison_table

    warn_if_busy()
    with progress_bars() as bars:
        keep = keeper("demo", "demo", demo_scenario().digest, output)
        result = run_demo(output, date.today().isoformat(), reuse_calibration, bars, keep)
    validation = result.validation
    if as_json:
        import json

        print_json(json.loads(result.report_path.read_text("utf-8")))
    else:
        recommendation = validation.forecast.recommendation
        OUTPUT.print(comparison_table(validation.comparisons, recommendation.strategy))
        OUTPUT.print(
            f"recommended: {recommendation.strategy} · regret {format_percent(validation.regret_frac)} · median error of the "
            f"makespan {format_percent(validation.median_error_frac)}",
            highlight=False,
        )
    remark(f"written: {result.report_path} {result.timeline_path} {result.trace_path} (open the trace in ui.perfetto.dev)")
