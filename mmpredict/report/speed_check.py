"""The table of predicted and measured speed."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from mmpredict.results.speed_check import TimedRow, summary
from mmpredict.units import format_percent


def speed_check_table(rows: Sequence[TimedRow]) -> Table:
    """A row per test, then the summary per phase."""
    table = Table(box=box.SIMPLE_HEAD, caption="error: (predicted − measured) ÷ measured duration; noise: of repeats")
    for name in ("model", "test", "predicted", "80 % interval", "measured", "error", "noise", "inside"):
        table.add_column(name, justify="left" if name in ("model", "test") else "right")
    for before, row in zip((None, *rows), rows, strict=False):
        table.add_row(
            "" if before and before.model == row.model else row.model,
            row.test,
            f"{row.tokens / row.predicted_s:.1f} t/s",
            f"{row.tokens / row.high_s:.1f} – {row.tokens / row.low_s:.1f}",
            f"{row.tokens / row.middle_s:.1f} t/s",
            format_percent(row.error_frac, signed=True),
            format_percent(row.noise_frac),
            "yes" if row.inside else "no",
        )
    table.add_section()
    for phase, found in summary(rows).items():
        error = f"median {format_percent(found['median_error_frac'])}, at most {format_percent(found['largest_error_frac'])}"
        bias = format_percent(found["bias_frac"], signed=True)
        shares = (format_percent(found[name]) for name in ("median_noise_frac", "inside_frac"))
        table.add_row(f"{phase}: {found['rows']} tests", error, "", "", "", bias, *shares)
    return table
