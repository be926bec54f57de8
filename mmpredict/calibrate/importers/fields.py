"""Fields of a row by their names, old and new: taken when they are well formed, refused otherwise, never guessed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from mmpredict.calibrate.importers.row import RowError
from mmpredict.errors import InputError
from mmpredict.models.quantization.file_types import file_type

Fields = Mapping[str, Any]

MAX_TOKENS = 2**26  # of a test: beyond every context length there is
MAX_COUNT = 2**20  # of threads, layers, sequences
MAX_SIZE_BYTES = 2**50
MAX_PARAMETERS = 10**15
MAX_RATE = 1e9
MAX_DURATION_S = 1e7
MAX_TEXT = 300
MAX_JOINED = 6_000  # of several texts that a reader put together: devices, doubts
SHOWN = 40

_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
_REAL = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,3})?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)?)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_SWITCH = {"0": False, "1": True, "false": False, "true": True, "off": False, "on": True, "disabled": False, "enabled": True}
_UNDECIDED = ("-1", "auto", "none", "")
_TYPE_WORDS = 6  # of the longest name of a file type, "IQ3_S mix - 3.66 bpw", and one more


def value(fields: Fields, *names: str) -> Any:
    """The first of several fields that is there and not null, or ``None``."""
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def whole(fields: Fields, *names: str, low: int = 0, high: int = MAX_TOKENS) -> int | None:
    """A whole number between two bounds; ``None`` where no such field is.

    Raises:
        RowError: something else stands there.
    """
    found = value(fields, *names)
    if found is None:
        return None
    text = str(found).strip() if isinstance(found, int | str) and not isinstance(found, bool) else ""
    if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
        raise RowError(f"{names[0]} is {_shown(found)}; it must be a whole number from {low} to {high}")
    return int(text)


def real(fields: Fields, *names: str, high: float = MAX_RATE, zero: bool = False) -> float | None:
    """A positive number, or one that may be zero; ``None`` where no such field is.

    Raises:
        RowError: something else stands there.
    """
    found = value(fields, *names)
    if found is None:
        return None
    number = math.nan
    if isinstance(found, int | float) and not isinstance(found, bool):
        number = float(found) if abs(found) <= high else math.inf
    elif isinstance(found, str) and _REAL.fullmatch(found.strip()):
        number = float(found)
    if not (0 <= number <= high) or (number == 0 and not zero):
        raise RowError(f"{names[0]} is {_shown(found)}; it must be a number {'from' if zero else 'above'} 0 to {high:g}")
    return number


def needed_whole(fields: Fields, *names: str, low: int = 0, high: int = MAX_TOKENS) -> int:
    """As ``whole``, of a field without which there is no row."""
    found = whole(fields, *names, low=low, high=high)
    if found is None:
        raise RowError(f"there is no {names[0]}")
    return found


def needed_real(fields: Fields, *names: str, high: float = MAX_RATE, zero: bool = False) -> float:
    """As ``real``, of a field without which there is no row."""
    found = real(fields, *names, high=high, zero=zero)
    if found is None:
        raise RowError(f"there is no {names[0]}")
    return found


def text(fields: Fields, *names: str, longest: int = MAX_TEXT) -> str | None:
    """A short text without control characters; an empty one is ``None``.

    Raises:
        RowError: no text, or one too long to be a name.
    """
    found = value(fields, *names)
    if found is None:
        return None
    if not isinstance(found, str) or len(found) > longest:
        raise RowError(f"{names[0]} is {_shown(found)}; it must be a text of at most {longest} characters")
    return _CONTROL.sub(" ", found).strip() or None


def switch(fields: Fields, *names: str) -> bool | None:
    """On or off, as any version writes it; ``None`` where the engine was left to decide.

    Raises:
        RowError: neither.
    """
    found = value(fields, *names)
    word = "" if found is None else str(found).strip().lower()[:SHOWN]
    if word in _UNDECIDED:
        return None
    if word not in _SWITCH:
        raise RowError(f"{names[0]} is {_shown(found)}; it must be 0, 1, on, off or auto")
    return _SWITCH[word]


def date(fields: Fields, *names: str) -> str | None:
    """A date, with or without the time.

    Raises:
        RowError: it is not in ISO 8601.
    """
    found = text(fields, *names)
    if found is not None and not _DATE.fullmatch(found):
        raise RowError(f"{names[0]} is {_shown(found)}; it must be a date such as 2026-03-01T12:00:00Z")
    return found


def file_name(fields: Fields, *names: str) -> str | None:
    """The last part of a path: directories tell about the person, not about the model."""
    found = value(fields, *names)
    if not isinstance(found, str):
        return None
    return text({names[0]: re.split(r"[/\\]", found[-MAX_TEXT:])[-1]}, names[0])


def type_of(name: str | None) -> str | None:
    """The file type at the end of a model's description: ``llama 8B Q4_K - Medium`` → ``Q4_K_M``."""
    words = (name or "").split()[-_TYPE_WORDS:]
    for first in range(len(words)):
        try:
            return file_type(" ".join(words[first:])).name
        except InputError:
            continue
    return None


def build_of(fields: Fields) -> str | None:
    """Commit and number, as llama-bench prints them below a table."""
    commit, number = text(fields, "build_commit"), whole(fields, "build_number", high=10**7)
    return f"{commit} ({number})" if commit and number is not None else commit


def _shown(found: Any) -> str:
    if isinstance(found, str):
        return repr(found[:SHOWN])
    if isinstance(found, int | float) and abs(found) < 1e300:  # the digits of longer ones are not worth their time
        return str(found)[:SHOWN]
    return "a number too large" if isinstance(found, int) else f"a {type(found).__name__}"
