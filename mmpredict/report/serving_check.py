"""The table of predicted and measured serving."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from mmpredict.results.serving_check import METRIC_NAMES, ServingRow, summary
from mmpredict.units import format_percent, format_seconds


def serving_check_table(rows: Sequence[ServingRow]) -> Table:
    """A row per case and metric, then the summary per group."""
    table = Table(box=box.SIMPLE_HEAD, caption="error: (predicted − measured) ÷ measured; in the summary the bias")
    for name in ("case", "metric", "predicted", "80 % interval", "measured", "error", "inside"):
        table.add_column(name, justify="left" if name in ("case", "metric") else "right")
    for before, row in zip((None, *rows), rows, strict=False):
        table.add_row(
            "" if before and (before.group, before.case) == (row.group, row.case) else row.case,
            METRIC_NAMES[row.metric],
            format_seconds(row.predicted_s),
            f"{format_seconds(row.low_s)} – {format_seconds(row.high_s)}",
            format_seconds(row.measured_s),
            format_percent(row.error_frac, signed=True),
            "yes" if row.inside else "no",
        )
    table.add_section()
    for group, metrics in summary(rows).items():
        for metric, found in metrics.items():
            error = f"median {format_percent(found['median_error_frac'])}, at most {format_percent(found['largest_error_frac'])}"
            bias, inside = format_percent(found["bias_frac"], signed=True), format_percent(found["inside_frac"])
            table.add_row(f"{group}: {found['cases']} cases", METRIC_NAMES[metric], "", error, "", bias, inside)
    return table
