"""The table of predicted and measured memory."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from mmpredict.results.memory import PARTS, TOLERANCE_BYTES, TOLERANCE_FRAC, MemoryRow, Part, summary
from mmpredict.units import format_bytes, format_percent

COLUMNS = ("model, options", *PARTS)
BEYOND = "!"


def memory_table(rows: Sequence[MemoryRow]) -> Table:
    """A row per server with the measured size and the error of each part, then the summary."""
    table = Table(box=box.SIMPLE_HEAD, caption="measured size, error of the prediction; " + BEYOND + " beyond tolerance")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == COLUMNS[0] else "right")
    servers = dict.fromkeys((row.model, row.options) for row in rows)
    for server in servers:
        own = {row.part: row for row in rows if (row.model, row.options) == server}
        table.add_row("\n".join(server), *(_cell(own[part]) if part in own else "" for part in PARTS))
    table.add_section()
    found = summary(rows)
    for label, key in (("median error", "median_error_frac"), ("largest error", "largest_error_frac")):
        table.add_row(label, *(format_percent(found[part][key]) if part in found else "" for part in PARTS))
    table.add_row("allowed", *(_allowed(part) for part in PARTS))
    return table


def _cell(row: MemoryRow) -> str:
    return f"{format_bytes(row.measured_bytes)}\n{format_percent(row.error_frac, signed=True)}{'' if row.within else ' ' + BEYOND}"


def _allowed(part: Part) -> str:
    return format_percent(TOLERANCE_FRAC[part]) if part in TOLERANCE_FRAC else format_bytes(TOLERANCE_BYTES)
