"""JSON objects of a text, each with its line: an array, one per line, or printed over several lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from mmpredict.calibrate.importers.row import Rejected

_BETWEEN = re.compile(r"(?:[\s,\[\]\ufeff]|data: *(?=\{)|data: \[DONE\])*")  # "data:" begins a line of a server's event stream
_NEXT_OBJECT = re.compile(r"\n[ \t]*(?:data: *)?(?=\{)")


def objects(text: str) -> Iterator[tuple[int, dict[str, Any]] | Rejected]:
    """Every object in order; after one that cannot be read, the next line that begins with a brace."""
    decoder = json.JSONDecoder(parse_constant=_no_number)
    position, line, counted = 0, 1, 0
    while True:
        position = _end(_BETWEEN, text, position)
        if position >= len(text):
            return
        line, counted = line + text.count("\n", counted, position), position
        try:
            if text[position] != "{":
                raise ValueError("it does not begin with a brace")
            found, position = decoder.raw_decode(text, position)
            yield line, found
        except (ValueError, RecursionError) as error:
            yield Rejected(line, f"no JSON object: {_reason(error)}")
            following = _NEXT_OBJECT.search(text, position)
            position = following.end() if following else len(text)


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)[:80]


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
