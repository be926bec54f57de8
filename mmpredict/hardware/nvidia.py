"""NVIDIA GPUs, as ``nvidia-smi`` tells of them."""

from __future__ import annotations

import csv
import math

from mmpredict.hardware.found_gpu import FoundGpu, Sighting
from mmpredict.hardware.tool import ask, plain
from mmpredict.units import MIB

FIELDS = (
    *("name", "memory.total", "memory.free", "driver_version"),
    *("compute_cap", "pcie.link.gen.max", "pcie.link.width.max", "power.limit"),
)
BASIC_FIELDS = FIELDS[:4]  # of drivers that do not know the others, and refuse the whole question for them
MAX_MEMORY_MIB = 16 * 1024**2
MAX_GPUS = 64


def look_for_nvidia() -> Sighting:
    """The NVIDIA GPUs of this machine."""
    answer = ask("nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits")
    if answer.trouble.endswith("is not installed"):
        return Sighting(not_seen=("NVIDIA GPUs: nvidia-smi is not installed.",))
    if answer.trouble.startswith("nvidia-smi failed"):  # who did not answer in time is not asked twice
        answer = ask("nvidia-smi", f"--query-gpu={','.join(BASIC_FIELDS)}", "--format=csv,noheader,nounits")
    if not answer.text:
        return Sighting(not_seen=(f"NVIDIA GPUs: {answer.trouble or 'nvidia-smi printed nothing'}.",))
    return parse_nvidia(answer.text)


def parse_nvidia(text: str) -> Sighting:
    """Read what ``nvidia-smi --query-gpu … --format=csv,noheader,nounits`` prints for ``FIELDS`` or ``BASIC_FIELDS``.

    A card without memory of its own prints ``[N/A]`` for it (Jetson, Grace Blackwell) and shares the system's.
    """
    gpus: list[FoundGpu] = []
    not_seen: list[str] = []
    for line in text.splitlines()[:MAX_GPUS]:
        if not line.strip():
            continue
        cells = [cell.strip() for cell in next(csv.reader([line], skipinitialspace=True), [])]
        if len(cells) not in (len(FIELDS), len(BASIC_FIELDS)) or not cells[0] or _absent(cells[0]):
            not_seen.append(f"NVIDIA GPUs: a line of nvidia-smi was not understood ({plain(line, 60)!r}).")
            continue
        row = dict(zip(FIELDS, [*cells, *[""] * len(FIELDS)], strict=False))
        total = _mebibytes(row["memory.total"])
        if total is None and not _absent(row["memory.total"]):
            not_seen.append(f"Memory of {plain(row['name'])}: nvidia-smi said {plain(row['memory.total'], 40)!r}.")
            continue
        gpus.append(_gpu(row, total))
    return Sighting(tuple(gpus), tuple(not_seen))


def _gpu(row: dict[str, str], total: int | None) -> FoundGpu:
    free = _mebibytes(row["memory.free"])
    generation, lanes = (int(row[name]) if row[name].isdecimal() else 0 for name in ("pcie.link.gen.max", "pcie.link.width.max"))
    capability = row["compute_cap"].replace(".", "")
    driver = f"driver {plain(row['driver_version'], 30)}"
    return FoundGpu(
        model=plain(row["name"]),
        source=f"nvidia-smi, {driver}",
        backends=("cuda", "vulkan"),
        unified=total is None,
        memory_bytes=total,
        free_bytes=None if total is None or free is None else min(free, total),
        architecture=f"sm_{capability}" if capability.isdecimal() else "",
        peak_w=_number(row["power.limit"]),
        pcie=(generation, lanes) if generation and lanes else None,
    )


def _absent(cell: str) -> bool:
    return cell.strip("[]").lower() in ("n/a", "not supported", "not found", "insufficient permissions", "unknown error", "")


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def _mebibytes(cell: str) -> int | None:
    value = _number(cell.removesuffix(" MiB"))
    return None if value is None or value > MAX_MEMORY_MIB else int(value * MIB)
