"""Figures of published documents beside this project's own."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PlacementRow:
    """Models that are to be resident together, as a document and as an estimate count them.

    Attributes:
        name: of the configuration.
        models: model → instances.
        stated_gb, stated_left_gb: what the document says they take and leave [GB].
        files_gb: sizes of their files, one per instance [GB].
        short_gb: needed with a context of 4096 tokens per instance [GB].
        default_gb, default_tokens: needed at the engine's default context, and the longest such context [GB], [tokens].
        left_gb: of the usable memory, with 4096 tokens [GB].
        why: where the figures part, one computed sentence each.
    """

    name: str
    models: dict[str, int]
    stated_gb: float
    stated_left_gb: float
    files_gb: float
    short_gb: float
    default_gb: float
    default_tokens: int
    left_gb: float
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FootprintRow:
    """Memory of one model, as a document and as an estimate count it.

    Attributes:
        model: its name.
        stated_ram_gb, stated_swap_gb, stated_gb: what the document says [GB].
        half_gib: weights in 16 bits [GiB].
        half_gb: needed with weights in 16 bits [GB].
        quantized_gb: needed as Q4_K_M [GB].
        why: where the figures part, one computed sentence each.
    """

    model: str
    stated_ram_gb: float
    stated_swap_gb: float
    stated_gb: float
    half_gib: float
    half_gb: float
    quantized_gb: float
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScenarioRow:
    """Instances that are to run together within a budget.

    Attributes:
        name: of the scenario.
        models: model → instances.
        stated_gb: what the document says they take [GB].
        half_gb, half_fits: needed with weights in 16 bits, and whether that is within the budget [GB].
        quantized_gb, quantized_fits: the same as Q4_K_M [GB].
        why: where the figures part, one computed sentence each.
    """

    name: str
    models: dict[str, int]
    stated_gb: float
    half_gb: float
    half_fits: bool
    quantized_gb: float
    quantized_fits: bool
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LayersRow:
    """Layers on a GPU of one size.

    Attributes:
        name: of the model in the document.
        model: what is taken for it.
        layers: that it has, without the output [1].
        vram_gib: size of the card [GiB].
        low, high: what the document says [1].
        formula: what the document's own formula gives [1].
        fitting: layers that fit, with nothing to spare [1].
        served: layers that llama.cpp's ``--fit`` puts there [1].
        taken_gib: what the document's larger number of layers takes [GiB].
    """

    name: str
    model: str
    layers: int
    vram_gib: float
    low: int
    high: int
    formula: int
    fitting: int
    served: int
    taken_gib: float


@dataclass(frozen=True, slots=True)
class Documents:
    """Everything that the documents state about memory, beside what is estimated.

    Attributes:
        sources: table → document.
        placements, footprints, scenarios, layers: the rows.
        layers_why: where the numbers of layers part, one computed sentence each.
        budget_gb, usable_gb, installed_gb: of the machines [GB].
    """

    sources: dict[str, str]
    placements: tuple[PlacementRow, ...]
    footprints: tuple[FootprintRow, ...]
    scenarios: tuple[ScenarioRow, ...]
    layers: tuple[LayersRow, ...]
    layers_why: tuple[str, ...]
    budget_gb: float
    usable_gb: float
    installed_gb: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        found = asdict(self)
        tables = {name: [dict(row) for row in found[name]] for name in ("placements", "footprints", "scenarios", "layers")}
        for rows in tables.values():
            for row in rows:
                row |= {"why": list(row["why"])} if "why" in row else {}
        return {"schema_version": 1, **found, **tables, "layers_why": list(self.layers_why)}
