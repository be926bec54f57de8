"""Printing and reading of quantities: the only place where units are converted.

Inside the package everything is in seconds, bytes and tokens; ``ms``, ``GiB`` and ``t/s`` exist only where people look.
"""

from __future__ import annotations

import re

from mmpredict.errors import InputError

KIB = 1024
MIB = 1024**2
GIB = 1024**3
GB = 10**9
MAX_BYTES = 1024**6
MAX_TOKENS = 2**24  # of a context: more than any model was trained on
MAX_TEXT = 40

_DECIMAL_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SIZE_UNITS: dict[str, int] = {
    "": 1,
    "b": 1,
    **{f"{letter}b": factor for letter, factor in _DECIMAL_UNITS.items()},
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", 1)},
}
_TOKEN_UNITS = {"": 1, "k": 1024, "m": 1024**2}
_TIME_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3}
_DURATION_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(h|ms|m|s)")
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+")
_QUANTITY = re.compile(r"\s*([0-9]{1,20}(?:\.[0-9]{1,9})?)\s*([A-Za-z%]{0,3})\s*")


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


def parse_bytes(text: str, whole_bytes: float | None = None) -> int:
    """Read a size: ``5GB`` (10⁹), ``1.5GiB`` (2³⁰), ``800 MB``, ``1048576`` (bytes), or ``10%`` of a whole [bytes].

    Args:
        text: number and unit; case does not matter.
        whole_bytes: what a percentage is of; without it none is allowed [bytes].

    Raises:
        InputError: no size, a unit that could be either of two, or a size that no machine has.
    """
    digits, scale, unit = _number_and_unit(text, "size", "5GB (10^9), 1.5GiB (2^30), 800MB or 10%")
    shown = text.strip()
    if unit == "%":
        if whole_bytes is None:
            raise InputError(f"size {shown!r}: there is nothing to take a percentage of; write 5GB or 1.5GiB")
        return int(digits * whole_bytes / (100 * scale))
    if unit in _DECIMAL_UNITS:
        letter = unit.upper()
        raise InputError(f"size {shown!r} could be 10^n or 2^n bytes; write {letter}B for the first or {letter}iB for the second")
    if unit not in _SIZE_UNITS:
        raise InputError(f"size {shown!r} has an unknown unit; allowed: B, kB, MB, GB, TB, KiB, MiB, GiB, TiB, %")
    size = digits * _SIZE_UNITS[unit] // scale
    if size > MAX_BYTES:
        raise InputError(f"size {shown!r} is more than any machine has; at most {MAX_BYTES // 1024**5} PiB")
    return size


def parse_duration(text: str) -> float:
    """Read a duration as Go programs write it: ``5m``, ``1h30m``, ``500ms``, ``-1s`` [s].

    Raises:
        InputError: no duration.
    """
    shown = text.strip()
    sign, rest = (-1.0, shown[1:]) if shown.startswith("-") else (1.0, shown)
    if len(rest) > MAX_TEXT or _DURATION.fullmatch(rest) is None:
        raise InputError(f"{shown[:MAX_TEXT]!r} is no duration; write 5m, 1h30m, 90s or 500ms")
    return sign * sum(float(number) * _TIME_UNITS[unit] for number, unit in _DURATION_PART.findall(rest))


def parse_tokens(text: str) -> int:
    """Read a number of tokens: ``8192``, ``64k`` (65,536), ``1M`` (1,048,576) [tokens].

    Context lengths are multiples of 1024, so ``k`` is 1024 here.

    Raises:
        InputError: no number of tokens, none at all, not a whole one, or more than any server takes.
    """
    digits, scale, unit = _number_and_unit(text, "number of tokens", "8192, 64k (65,536) or 1M (1,048,576)")
    if unit not in _TOKEN_UNITS:
        raise InputError(f"number of tokens {text.strip()!r} has an unknown unit; allowed: k (1024) and M (1024 × 1024)")
    tokens, rest = divmod(digits * _TOKEN_UNITS[unit], scale)
    if rest:
        raise InputError(f"number of tokens {text.strip()!r} is not whole")
    if not 1 <= tokens <= MAX_TOKENS:
        raise InputError(f"number of tokens {text.strip()!r} must be between 1 and {MAX_TOKENS}")
    return tokens


def _number_and_unit(text: str, what: str, example: str) -> tuple[int, int, str]:
    """Digits without the point, the power of ten to divide them by, and the unit."""
    found = _QUANTITY.fullmatch(text) if len(text) <= MAX_TEXT else None
    if found is None:
        raise InputError(f"{text[:MAX_TEXT].strip()!r} is no {what}; write {example}")
    whole, _, part = found[1].partition(".")
    return int(whole + part), 10 ** len(part), found[2].lower()
