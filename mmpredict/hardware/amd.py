"""GPUs of AMD and others, as Linux shows them under ``/sys/class/drm``."""

from __future__ import annotations

import re
from pathlib import Path

from mmpredict.hardware.found_gpu import FoundGpu, Sighting
from mmpredict.hardware.tool import plain
from mmpredict.units import GIB

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
    drm = root / "sys/class/drm"
    if not drm.is_dir():
        return Sighting(not_seen=("GPUs in /sys/class/drm: the kernel shows no such directory.",))
    gpus: list[FoundGpu] = []
    not_seen: list[str] = []
    for card in sorted(drm.glob("card*")):
        if not re.fullmatch(r"card\d+", card.name):  # card0-HDMI-A-1 is an outlet of card0
            continue
        device = card / "device"
        vendor = _read(device / "vendor")
        if vendor == AMD:
            gpu = _read_gpu(device)
            if gpu is None:
                not_seen.append(f"AMD GPU {card.name}: the driver does not tell its memory (mem_info_vram_total).")
            else:
                gpus.append(gpu)
        elif vendor == INTEL:
            not_seen.append(f"Intel GPU {card.name} ({plain(_read(device / 'device'), 20)}): its memory and speed are not read.")
        elif vendor and vendor != NVIDIA:
            not_seen.append(f"Display device {card.name} of vendor {plain(vendor, 20)}: not described.")
    return Sighting(tuple(gpus), tuple(not_seen))


def _read_gpu(device: Path) -> FoundGpu | None:
    number = _read(device / "device").lower()
    own, used = _bytes(device / "mem_info_vram_total"), _bytes(device / "mem_info_vram_used")
    reach, reach_used = _bytes(device / "mem_info_gtt_total"), _bytes(device / "mem_info_gtt_used")
    if own is None:
        return None
    looks_integrated = not (device / "mem_busy_percent").exists() and (own < SMALLEST_CARD_BYTES or (reach or 0) > own)
    integrated = number in _INTEGRATED or looks_integrated
    name = plain(_read(device / "product_name")) or _NAMES.get(number) or f"AMD GPU {plain(number, 20)}"
    notes = () if number in _NAMES else (f"{name}: taken for {'an integrated GPU' if integrated else 'a card'}.",)
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
    text = _read(path)
    return int(text) if text.isdecimal() and len(text) < 20 and int(text) <= MAX_BYTES else None


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""
