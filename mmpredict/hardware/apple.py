"""Apple's processors, as macOS tells of them."""

from __future__ import annotations

import json
import platform
from typing import Any

from mmpredict.hardware.cpu import CoreCount, CpuIdentity
from mmpredict.hardware.found_gpu import FoundGpu, Sighting
from mmpredict.hardware.tool import ask, plain

# sysctl name → the feature's name in ``cpu.FEATURES``.
_FEATURES = {
    "hw.optional.AdvSIMD": "asimd",
    "hw.optional.arm.FEAT_DotProd": "asimddp",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
    "hw.optional.arm.FEAT_BF16": "bf16",
    "hw.optional.arm.FEAT_SME": "sme",
}
_QUESTIONS = ("machdep.cpu.brand_string", "hw.physicalcpu", "hw.perflevel0.physicalcpu", "hw.perflevel1.physicalcpu", *_FEATURES)
MAX_CORES = 10_000


def mac_identity() -> CpuIdentity | None:
    """The CPU of this Mac; None if it does not tell."""
    return parse_identity(_sysctl())


def mac_cores() -> CoreCount | None:
    """Cores of this Mac, the performance cores first, as llama.cpp counts them; None if it does not tell."""
    return parse_cores(_sysctl())


def look_for_apple() -> Sighting:
    """The GPU of this Mac; nothing on other systems."""
    if platform.system() != "Darwin":
        return Sighting()
    answer = ask("system_profiler", "SPDisplaysDataType", "-json")
    return parse_displays(answer.text) if answer.text else Sighting(not_seen=(f"Apple GPU: {answer.trouble}.",))


def parse_identity(text: str) -> CpuIdentity | None:
    """Read the CPU's name and features from what ``sysctl`` prints, a ``name: value`` per line."""
    values = _values(text)
    features = tuple(name for question, name in _FEATURES.items() if values.get(question) == "1")
    model = plain(values.get("machdep.cpu.brand_string", ""))
    return CpuIdentity(model, features) if model else None


def parse_cores(text: str) -> CoreCount | None:
    """Read the cores from what ``sysctl`` prints: ``hw.perflevel0`` are the performance cores, ``hw.perflevel1`` the others."""
    values = _values(text)
    fast = _count(values.get("hw.perflevel0.physicalcpu")) or _count(values.get("hw.physicalcpu"))
    return CoreCount(fast, _count(values.get("hw.perflevel1.physicalcpu"))) if fast else None


def parse_displays(text: str) -> Sighting:
    """Read what ``system_profiler SPDisplaysDataType -json`` prints."""
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        return Sighting(not_seen=("Apple GPU: system_profiler printed no JSON.",))
    entries = document.get("SPDisplaysDataType") if isinstance(document, dict) else None
    gpus = [
        FoundGpu(
            model=plain(str(entry.get("sppci_model") or entry.get("_name"))),
            source="system_profiler",
            backends=("metal",),
            unified=True,
            cores=_count(entry.get("sppci_cores")),
        )
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and "apple" in str(entry.get("spdisplays_vendor") or entry.get("sppci_model") or "").lower()
    ]
    return Sighting(tuple(gpus[:1]), () if gpus else ("Apple GPU: system_profiler names none of Apple's.",))


def _sysctl() -> str:
    return ask("sysctl", "-i", *_QUESTIONS).text  # -i: a name that this Mac does not know is left out, not an error


def _values(text: str) -> dict[str, str]:
    return {name.strip(): value.strip() for name, colon, value in (line.partition(":") for line in text.splitlines()) if colon}


def _count(value: Any) -> int:
    text = str(value or "").strip()
    return int(text) if text.isdecimal() and len(text) < 6 and int(text) <= MAX_CORES else 0
