"""Pictures of runs over time: a lane per instance, a bar per activity, the memory below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from mmpredict.errors import InputError
from mmpredict.report.lanes import Block, Run, draw_blocks
from mmpredict.report.picture import Picture, picture_format
from mmpredict.report.rows import instance_names
from mmpredict.report.rows import lanes as lay_out
from mmpredict.report.table import format_known
from mmpredict.results.compare import PlanComparison
from mmpredict.results.metrics import Summary, summarize
from mmpredict.results.outcome import Outcome
from mmpredict.results.prediction import INTERVAL_LEVEL, Interval
from mmpredict.results.records import Records
from mmpredict.units import format_percent, format_seconds


def timeline_picture(runs: Sequence[tuple[str, Records]], title: str = "") -> Picture:
    """Runs one above the other on one time axis [s]: what every model did, who waited, and what memory it took.

    Args:
        runs: (label, records) of every run.
        title: stands above the picture.

    Raises:
        InputError: there is no run.
    """
    names = instance_names(*(records for _, records in runs))
    blocks = [Run(label, _note(summarize(records)), records, lay_out(records, names)) for label, records in runs]
    return _picture([Block("", blocks)] if blocks else [], title, f"timeline of {', '.join(label for label, _ in runs)}")


def comparison_picture(comparisons: Sequence[PlanComparison]) -> Picture:
    """For every strategy, the predicted run above the measured one; only these two share a time axis [s].

    Args:
        comparisons: in the order in which they are to appear.

    Raises:
        InputError: there is no comparison.
    """
    names = instance_names(*(records for c in comparisons for records in (c.prediction.records, c.measured_records)))
    title = "Predicted and measured runs"
    return _picture([_pair(comparison, names) for comparison in comparisons], title, title)


def draw_timeline(lanes: Sequence[tuple[str, Records]], path: Path, title: str = "") -> Path:
    """Write ``timeline_picture`` to a file, whose suffix decides the format: png, svg or pdf.

    Raises:
        InputError: the suffix is none of those, or there is no run.
        StorageError: the file could not be written.
    """
    picture_format(path)
    return timeline_picture(lanes, title).save(path)


def draw_comparison(comparisons: Sequence[PlanComparison], path: Path) -> Path:
    """Write ``comparison_picture`` to a file, whose suffix decides the format: png, svg or pdf.

    Raises:
        InputError: the suffix is none of those, or there is no comparison.
        StorageError: the file could not be written.
    """
    picture_format(path)
    return comparison_picture(comparisons).save(path)


def outcome_timeline(outcome: Outcome) -> Picture:
    """All runs of an outcome: predicted above measured where there are both.

    Raises:
        InputError: there is no run.
    """
    if outcome.comparisons:
        return comparison_picture(outcome.comparisons)
    return timeline_picture(outcome.runs, "Predicted runs" if outcome.predictions else "Measured runs")


def draw_outcome(outcome: Outcome, path: Path) -> Path:
    """Write ``outcome_timeline`` to a file, whose suffix decides the format (errors as ``draw_timeline``)."""
    picture_format(path)
    return outcome_timeline(outcome).save(path)


def _pair(comparison: PlanComparison, order: Sequence[str]) -> Block:
    predicted, measured = comparison.prediction.records, comparison.measured_records
    makespan = comparison.metrics["makespan_s"]
    expected = makespan.predicted
    names = sorted(instance_names(predicted, measured), key=order.index)
    bounds = f", {INTERVAL_LEVEL * 100:.0f} % interval {_seconds(expected.low)} – {_seconds(expected.high)}"
    error = f", error of the prediction {format_percent(makespan.error_frac, signed=True)}"
    predicted_note = f"makespan {_seconds(expected.value)}{'' if math.isnan(expected.low + expected.high) else bounds}"
    measured_note = f"{_note(comparison.measured)}{'' if math.isnan(makespan.error_frac) else error}"
    return Block(
        comparison.strategy,
        [
            Run("predicted", predicted_note, predicted, lay_out(predicted, names)),
            Run("measured", measured_note, measured, lay_out(measured, names)),
        ],
        _expected_end(expected, predicted),
    )


def _note(summary: Summary) -> str:
    failed = f", {summary.failed} of {summary.failed + summary.completed} requests failed" if summary.failed else ""
    return f"makespan {_seconds(summary.makespan_s)}{failed}"


def _expected_end(makespan: Interval, predicted: Records) -> Interval | None:
    # A makespan counts from the first arrival, the axis from the start of the run.
    start_s = min((row.arrival_s for row in predicted.requests), default=0.0)
    end = Interval(start_s + makespan.value, start_s + makespan.low, start_s + makespan.high)
    return None if math.isnan(end.value + end.low + end.high) else end


def _picture(blocks: Sequence[Block], title: str, text: str) -> Picture:
    if not blocks:
        raise InputError("there is no run to draw; give at least one")
    bars = sum(len(lane.activities) for block in blocks for run in block.runs for lane in run.lanes)
    return Picture(text, lambda: draw_blocks(blocks, title), bars)


def _seconds(duration_s: float) -> str:
    return format_known(duration_s, format_seconds)
