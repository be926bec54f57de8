"""Tables of an estimate: what each instance takes of each memory, what is left, and what would help."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from rich import box
from rich.table import Table

from mmpredict.results.estimate import Advice, Estimate, InstanceEstimate, Parts, PoolEstimate, Remedy, Span
from mmpredict.units import GIB, MIB, format_bytes

NOTHING = "–"
SHARED = "shared"
PARTS = ("mapped", "weights", "KV cache", "compute", "output", "process")


@dataclass(frozen=True, slots=True)
class PartsRow:
    """A row of the table of parts: instances that are alike, in one memory.

    Attributes:
        label: model, and how many of it.
        memory: which memory.
        cells: one per part, as printed.
        added_bytes: what each adds to this memory [bytes].
    """

    label: str
    memory: str
    cells: tuple[str, ...]
    added_bytes: float


def parts_rows(estimate: Estimate) -> list[PartsRow]:
    """The rows of the table of parts, instances that are alike in one."""
    rows = []
    host, device = _memory_names(estimate)
    seen: set[str] = set()
    for one, count in _alike(estimate.instances):
        label = one.model if count == 1 else f"{one.model}, each of {count} more" if one.file in seen else f"{one.model} × {count}"
        label = f"{one.model} again" if count == 1 and one.file in seen else label
        shared = one.file in seen
        if one.device_added.value:
            rows.append(PartsRow(label, device, _cells(one.device, one.device_added.value, 0.0, shared), one.device_added.value))
            label = ""
        rows.append(PartsRow(label, host, _cells(one.host, one.host_added.value, one.idle_bytes, shared), one.host_added.value))
        seen.add(one.file)
    return rows


def parts_table(estimate: Estimate) -> Table:
    """What each instance takes, part by part."""
    rows = parts_rows(estimate)
    one_memory = len({row.memory for row in rows}) == 1
    table = _table(["model", *([] if one_memory else ["of"]), *PARTS, "total"], left=1 if one_memory else 2)
    for row in rows:
        table.add_row(row.label, *([] if one_memory else [row.memory]), *row.cells, format_bytes(row.added_bytes))
    return table


def pools_table(pools: Sequence[PoolEstimate]) -> Table:
    """What is needed of each memory, and what is left."""
    table = _table(["memory", "needed", "bounds", "usable", "bounds", "remains", "verdict"], left=1)
    for pool in pools:
        table.add_row(
            pool.name,
            format_bytes(pool.needed.value),
            _bounds(pool.needed),
            format_bytes(pool.usable.value),
            _bounds(pool.usable),
            format_bytes(pool.remains_bytes),
            _verdict(pool),
        )
    return table


def remedies_table(remedies: Sequence[Remedy]) -> Table:
    """Changes, and what each by itself would lead to."""
    table = _table(["what would help", "needed", "usable", "fits"], left=1)
    for remedy in remedies:
        fits = "yes" if remedy.fits else "no"
        table.add_row(remedy.change, format_bytes(remedy.needed.value), format_bytes(remedy.usable_bytes), fits)
    return table


def quants_table(rows: Sequence[tuple[str, Estimate]]) -> Table:
    """A model in several file types: a row per file type.

    Args:
        rows: (file type, estimate), in the order in which they are to appear.
    """
    with_gpu = any(estimate.instances[0].fitting_gpu_layers is not None for _, estimate in rows)
    layers = ["GPU layers"] if with_gpu else []
    table = _table(["file type", "file", "bits/weight", "context", *layers, "needed", "usable", "remains", "fits"], left=1)
    for name, estimate in rows:
        one, pool = estimate.instances[0], min(estimate.pools, key=lambda pool: pool.remains_bytes)
        table.add_row(
            name,
            format_bytes(one.file_bytes),
            f"{8 * one.file_bytes / one.parameters:.2f}",
            str(one.context_tokens),
            *([f"{one.gpu_layers} of {one.most_gpu_layers}"] if with_gpu else []),
            format_bytes(pool.needed.value),
            format_bytes(pool.usable.value),
            format_bytes(pool.remains_bytes),
            "yes" if estimate.fits else "no",
        )
    return table


def summary_lines(estimate: Estimate) -> list[str]:
    """What the tables do not say: options, layers, the server's rule, physics."""
    lines: list[str] = []
    for one, _ in _alike(estimate.instances):
        block = []
        context = f"1 slot of {one.slot_tokens} tokens"
        if one.slots > 1:
            cells = f"share {one.context_tokens}" if one.unified else f"of {one.slot_tokens}"
            context = f"{one.slots} slots {cells} tokens"
        kinds = one.key_type if one.key_type == one.value_type else f"{one.key_type} keys, {one.value_type} values"
        block.append(f"{one.model}: {context}, cache in {kinds}, physical batch {one.ubatch_tokens}")
        if one.fitting_gpu_layers is not None:
            kept = f"; {format_bytes(one.kept_bytes)} of expert weights with the CPU" if one.kept_bytes else ""
            block.append(
                f"  GPU layers: {one.gpu_layers} of {one.most_gpu_layers} (the output counts as one); "
                f"the memory holds {one.fitting_gpu_layers} with nothing to spare{kept}"
            )
        if one.idle_bytes:
            idle = format_bytes(one.idle_bytes)
            block.append(f"  besides, {idle} of the file stay in memory as long as there is room: they were read to be copied")
        block.append(f"  {estimate.engine}: {one.server}")
        lines += [] if block == lines[-len(block) :] else block
    lines += [f"rule: {sentence}" for sentence in estimate.rules]
    lines += [f"but: {sentence}" for sentence in estimate.physics]
    return lines


def advice_line(estimate: Estimate, advice: Advice) -> str:
    """How large the context may be."""
    unit = "tokens per slot" if estimate.engine == "ollama" else "tokens"
    if advice.largest_context_tokens is None:
        return "largest context that fits: none"
    whole = ", all that the model was trained on" if advice.whole_context else ""
    return f"largest context that fits: {advice.largest_context_tokens} {unit}{whole}"


def _verdict(pool: PoolEstimate) -> str:
    if pool.verdict != "fits only if":
        return pool.verdict
    return "likely fits" if pool.fits else "likely not"


def _alike(instances: Sequence[InstanceEstimate]) -> Iterator[tuple[InstanceEstimate, int]]:
    """Runs of instances that say the same."""
    for _, group in groupby(instances, key=lambda one: (one.file, one.host_added, one.device_added, one.server, one.loaded)):
        run = list(group)
        yield run[0], len(run)


def _cells(parts: Parts, added_bytes: float, idle_bytes: float, shared: bool) -> tuple[str, ...]:
    mapped = parts.mapped - idle_bytes
    rest = parts.weights + parts.kv_cache + parts.compute + parts.output
    process = added_bytes - rest - (0.0 if shared else mapped)
    sizes = (parts.weights, parts.kv_cache, parts.compute, parts.output, process)
    first = SHARED if shared and mapped else _size(mapped)
    return first, *(_size(size) for size in sizes)


def _size(size_bytes: float) -> str:
    return format_bytes(size_bytes) if size_bytes >= 1 else NOTHING


def _bounds(span: Span) -> str:
    if span.high - span.low < 1:
        return NOTHING
    unit, name = (GIB, "GiB") if span.high >= GIB else (MIB, "MiB")
    digits = 2 if span.high < 10 * unit and unit == GIB else 1 if unit == GIB else 0
    return f"{span.low / unit:.{digits}f} – {span.high / unit:.{digits}f} {name}"


def _memory_names(estimate: Estimate) -> tuple[str, str]:
    """Names of the host's and of the device's memory."""
    unified = any(pool.name == "unified memory" for pool in estimate.pools)
    return ("CPU", "GPU") if unified else ("RAM", "VRAM")


def _table(columns: Sequence[str], left: int) -> Table:
    table = Table(box=box.HORIZONTALS, pad_edge=False)
    for position, name in enumerate(columns):
        justify: Literal["left", "right"] = "left" if position < left else "right"
        table.add_column(name, justify=justify, overflow="fold")
    return table
