"""How many layers of a model a graphics card holds: a document's table, counted again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmpredict.models.shape import Shape
from mmpredict.models.spec import ModelSpec
from mmpredict.results.documents import LayersRow
from mmpredict.results.estimate import InstanceEstimate
from mmpredict.sizing.estimate import estimate
from mmpredict.sizing.wish import GpuLayers
from mmpredict.units import GIB

CARD_HOST = "rtx-4090"  # a machine with a discrete card, whose size is then changed
_LLAMA_30B = Shape(
    name="llama-30b",
    architecture="llama",
    n_layers=60,
    n_embd=6656,
    n_vocab=32000,
    context_length=2048,
    n_heads=52,
    n_kv_heads=52,
    key_dim=128,
    value_dim=128,
    n_ff=17920,
    source="Touvron et al., LLaMA: Open and Efficient Foundation Language Models, 2023, table 2 (32.5B)",
)


def layers_rows(stated: Mapping[str, Any], table: Mapping[str, Any]) -> list[LayersRow]:
    """A model on every size of card.

    Args:
        stated: the model's row of the document.
        table: the document's table.
    """
    spec = _spec(stated["model"], table["quantization"])
    rows = []
    for place, vram in enumerate(table["vram_gib"]):
        high = stated["high"][place]
        served = _on_card(spec, vram, table["context_tokens"], "fit")
        asked = _on_card(spec, vram, table["context_tokens"], high + (high == stated["layers"]))
        per_layer = stated["billions"] * 4 / 8 / table["layers_assumed"]
        rows.append(
            LayersRow(
                name=stated["name"],
                model=spec.name,
                layers=stated["layers"],
                vram_gib=vram,
                low=stated["low"][place],
                high=high,
                formula=int((vram - table["buffer_gb"]) / per_layer),
                fitting=min(served.fitting_gpu_layers or 0, stated["layers"]),
                served=min(served.gpu_layers, stated["layers"]),
                taken_gib=asked.device_added.value / GIB,
            )
        )
    return rows


def _on_card(spec: ModelSpec, vram_gib: float, context_tokens: int, gpu_layers: GpuLayers) -> InstanceEstimate:
    found = estimate(spec, CARD_HOST, context_tokens=context_tokens, slots=1, gpu_layers=gpu_layers, vram_bytes=vram_gib * GIB)
    return found.instances[0]


def _spec(name: str, quantization: str) -> ModelSpec:
    from mmpredict.models.catalog import catalog_spec, spec_of

    return spec_of(_LLAMA_30B, quantization) if name == _LLAMA_30B.name else catalog_spec(name, quantization)


def layers_why(rows: Sequence[LayersRow]) -> tuple[str, ...]:
    """Where the numbers part, one computed sentence each."""
    found = []
    below = [row for row in rows if row.high < row.fitting]
    above = [row for row in rows if row.low > row.fitting]
    same = len(rows) - len(below) - len(above)
    found.append(
        f"{same} of {len(rows)} of its numbers are right, {len(below)} too small, {len(above)} too large for what the card holds"
    )
    for row in below:
        found.append(
            f"{row.name} on {row.vram_gib:g} GiB: {row.high} layers take {row.taken_gib:.1f} GiB; {row.fitting} of {row.layers} fit"
        )
    for row in above:
        found.append(
            f"{row.name} on {row.vram_gib:g} GiB: {row.low} layers are more than the {row.fitting} that fit ({row.high} would take "
            f"{row.taken_gib:.1f} GiB)"
        )
    own = sum(not row.low <= min(row.formula, row.layers) <= row.high for row in rows)
    formula = "(VRAM − 2 GB) ÷ (parameters × 4 bits ÷ 32 layers)"
    found.append(f"{own} of them are not what its own formula gives: {formula}, which takes every model for one of 32 layers")
    return tuple(found)
