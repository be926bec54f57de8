"""One key of a scenario, by its path, and other values of it: ``load[0].rate_per_s=0.1:2:10``."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from mmpredict.errors import InputError
from mmpredict.scenario.document import Scenario

USERS = "users"
"""Stands for the ``users`` of every closed load."""
MAX_VALUES = 1000
_PART = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)((?:\[[0-9]{1,6}\])*)")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,3})?")

Value = float | int | str


def parse_sweep(text: str) -> tuple[str, list[Value]]:
    """Read ``KEY=FIRST:LAST:COUNT``, the same with ``:log`` for equal ratios, or ``KEY=a,b,c``.

    Raises:
        InputError: another form, or values out of range.
    """
    key, equals, told = text.partition("=")
    if not equals or not key.strip() or not told.strip():
        raise InputError(f"key {text[:80]!r}: write KEY=FIRST:LAST:COUNT, KEY=FIRST:LAST:COUNT:log or KEY=a,b,c, as users=1:16:8")
    parts = told.split(":")
    if len(parts) in (3, 4) and all(map(_NUMBER.fullmatch, parts[:3])) and (len(parts) == 3 or parts[3] == "log"):
        return key.strip(), list(_spaced(key, float(parts[0]), float(parts[1]), float(parts[2]), len(parts) == 4))
    values = [part.strip() for part in told.split(",")]
    if not all(values) or len(values) > MAX_VALUES:
        raise InputError(f"key {key.strip()!r}: write 1 to {MAX_VALUES} values with commas between them")
    return key.strip(), [float(value) if _NUMBER.fullmatch(value) else value for value in values]


def with_value(scenario: Scenario, key: str, value: Value) -> Scenario:
    """The scenario with another value of a key.

    A number that is no whole one is rounded where the scenario has a whole number.

    Raises:
        InputError: there is no such key, or the value cannot be used; the message names it.
    """
    data = scenario.model_dump()
    paths = [f"load[{number}].{USERS}" for number, load in enumerate(data["load"]) if USERS in load] if key == USERS else [key]
    if not paths:
        raise InputError("users can be swept where a [[load]] of kind closed has some; this scenario has none")
    for path in paths:
        _set(data, _parts(path), value, path)
    data["base"] = scenario.base
    try:
        return Scenario.model_validate(
            {name: one for name, one in data.items() if name in scenario.model_fields_set or name in _top(paths)}
        )
    except ValidationError as error:
        raise InputError(f"{key} = {value}: {error.errors()[0]['msg']}") from error


def _spaced(key: str, first: float, last: float, count: float, log: bool) -> Sequence[float]:
    if not 2 <= count <= MAX_VALUES or count != int(count) or not math.isfinite(first + last) or (log and min(first, last) <= 0):
        raise InputError(f"key {key.strip()!r}: a range needs 2 to {MAX_VALUES} values, and with log a begin and an end above 0")
    steps = int(count) - 1
    if log:
        return [first * (last / first) ** (number / steps) for number in range(steps)] + [last]
    return [first + (last - first) * number / steps for number in range(steps)] + [last]


def _top(paths: Sequence[str]) -> set[str]:
    return {"base", *(str(_parts(path)[0]) for path in paths)}


def _parts(path: str) -> list[str | int]:
    found: list[str | int] = []
    for part in path.split("."):
        match = _PART.fullmatch(part)
        if match is None:
            raise InputError(f"key {path[:80]!r} is no path into a scenario; write for example load[0].rate_per_s or server.slots")
        found.append(match[1])
        found += [int(number) for number in re.findall(r"[0-9]+", match[2])]
    return found


def _set(data: Any, parts: Sequence[str | int], value: Value, path: str) -> None:
    place = data
    for depth, part in enumerate(parts):
        _require(place, part, path, parts[:depth])
        if depth < len(parts) - 1:
            if isinstance(place[part], tuple):
                place[part] = list(place[part])
            place = place[part]
    old = place[parts[-1]]
    whole = isinstance(old, int) and not isinstance(old, bool)
    place[parts[-1]] = round(value) if whole and isinstance(value, (int, float)) else value


def _require(place: Any, part: str | int, path: str, before: Sequence[str | int]) -> None:
    where = ".".join(map(str, before)) or "the scenario"
    if isinstance(part, int):
        if not isinstance(place, list) or part >= len(place):
            count = len(place) if isinstance(place, list) else 0
            raise InputError(f"key {path!r}: {where} has {count} entries; they are counted from 0")
    elif not isinstance(place, dict) or part not in place:
        known = ", ".join(sorted(map(str, place))) if isinstance(place, dict) else "none"
        raise InputError(f"key {path!r}: {where} has no {part!r}; it has: {known[:300]}")
