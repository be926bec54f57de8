"""Tables of documents' figures beside estimates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich import box
from rich.table import Table

from mmpredict.results.documents import Documents, LayersRow


def placements_table(found: Documents) -> Table:
    """Placement configurations: stated and estimated, in GB of 10⁹ bytes."""
    table = _table(
        f"GB of 10^9 bytes; {found.installed_gb:g} GB installed, {found.usable_gb:.0f} usable",
        ("configuration", "models", "document", "files", "needed, 4k", "needed, default", "document: left", "left, 4k"),
        left=2,
    )
    for row in found.placements:
        table.add_row(
            row.name,
            _counted(row.models),
            f"{row.stated_gb:g}",
            f"{row.files_gb:.1f}",
            f"{row.short_gb:.1f}",
            f"{row.default_gb:.1f}",
            f"{row.stated_left_gb:g}",
            f"{row.left_gb:.1f}",
        )
    return table


def footprints_table(found: Documents) -> Table:
    """Footprints of single models, and scenarios of several."""
    table = _table(
        f"needed with one slot of 4096 tokens, GB of 10^9 bytes; budget {found.budget_gb:g} GB",
        ("models", "document", "16 bits, needed", "Q4_K_M, needed", "fits"),
        left=1,
    )
    for one in found.footprints:
        swap = f" + {one.stated_swap_gb:g} swap" if one.stated_swap_gb else ""
        fits = _fits(one.half_gb <= found.budget_gb, one.quantized_gb <= found.budget_gb)
        table.add_row(one.model, f"{one.stated_ram_gb:g}{swap}", f"{one.half_gb:.2f}", f"{one.quantized_gb:.2f}", fits)
    table.add_section()
    for row in found.scenarios:
        fits = _fits(row.half_fits, row.quantized_fits)
        table.add_row(_counted(row.models), f"{row.stated_gb:g}", f"{row.half_gb:.2f}", f"{row.quantized_gb:.2f}", fits)
    return table


def layers_table(found: Documents) -> Table:
    """Layers that fit on a GPU: stated, and as many as the memory holds."""
    sizes = list(dict.fromkeys(row.vram_gib for row in found.layers))
    caption = "document → layers that the card holds (those that llama.cpp's --fit puts there, 1 GiB free), the output not counted"
    table = _table(caption, ("model", "taken for", "layers", *(f"{size:g} GiB" for size in sizes)), left=2)
    for name, group in groupby(found.layers, key=lambda row: row.name):
        rows = list(group)
        table.add_row(name, rows[0].model, str(rows[0].layers), *(_cell(row) for row in rows))
    return table


def reasons(found: Documents) -> list[tuple[str, Sequence[str]]]:
    """Why the figures part: (what, sentences)."""
    return [
        *((row.name, row.why) for row in found.placements),
        *((row.model, row.why) for row in found.footprints),
        *((f"scenario {row.name}", row.why) for row in found.scenarios),
        ("GPU layers", found.layers_why),
    ]


def _cell(row: LayersRow) -> str:
    stated = f"{row.low}" if row.low == row.high else f"{row.low}-{row.high}"
    return f"{stated} → {row.fitting} ({row.served})"


def _fits(half: bool, quantized: bool) -> str:
    if half:
        return "both"
    return "Q4_K_M" if quantized else "neither"


def _counted(models: dict[str, int]) -> str:
    return " + ".join(f"{count} × {name}" if count > 1 else name for name, count in models.items())


def _table(caption: str, columns: Iterable[str], left: int) -> Table:
    table = Table(box=box.HORIZONTALS, pad_edge=False, caption=caption, caption_justify="left")
    for position, name in enumerate(columns):
        table.add_column(name, justify="left" if position < left else "right", overflow="fold")
    return table
