"""The table of past validations, and sentences about what changed."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from mmpredict.report.table import format_known
from mmpredict.results.history import Change, PastErrors
from mmpredict.units import format_percent

REMEDY = "recalibrate: mmpredict calibrate run"


def history_table(rows: Sequence[PastErrors]) -> Table:
    """A row per period and metric, oldest first."""
    machines = list(dict.fromkeys(row.machine for row in rows))
    caption = f"{', '.join(machines)}\nerror: (predicted − measured) ÷ measured; n: runs that were compared"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=caption, caption_justify="left")
    for name in ("when", "what", "metric", "n", "median error", "bias", "inside"):
        table.add_column(name, justify="left" if name in ("when", "what", "metric") else "right", overflow="fold")
    several = len(machines) > 1
    for before, row in zip((None, *rows), rows, strict=False):
        same = before is not None and (before.when, before.machine) == (row.when, row.machine)
        table.add_row(
            "" if same else row.when,
            "" if same else f"{row.what} on {row.machine}" if several else row.what,
            row.metric,
            str(row.errors.compared),
            _percent(row.errors.median_absolute_frac),
            _percent(row.errors.bias_frac, signed=True),
            _percent(row.errors.inside_frac),
        )
    return table


def change_sentences(changes: Sequence[Change]) -> list[str]:
    """A line per metric that changed."""
    found = []
    for change in changes:
        before, now = change.engines
        cause = f"the build changed from {before} to {now}" if before != now else "the machine changed"
        found.append(
            f"{change.metric} on {change.machine}: since {change.since[:19].replace('T', ' ')} measurements are off by "
            f"{format_percent(change.ratio - 1, signed=True)} from those of {change.older} "
            f"{'validation' if change.older == 1 else 'validations'} before (usual: ±{format_percent(change.usual_frac)}): "
            f"{cause}; {REMEDY}"
        )
    return found


def _percent(fraction: float, signed: bool = False) -> str:
    return format_known(fraction, lambda known: format_percent(known, signed))
