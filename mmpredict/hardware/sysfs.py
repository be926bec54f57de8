"""Files in which the kernel tells one thing each."""

from __future__ import annotations

import math
from pathlib import Path

MAX_DIGITS = 20
MICRO, MILLI = 1e-6, 1e-3
"""What the kernel's numbers are to be multiplied by, where it counts in millionths or thousandths [1]."""


def text(path: Path) -> str:
    """What the file says, without white space around it; empty where it cannot be read."""
    try:
        return path.read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""


def number(path: Path, scale: float = 1.0) -> float:
    """The whole number that the file says, times ``scale``; ``nan`` where there is none."""
    said = text(path)
    return int(said) * scale if len(said) <= MAX_DIGITS and said.removeprefix("-").isdecimal() else math.nan
