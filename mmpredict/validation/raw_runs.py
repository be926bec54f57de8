"""The raw file of a long check: what is to be run, then each run as soon as it exists; it can be gone on with and read again.

JSON lines: one of kind ``header``, one ``case`` per case, one ``run`` per run. A last line that was cut off is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mmpredict.cost.coefficients import Coefficients, Pace
from mmpredict.cost.drift import at_time
from mmpredict.cost.pace import with_pace
from mmpredict.errors import FileFormatError, InputError, StorageError
from mmpredict.results.records import Records
from mmpredict.results.saved_rows import Field, read_records
from mmpredict.saving import make_directory
from mmpredict.validation.cases import case_from_dict, case_to_dict
from mmpredict.validation.serving import ServingCase

SCHEMA_VERSION = 1
MAX_FILE_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Header:
    """Where and how the runs were made.

    Attributes:
        machine, engine: names, as calibrations have them.
        memory_bytes: what servers might use together [bytes].
        seed: of the scenarios and of the order.
        repeats: rounds [1].
        pace: of the machine just before, where it was measured.
        began_at_s: when (Unix time) [s]; not in files before 2026-11-28.
    """

    machine: str
    engine: str
    memory_bytes: float
    seed: int
    repeats: int
    pace: Pace | None = None
    began_at_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        return plain | {"pace": self.pace.model_dump(mode="json") if self.pace else None}

    def known(self, coefficients: Coefficients) -> Coefficients:
        """A calibration of the machine, at the pace and the time of the runs."""
        paced = with_pace(coefficients, self.pace)
        return paced if self.began_at_s is None else at_time(paced, self.began_at_s)


@dataclass(frozen=True, slots=True)
class RawRuns:
    """A raw file's content.

    Attributes:
        header: where and how.
        cases: what is run.
        runs: (number of the case, round) → records.
        whole_bytes: length of the lines that are whole [bytes].
    """

    header: Header
    cases: tuple[ServingCase, ...]
    runs: dict[tuple[int, int], Records] = field(default_factory=dict)
    whole_bytes: int = 0

    def of(self, number: int) -> list[Records]:
        """Runs of a case, in order."""
        return [records for (case, _), records in sorted(self.runs.items(), key=lambda item: item[0]) if case == number]


def begin(path: Path, header: Header, cases: Sequence[ServingCase]) -> RawRuns:
    """Write a new file: what is to be run.

    Raises:
        StorageError: there is a file already, or it cannot be written.
    """
    lines = [{"kind": "header", "schema_version": SCHEMA_VERSION, **header.to_dict()}]
    lines += [{"kind": "case", "number": number, **case_to_dict(case)} for number, case in enumerate(cases)]
    text = "".join(_line(line) for line in lines)
    make_directory(path.parent)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error
    return RawRuns(header, tuple(cases), {}, len(text.encode()))


def append(path: Path, number: int, turn: int, records: Records) -> None:
    """Add a run.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(_line({"kind": "run", "number": number, "turn": turn, "records": records.to_dict()}))
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


def cut_off(path: Path, raw: RawRuns) -> None:
    """Take away a last line that is not whole, so that runs can be added.

    Raises:
        StorageError: the file cannot be written.
    """
    try:
        with path.open("r+b") as file:
            file.truncate(raw.whole_bytes)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


def read_raw(path: Path) -> RawRuns:
    """Read a file.

    Raises:
        InputError: it cannot be read.
        FileFormatError: it is no raw file of this check; the message names the line.
    """
    header: Header | None = None
    cases: list[ServingCase] = []
    runs: dict[tuple[int, int], Records] = {}
    whole_bytes = 0
    for place, data, size_bytes in _lines(path):
        try:
            match data["kind"]:
                case "header":
                    header = _header(data)
                case "case":
                    cases.append(case_from_dict(data))
                case "run":
                    found = Field(data["records"], f"{path}, line {place}", "records")
                    runs[int(data["number"]), int(data["turn"])] = read_records(found)
                case kind:
                    raise ValueError(f"unknown kind {kind!r}")
        except (KeyError, TypeError, ValueError, InputError) as error:
            if isinstance(error, FileFormatError):
                raise
            raise FileFormatError(f"{path}, line {place}: {_reason(error)}") from error
        whole_bytes += size_bytes
    if header is None:
        raise FileFormatError(f"{path} is no raw file of mmpredict validate scenarios: it has no header")
    if lost := sorted({number for number, _ in runs if not 0 <= number < len(cases)}):
        raise FileFormatError(f"{path}: runs of cases {lost} that it does not hold")
    return RawRuns(header, tuple(cases), runs, whole_bytes)


def free_path(directory: Path, stem: str) -> Path:
    """``stem.jsonl`` in a directory, or with a number behind it where there is one already: runs are never replaced."""
    path, number = directory / f"{stem}.jsonl", 1
    while path.exists():
        number += 1
        path = directory / f"{stem}-{number}.jsonl"
    return path


def _header(data: dict[str, Any]) -> Header:
    if data["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema_version is {data['schema_version']!r}; this version of mmpredict reads {SCHEMA_VERSION}")
    memory_bytes, seed, repeats = float(data["memory_bytes"]), int(data["seed"]), int(data["repeats"])
    pace = Pace.model_validate(data["pace"]) if data.get("pace") else None
    began_at_s = None if data.get("began_at_s") is None else float(data["began_at_s"])
    return Header(str(data["machine"]), str(data["engine"]), memory_bytes, seed, repeats, pace, began_at_s)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any], int]]:
    """Whole lines: (number, content, length)."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise FileFormatError(f"{path} is larger than {MAX_FILE_BYTES} bytes; it is no raw file of this check")
        with path.open("rb") as file:
            for place, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return  # interrupted while it was written
                try:
                    data = json.loads(line)
                except ValueError as error:
                    raise FileFormatError(f"{path}, line {place}: not JSON ({error})") from error
                if not isinstance(data, dict):
                    raise FileFormatError(f"{path}, line {place}: not an object")
                yield place, data, len(line)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    return " ".join(str(error).split())[:300]


def _line(data: dict[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, allow_nan=False) + "\n"
