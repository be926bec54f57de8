"""Printing of quantities: the only place where units are converted.

Inside the package everything is in seconds, bytes and tokens; ``ms``, ``GiB`` and ``t/s`` exist only where people look.
"""

from __future__ import annotations

KIB = 1024
MIB = 1024**2
GIB = 1024**3


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
