"""What ``ollama run MODEL --verbose`` prints after an answer; lines whose value is zero are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mmpredict.calibrate.importers.fields import text as short_text
from mmpredict.calibrate.importers.ollama_api import answer_rows
from mmpredict.calibrate.importers.row import Found, Rejected, RowError

_LINE = re.compile(r"(total duration|load duration|(?:prompt )?eval (?:count|duration|rate)):\s+(.{1,60}?)\s*")
_COMMAND = re.compile(r"\bollama run (?:--\S{1,40} )*([A-Za-z0-9][\w./:-]{0,199})")
_COUNT = re.compile(r"([0-9]{1,9}) token\(s\)")
_RATE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) tokens/s")
_DURATION = re.compile(r"(?:([0-9]{1,5})h)?(?:([0-9]{1,6})m(?!s))?(?:([0-9]{1,12}(?:\.[0-9]{1,9})?)(s|ms|µs|μs|us|ns))?")
_NANOSECONDS = {"s": 1e9, "ms": 1e6, "µs": 1e3, "μs": 1e3, "us": 1e3, "ns": 1.0}


def read_verbose(text: str, file: str) -> Iterator[Found]:
    """Rows of a session; the model is known when the command was pasted too."""
    model: str | None = None
    answer: dict[str, Any] = {}
    begun = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if command := _COMMAND.search(line):
            yield from _answered(answer, file, begun, model)
            model, answer = command[1], {}
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            continue
        name = found[1].replace(" ", "_")
        if name == "total_duration" or name in answer:
            yield from _answered(answer, file, begun, model)
            answer = {}
        begun = begun if answer else number
        try:
            answer[name] = _value(name, found[2])
        except RowError as error:
            yield Rejected(number, str(error))
    yield from _answered(answer, file, begun, model)


def duration_ns(text: str) -> float:
    """Go's way to write a duration, ``1m2.3s`` [ns].

    Raises:
        RowError: it is none.
    """
    found = _DURATION.fullmatch(text)
    if found is None or not any(found.groups()):
        raise RowError(f"{text[:40]!r} is no duration such as 1m2.3s or 45.6ms")
    hours, minutes, amount, unit = found.groups()
    return (int(hours or 0) * 60 + int(minutes or 0)) * 60e9 + (float(amount) * _NANOSECONDS[unit] if amount else 0.0)


def _value(name: str, printed: str) -> int | float:
    if name.endswith("duration"):
        return duration_ns(printed)
    pattern, example = (_COUNT, "26 token(s)") if name.endswith("count") else (_RATE, "113.00 tokens/s")
    found = pattern.fullmatch(printed)
    if found is None:
        raise RowError(f"{name.replace('_', ' ')} {printed[:40]!r} is not of the form {example}")
    return int(found[1]) if pattern is _COUNT else float(found[1])


def _answered(answer: dict[str, Any], file: str, line: int, model: str | None) -> Iterator[Found]:
    if answer:
        yield from answer_rows(answer, file, line, {"model": short_text({"model": model}, "model")})
