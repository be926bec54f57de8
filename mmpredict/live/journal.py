"""Rows on disk as soon as they exist: one JSON object per line, whole lines only.

A line is written by one call of the system, so that it outlives this process however it ends; what the disk has no room for is
taken back. ``read_journal`` makes records of it again.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
from pathlib import Path
from typing import Any, Self

from mmpredict.errors import FileFormatError, InputError, StorageError
from mmpredict.results.columns import ROW_TYPES, ActivityRow, RequestRow, StateRow, columns
from mmpredict.results.plain import plain_fields
from mmpredict.results.records import Records
from mmpredict.saving import make_directory

FORMAT = "mmpredict execution"
VERSION = 1
MAX_LINE_BYTES = 1_000_000
_TABLES = {row: table for table, row in ROW_TYPES.items()}


class Journal:
    """A file of rows, begun anew; several threads may add to it.

    Args:
        path: of the file; its directory is made.

    Raises:
        StorageError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._size = 0
        make_directory(path.parent)
        try:
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            raise self._trouble(error) from error
        self._write({"format": FORMAT, "version": VERSION})

    def add(self, plan: str, row: RequestRow | ActivityRow | StateRow) -> None:
        """Write a row.

        Args:
            plan: name of the plan whose run it belongs to.
            row: that will not change any more.

        Raises:
            StorageError: the disk is full, or the file cannot be written any more; the rows before are whole.
        """
        self._write({"plan": plan, "table": _TABLES[type(row)], **plain_fields(row)})

    def close(self) -> None:
        """Nothing more is added."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, content: dict[str, Any]) -> None:
        line = json.dumps(content, allow_nan=False).encode() + b"\n"
        with self._lock:
            try:
                written = 0
                while written < len(line):  # a disk that is nearly full takes a part without complaint
                    written += self._file.write(line[written:])
                self._size += written
            except (OSError, ValueError) as error:
                with contextlib.suppress(OSError, ValueError):
                    self._file.truncate(self._size)
                    self._file.seek(self._size)
                raise self._trouble(error) from error

    def _trouble(self, error: Exception) -> StorageError:
        words = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        return StorageError(f"cannot write the rows to {self._path}: {words}; make room or choose another directory")


def read_journal(path: Path) -> dict[str, Records]:
    """What was recorded: plan → measured records, in the order in which the plans were run.

    The last line may be incomplete, where the machine stopped amid it.

    Raises:
        InputError: it cannot be read; ``FileFormatError`` if it is no journal.
    """
    found: dict[str, Records] = {}
    try:
        with path.open("rb") as file:
            header = _object(file.readline(MAX_LINE_BYTES))
            if header is None or header.get("format") != FORMAT or header.get("version") != VERSION:
                raise FileFormatError(f"{path} is no record of an execution (version {VERSION})")
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES), b""), start=2):
                if not line.endswith(b"\n"):
                    break
                plan, table, row = _row(_object(line), f"{path}, line {number}")
                getattr(found.setdefault(plan, Records("measured")), table).append(row)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    return {plan: records.sort() for plan, records in found.items()}


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _row(content: dict[str, Any] | None, where: str) -> tuple[str, str, RequestRow | ActivityRow | StateRow]:
    """Plan, table and row of a line."""
    table = content.get("table") if content else None
    if content is None or table not in ROW_TYPES or not isinstance(content.get("plan"), str):
        raise FileFormatError(f"{where}: not a row of an execution")
    kind = ROW_TYPES[table]
    known = [column.name for column in columns(kind) if column.name in content]
    values: dict[str, Any] = {name: math.nan if content[name] is None else content[name] for name in known}
    try:
        row = kind(**values)
    except TypeError as error:
        raise FileFormatError(f"{where}: {error}") from error
    return content["plan"], table, row
