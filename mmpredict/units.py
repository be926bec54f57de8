"""Parsing and printing of quantities: the only place where units are converted.

Inside the package everything is in seconds, bytes and tokens; ``ms``, ``GiB`` and ``t/s`` exist only where people look.
"""

from __future__ import annotations

import re

from mmpredict.errors import InputError

KIB = 1024
MIB = 1024**2
GIB = 1024**3

_SIZE_FACTORS = {
    "": 1,
    "b": 1,
    "k": KIB,
    "kib": KIB,
    "m": MIB,
    "mib": MIB,
    "g": GIB,
    "gib": GIB,
    "t": 1024**4,
    "tib": 1024**4,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
}
_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)\s*")


def parse_size(text: str | int) -> int:
    """Read a size such as ``1.5GiB``, ``64k`` or ``4096`` as bytes (or tokens).

    ``k``, ``M``, ``G`` and their ``iB`` forms are binary; ``kB``, ``MB``, ``GB`` are decimal.

    Raises:
        InputError: the text is not a number with a known unit.
    """
    if isinstance(text, int):
        value, unit = float(text), ""
    else:
        match = _QUANTITY.fullmatch(text)
        if match is None:
            raise InputError(f"size {text!r} is not a number with a unit; write for example 1.5GiB, 64k or 4096")
        value, unit = float(match[1]), match[2].lower()
    if unit not in _SIZE_FACTORS:
        raise InputError(f"size {text!r} has the unknown unit {unit!r}; allowed: k, M, G, KiB, MiB, GiB, kB, MB, GB")
    return int(value * _SIZE_FACTORS[unit])


def format_bytes(size_bytes: float) -> str:
    """Print bytes with a binary unit: ``1.47 GiB``."""
    for factor, unit in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if abs(size_bytes) >= factor:
            return f"{size_bytes / factor:.2f} {unit}" if factor == GIB else f"{size_bytes / factor:.0f} {unit}"
    return f"{size_bytes:.0f} B"


def format_seconds(duration_s: float) -> str:
    """Print a duration in the unit in which a person would say it: ``412 ms``, ``8.41 s``, ``3 min 20 s``."""
    if abs(duration_s) < 0.9995:
        return f"{duration_s * 1e3:.0f} ms"
    if abs(duration_s) < 99.5:
        return f"{duration_s:.2f} s"
    minutes, seconds = divmod(round(duration_s), 60)
    return f"{minutes} min {seconds:02d} s"


def format_percent(fraction: float, signed: bool = False) -> str:
    """Print a fraction as a percentage: ``12.3 %``."""
    return f"{fraction * 100:+.1f} %" if signed else f"{fraction * 100:.1f} %"
