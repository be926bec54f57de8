"""Tables of a correction by real runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich import box
from rich.table import Table

from mmpredict.report.table import UNKNOWN, format_known
from mmpredict.results.compare import Errors
from mmpredict.units import format_percent


def factors_table(rows: Iterable[tuple[str, int, str, float | None, float, int]]) -> Table:
    """Factors of a calibration's times.

    Args:
        rows: (part, threads, model, factor that its rounds show, factor that is taken, rounds); no model stands for all others.
    """
    caption = "factor of the calibration's time: as real runs of a model show it, and as it is taken for this model and for others"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=caption, caption_justify="left")
    for name in ("part", "threads", "model", "shown", "taken", "rounds"):
        table.add_column(name, justify="left" if name in ("part", "model") else "right")
    for part, threads, model, shown, taken, rounds in rows:
        shown_text = UNKNOWN if shown is None else f"× {shown:.3f}"
        table.add_row(part, str(threads) if threads else UNKNOWN, model or "others", shown_text, f"× {taken:.3f}", str(rounds))
    return table


def improvement_table(before: Mapping[str, Errors], after: Mapping[str, Errors]) -> Table:
    """Errors on runs that were left out, before and after."""
    caption = "on rounds that were left out of the fit; error: (predicted − measured) ÷ measured, bias its median with sign"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=caption, caption_justify="left")
    for name in ("metric", "n", "error before", "after", "bias before", "after", "inside before", "after"):
        table.add_column(name, justify="left" if name == "metric" else "right")
    for name, old in before.items():
        new = after[name]
        if old.compared:
            table.add_row(
                name,
                str(old.compared),
                format_percent(old.median_absolute_frac),
                format_percent(new.median_absolute_frac),
                format_percent(old.bias_frac, signed=True),
                format_percent(new.bias_frac, signed=True),
                *(format_known(one.inside_frac, format_percent) for one in (old, new)),
            )
    return table
