"""Values of a line's fields, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mmpredict.workload.request import MAX_TOKENS
from mmpredict.workload.traces.lines import LineError

MAX_TEXT = 512
_MISSING = object()


def whole(fields: Mapping[str, Any], name: str, high: int = MAX_TOKENS, low: int = 0) -> int:
    """A whole number; the text of one, and a real one without a fraction, will do.

    Raises:
        LineError: it is missing, no whole number, or out of range.
    """
    value = _found(fields, name)
    number = -1
    if isinstance(value, str):
        digits = value.strip().removesuffix(".0")
        number = int(digits) if len(digits) <= 20 and digits.isascii() and digits.isdigit() else low - 1
    elif isinstance(value, bool) or not isinstance(value, (int, float)) or value != value or math.isinf(value):
        number = low - 1
    else:
        number = int(value) if value == int(value) else low - 1
    if not low <= number <= high:
        raise LineError(f"{name} is {_shown(value)}; it must be a whole number between {low} and {high}")
    return number


def real(fields: Mapping[str, Any], name: str, high: float = 1e15) -> float:
    """A number from 0; the text of one will do.

    Raises:
        LineError: it is missing, no number, or out of range.
    """
    value = _found(fields, name)
    number = -1.0
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            number = float(value[:40] if isinstance(value, str) else value)
        except (ValueError, OverflowError):
            number = -1.0
    if not 0.0 <= number <= high:
        raise LineError(f"{name} is {_shown(value)}; it must be a number between 0 and {high:g}")
    return number


def text(fields: Mapping[str, Any], name: str) -> str:
    """A text that is not empty.

    Raises:
        LineError: it is missing, empty, too long, or no text.
    """
    value = _found(fields, name)
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_TEXT or not value.isprintable():
        raise LineError(f"{name} is {_shown(value)}; it must be a text of 1 to {MAX_TEXT} printable characters")
    return value


def moment_s(fields: Mapping[str, Any], name: str) -> float:
    """A date with time, as seconds since 1970; without a time zone it is taken for UTC [s].

    Raises:
        LineError: it is missing or no date.
    """
    value = _found(fields, name)
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) and len(value) <= 40 else "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise LineError(f"{name} is {_shown(value)}; it must be a date with time, as 2023-11-16 18:15:46.68") from error


def _found(fields: Mapping[str, Any], name: str) -> Any:
    value = fields.get(name, _MISSING)
    if value is _MISSING:
        raise LineError(f"{name} is missing")
    return value


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}…"
