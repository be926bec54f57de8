"""The memory figures of published documents, counted again: what they state, what is estimated, and where the two part.

What is said about a difference is computed: it is looked up which size of a file explains a figure, and what the rest is.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmpredict.errors import DoesNotFitError
from mmpredict.models.spec import ModelSpec
from mmpredict.results.documents import Documents, FootprintRow, PlacementRow, ScenarioRow
from mmpredict.results.estimate import Estimate
from mmpredict.sizing.document_layers import layers_rows, layers_why
from mmpredict.sizing.estimate import estimate
from mmpredict.sizing.find_machine import shipped_machine
from mmpredict.sizing.mix import Demand, fit
from mmpredict.sizing.models import described
from mmpredict.sizing.quants import requantized
from mmpredict.sizing.wish import Wish
from mmpredict.units import GB, GIB

_FILE = Path(__file__).with_suffix(".toml")
SHORT_CONTEXT_TOKENS = 4096
HALF, QUANTIZED = "F16", "Q4_K_M"
_ROUNDED_GB, _ROUNDED_SHARE = 0.05, 0.01  # half of the last digit that the documents print, or one per cent
_SAME_GB = 1.0  # files are printed there as whole GB


def documents() -> Documents:
    """Count every figure again."""
    stated = _stated()
    placements, footprints, layers = stated["placements"], stated["footprints"], stated["gpu_layers"]
    rows = tuple(row for model in layers["models"] for row in layers_rows(model, layers))
    return Documents(
        sources={name: table["document"] for name, table in stated.items()},
        placements=tuple(_placement(one, placements) for one in placements["configurations"]),
        footprints=tuple(_footprint(one, footprints["hardware"]) for one in footprints["models"]),
        scenarios=tuple(_scenario(one, footprints) for one in footprints["scenarios"]),
        layers=rows,
        layers_why=layers_why(rows),
        budget_gb=footprints["budget_gb"],
        usable_gb=shipped_machine(placements["hardware"]).host.usable.value / GB,
        installed_gb=placements["installed_gb"],
    )


@lru_cache(maxsize=1)
def _stated() -> dict[str, Any]:
    return tomllib.loads(_FILE.read_text("utf-8"))


def _placement(stated: Mapping[str, Any], table: Mapping[str, Any]) -> PlacementRow:
    counts = {name: stated["counts"].get(name, 1) for name in stated["models"]}
    listed = [name for name, count in counts.items() for _ in range(count)]
    hardware = table["hardware"]
    short = estimate(listed, hardware, context_tokens=SHORT_CONTEXT_TOKENS, slots=1, gpu_layers="all")
    default = estimate(list(counts), hardware, engine="ollama", gpu_layers="all")
    files = sum(one.file_bytes for one in short.instances) / GB
    needed = short.pools[0].needed.value / GB
    tokens = max(one.slot_tokens for one in default.instances)
    return PlacementRow(
        name=stated["name"],
        models=counts,
        stated_gb=stated["total_gb"],
        stated_left_gb=stated["available_gb"],
        files_gb=files,
        short_gb=needed,
        default_gb=default.pools[0].needed.value / GB,
        default_tokens=tokens,
        left_gb=short.pools[0].remains_bytes / GB,
        why=tuple(_why_placement(stated, table, short, default, counts)),
    )


def _why_placement(
    stated: Mapping[str, Any], table: Mapping[str, Any], short: Estimate, default: Estimate, counts: Mapping[str, int]
) -> list[str]:
    sizes = {one.model: one.file_bytes / GB for one in short.instances}
    pairs = [(name, whole, sizes[name] * counts[name]) for name, whole in stated["models"].items()]
    terms = " + ".join(f"{f'{counts[name]} × ' if counts[name] > 1 else ''}{sizes[name]:.2f}" for name, _, _ in pairs)
    files = sum(size for _, _, size in pairs)
    if all(abs(whole - size) <= _SAME_GB for _, whole, size in pairs):
        found = [f"the document counts files alone, in whole GB: {terms} = {files:.1f} GB"]
    else:
        wrong = [f"{name}: {whole:g} stated, {size:.1f} of files" for name, whole, size in pairs if abs(whole - size) > _SAME_GB]
        found = [f"not all of its figures are sizes of files: {'; '.join(wrong)} [GB]"]
    found.append(f"beside the files, with {SHORT_CONTEXT_TOKENS} tokens each: {_beside(short)}")
    tokens = sorted({one.slot_tokens for one in default.instances})
    context = f"{tokens[0]} tokens" if len(tokens) == 1 else f"{tokens[0]} to {tokens[-1]} tokens"
    found.append(f"at Ollama's default context on this machine, {context}, the cache alone is {_cache(default):.1f} GB")
    usable = short.pools[0].usable
    left = f"its {stated['available_gb']:g} GB that remain are of {table['installed_gb']:g} GB installed"
    found.append(f"{left}; {usable.value / GB:.0f} GB ({usable.low / GB:.0f} to {usable.high / GB:.0f}) are usable")
    for name, count in counts.items():
        if count > 1:
            single = estimate(
                name, table["hardware"], engine="ollama", context_tokens=SHORT_CONTEXT_TOKENS, slots=count, gpu_layers="all"
            )
            needed = single.pools[0].needed.value / GB
            found.append(
                f"{count} × {name} are {count} processes with weights of their own on the GPU; Ollama would run one with "
                f"{count} slots, which needs {needed:.1f} GB"
            )
    return found


def _beside(found: Estimate) -> str:
    parts = [part for one in found.instances for part in (one.host, one.device)]
    buffers = sum(part.compute + part.output for part in parts) / GB
    process = sum(part.process for part in parts) / GB
    weights = sum(part.mapped + part.weights for part in parts) / GB
    files = sum(one.file_bytes for one in found.instances) / GB
    sizes = f"cache {_cache(found):.1f} GB, buffers {buffers:.1f} GB, processes {process:.1f} GB"
    twice = weights - files
    return f"{sizes}, matrices that are there twice {twice:.1f} GB" if twice >= _ROUNDED_GB else sizes


def _cache(found: Estimate) -> float:
    return sum(one.host.kv_cache + one.device.kv_cache for one in found.instances) / GB


def _footprint(stated: Mapping[str, Any], hardware: str) -> FootprintRow:
    spec = described(stated["model"])
    half, quantized = requantized(spec, HALF), requantized(spec, QUANTIZED)
    half_gib = half.weight_bytes / GIB
    half_gb, quantized_gb = (_together([one], hardware) for one in (half, quantized))
    name, total, ram, swap = (stated[key] for key in ("model", "total_gb", "ram_gb", "swap_gb"))
    why = []
    if abs(half_gib - ram) <= max(_ROUNDED_GB, _ROUNDED_SHARE * ram):
        why.append(f"{ram:g} GB are the weights in 16 bits alone, {half_gib:.2f} GiB; nothing for cache, buffers and process")
        if swap:
            why.append(f"{swap:g} GB of swap come on top of weights that are complete without them")
    elif 0 <= half_gib - total < 1:
        why.append(f"{total:g} GB and more are the weights in 16 bits, {half_gib:.2f} GiB, of which {ram:g} GB stay in memory")
    else:
        why.append(f"neither the weights in 16 bits ({half_gib:.2f} GiB) nor any part of the estimate is {total:g} GB")
    why.append(
        f"as {QUANTIZED}, which llama.cpp and Ollama serve, all of {name} needs {quantized_gb / total:.0%} of what is stated"
    )
    return FootprintRow(name, ram, swap, total, half_gib, half_gb, quantized_gb, tuple(why))


def _scenario(stated: Mapping[str, Any], table: Mapping[str, Any]) -> ScenarioRow:
    hardware, budget = table["hardware"], table["budget_gb"]
    kinds = {kind: {name: requantized(described(name), kind) for name in stated["counts"]} for kind in (HALF, QUANTIZED)}
    needed = {
        quantization: _together([specs[name] for name, count in stated["counts"].items() for _ in range(count)], hardware)
        for quantization, specs in kinds.items()
    }
    why = []
    footprints = {one["model"]: one for one in table["models"]}
    for name, each in stated["each_gb"].items():
        own = footprints[name]["total_gb"]
        if own != each:
            other = next((one["model"] for one in table["models"] if one["total_gb"] == each), None)
            whose = f", which it states of {other}" if other else ""
            why.append(f"it counts {each:g} GB for {name}{whose}; its own table says {own:g} GB")
    if len(stated["counts"]) == 1:
        (name,) = stated["counts"]
        for quantization, specs in kinds.items():
            count, remedy = _most(specs[name], hardware, budget)
            why.append(f"{name} as {quantization}: {count} at once in {budget:g} GB{remedy}")
    return ScenarioRow(
        name=stated["name"],
        models=dict(stated["counts"]),
        stated_gb=stated["total_gb"],
        half_gb=needed[HALF],
        half_fits=needed[HALF] <= budget,
        quantized_gb=needed[QUANTIZED],
        quantized_fits=needed[QUANTIZED] <= budget,
        why=tuple(why),
    )


def _together(specs: Sequence[ModelSpec], hardware: str) -> float:
    """Needed memory of all instances, each with one slot of 4096 tokens and all layers on the GPU [GB]."""
    found = estimate(list(specs), hardware, context_tokens=SHORT_CONTEXT_TOKENS, slots=1, gpu_layers="all")
    return found.pools[0].needed.value / GB


def _most(spec: ModelSpec, hardware: str, budget_gb: float) -> tuple[int, str]:
    """How many instances fit at once, and a remark where it is none."""
    wish = Wish(context_tokens=SHORT_CONTEXT_TOKENS, slots=1)
    try:
        mixes = fit([spec], hardware, wish, Demand(goal="count", top=1), budget_bytes=budget_gb * GB)
    except DoesNotFitError:
        return 0, f", for one needs {_together([spec], hardware):.1f} GB"
    row = mixes.mixes[0]
    return next(iter(row.counts.values())), f" ({row.remains_bytes[0] / GB:.1f} GB left)"
