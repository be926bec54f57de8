"""The table of mixes that fit together."""

from __future__ import annotations

from typing import Literal

from rich import box
from rich.table import Table

from mmpredict.results.mixes import Mixes
from mmpredict.units import format_bytes


def needs_table(mixes: Mixes) -> Table:
    """What an instance of each model needs, and what all of its instances share."""
    table = Table(box=box.HORIZONTALS, pad_edge=False)
    table.add_column("model", overflow="fold")
    for name in ("slots", "context", *(f"{what} of {pool}" for pool in mixes.pools for what in ("each", "shared"))):
        table.add_column(name, justify="right", overflow="fold")
    for kind in mixes.kinds:
        sizes = [size for pair in zip(kind.own_bytes, kind.shared_bytes, strict=True) for size in pair]
        table.add_row(kind.model, str(kind.slots), str(kind.context_tokens), *(format_bytes(size) for size in sizes))
    return table


def mixes_table(mixes: Mixes) -> Table:
    """The mixes, best first, with what each uses and leaves."""
    table = Table(box=box.HORIZONTALS, pad_edge=False)
    names = ["", "mix", "value", *(f"{what} {pool}" for pool in mixes.pools for what in ("used of", "left of"))]
    for position, name in enumerate(names):
        justify: Literal["left", "right"] = "left" if position == 1 else "right"
        table.add_column(name, justify=justify, overflow="fold")
    for rank, row in enumerate(mixes.mixes, 1):
        counts = " + ".join(f"{count} × {name}" for name, count in row.counts.items())
        sizes = [size for pair in zip(row.used_bytes, row.remains_bytes, strict=True) for size in pair]
        table.add_row(str(rank), counts, f"{row.value:g}", *(format_bytes(size) for size in sizes))
    return table
