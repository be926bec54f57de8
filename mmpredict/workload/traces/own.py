"""Our own form of a workload: one JSON object per line, in order of arrival, with the fields of ``Request``.

``id``, ``model``, ``prompt_tokens`` and ``output_tokens`` must be there; what is left out has its default.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mmpredict.errors import FileFormatError, InputError, StorageError
from mmpredict.workload.request import MAX_AFTER, Request
from mmpredict.workload.traces.lines import LineError, json_object, lines

MAX_NAME = 512
_MAX_NUMBER = 10**15  # a larger one is nothing to calculate or to print with
_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(Request)}
_NEEDED = tuple(name for name, default in _DEFAULTS.items() if default is MISSING)
_TEXTS = ("id", "model", "session")
_COUNTS = ("prompt_tokens", "output_tokens", "shared_tokens", "priority")
_TIMES = ("arrival_s", "delay_s", "deadline_s")


def read_requests(path: Path) -> Iterator[Request]:
    """Requests, one at a time; that ids are unique and those waited for exist is for ``Workload`` to see.

    Raises:
        InputError: the file cannot be read.
        FileFormatError: a line is malformed, or out of order; the message names it.
    """
    last_s = 0.0
    for number, line in lines(path):
        try:
            request = _request(json_object(line))
            if request.arrival_s < last_s:
                raise LineError(f"arrival_s is {request.arrival_s}, before the {last_s} of the line before it; sort the file by it")
        except (LineError, InputError) as error:
            raise FileFormatError(f"{path}, line {number}: {error}") from error
        last_s = request.arrival_s
        yield request


def write_requests(requests: Iterable[Request], path: Path) -> int:
    """Write requests as they come, compressed if the name ends in ``.gz``; returns how many there were.

    The file appears when it is complete; the same requests give the same bytes.

    Raises:
        StorageError: the file cannot be written; nothing is left behind.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    count = 0
    try:
        try:
            with partial.open("wb") as raw:
                if path.suffix == ".gz":
                    with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
                        for request in requests:
                            packed.write(_line(request))
                            count += 1
                else:
                    for request in requests:
                        raw.write(_line(request))
                        count += 1
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}; choose a directory that exists and is writable") from error
    return count


def to_fields(request: Request) -> dict[str, Any]:
    """A request as plain data for JSON, without what has its default."""
    found = {name: getattr(request, name) for name, default in _DEFAULTS.items() if getattr(request, name) != default}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def _line(request: Request) -> bytes:
    return (json.dumps(to_fields(request), ensure_ascii=False) + "\n").encode()


def _request(found: dict[str, Any]) -> Request:
    for name in found:
        if name not in _DEFAULTS:
            near = get_close_matches(name[:MAX_NAME], _DEFAULTS, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(_DEFAULTS)}"
            raise LineError(f"unknown key {name[:60]!r}; {advice}")
    for name in _NEEDED:
        if name not in found:
            raise LineError(f"{name} is missing")
    for name, value in found.items():
        if name in _TEXTS:
            good, kind = _is_name(value, empty=name == "session"), f"a text of at most {MAX_NAME} printable characters"
        elif name in _COUNTS:
            good, kind = type(value) is int and abs(value) < _MAX_NUMBER, "a whole number"
        elif name in _TIMES:
            good, kind = _is_time(value) or (name == "deadline_s" and value is None), "a number of seconds"
        else:
            good, kind = isinstance(value, list) and len(value) <= MAX_AFTER and all(map(_is_name, value)), "a list of ids"
        if not good:
            raise LineError(f"{name} is {repr(value)[:60]}; it must be {kind}")
    times_s = {name: float(found[name]) for name in _TIMES if found.get(name) is not None}
    return Request(**{**found, **times_s, "after": tuple(found.get("after", ()))})


def _is_time(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _MAX_NUMBER


def _is_name(value: object, empty: bool = False) -> bool:
    return isinstance(value, str) and len(value) <= MAX_NAME and value.isprintable() and (empty or bool(value))
