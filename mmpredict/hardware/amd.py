"""GPUs of AMD and others, as Linux shows them under ``/sys/class/drm``."""

from __future__ import annotations

import re
from pathlib import Path

from mmpredict.hardware.found_gpu import FoundGpu, Sighting
from mmpredict.hardware.sysfs import number, text
from mmpredict.hardware.tool import plain
from mmpredict.units import GIB

DRM = "sys/class/drm"
AMD, NVIDIA, INTEL = "0x1002", "0x10de", "0x8086"
# PCI device numbers that have one name only, from the PCI ID Repository (https://pci-ids.ucw.cz): sysfs gives numbers.
_NAMES = {
    "0x1586": "Radeon 8060S (Strix Halo)",
    "0x150e": "Radeon 890M (Strix Point)",
    "0x15bf": "Radeon 780M (Phoenix)",
    "0x744c": "Radeon RX 7900 XT/XTX (Navi 31)",
    "0x7551": "Radeon AI PRO R9700 (Navi 48)",
}
_INTEGRATED = frozenset({"0x1586", "0x150e", "0x15bf"})
SMALLEST_CARD_BYTES = 2 * GIB  # less is what firmware sets aside for an integrated GPU
MAX_BYTES = 1 << 50


def look_for_amd(root: Path = Path("/")) -> Sighting:
    """AMD GPUs that the kernel's driver shows, and a sentence for each GPU that nothing here describes.

    The driver offers ``mem_busy_percent`` for cards only, not for integrated GPUs (Linux, drivers/gpu/drm/amd/pm/amdgpu_pm.c).

    Args:
        root: of the file system.
    """
    if not (root / DRM).is_dir():
        return Sighting(not_seen=("GPUs in /sys/class/drm: the kernel shows no such directory.",))
    gpus: list[FoundGpu] = []
    not_seen: list[str] = []
    for card in cards(root):
        device = card / "device"
        vendor = text(device / "vendor")
        if vendor == AMD:
            gpu = _read_gpu(device)
            if gpu is None:
                not_seen.append(f"AMD GPU {card.name}: the driver does not tell its memory (mem_info_vram_total).")
            else:
                gpus.append(gpu)
        elif vendor == INTEL:
            not_seen.append(f"Intel GPU {card.name} ({plain(text(device / 'device'), 20)}): its memory and speed are not read.")
        elif vendor and vendor != NVIDIA:
            not_seen.append(f"Display device {card.name} of vendor {plain(vendor, 20)}: not described.")
    return Sighting(tuple(gpus), tuple(not_seen))


def cards(root: Path) -> list[Path]:
    """Directories of the GPUs that the kernel shows, whoever made them.

    Args:
        root: of the file system.
    """
    # card0-HDMI-A-1 is an outlet of card0.
    return [card for card in sorted((root / DRM).glob("card*")) if re.fullmatch(r"card\d+", card.name)]


def is_integrated(device: Path) -> bool:
    """Whether a GPU is part of a processor: by its number, or by little memory of its own that its driver does not watch.

    Args:
        device: its directory, ``/sys/class/drm/cardN/device``.
    """
    own, reach = _bytes(device / "mem_info_vram_total") or 0, _bytes(device / "mem_info_gtt_total") or 0
    looks_integrated = not (device / "mem_busy_percent").exists() and (own < SMALLEST_CARD_BYTES or reach > own)
    return text(device / "device").lower() in _INTEGRATED or looks_integrated


def _read_gpu(device: Path) -> FoundGpu | None:
    device_number = text(device / "device").lower()
    own, used = _bytes(device / "mem_info_vram_total"), _bytes(device / "mem_info_vram_used")
    reach, reach_used = _bytes(device / "mem_info_gtt_total"), _bytes(device / "mem_info_gtt_used")
    if own is None:
        return None
    integrated = is_integrated(device)
    name = plain(text(device / "product_name")) or _NAMES.get(device_number) or f"AMD GPU {plain(device_number, 20)}"
    notes = () if device_number in _NAMES else (f"{name}: taken for {'an integrated GPU' if integrated else 'a card'}.",)
    return FoundGpu(
        model=name,
        source="amdgpu driver (sysfs)",
        backends=("rocm", "vulkan"),
        unified=integrated,
        memory_bytes=own,
        free_bytes=max(0, own - (used or 0)),
        reach_bytes=max(0, reach - (reach_used or 0)) if integrated and reach is not None else None,
        notes=notes,
    )


def _bytes(path: Path) -> int | None:
    size = number(path)
    return int(size) if 0 <= size <= MAX_BYTES else None
