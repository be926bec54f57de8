"""Benchmark files in, rows out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mmpredict.calibrate.importers.formats import DATABASE_READERS, NAMES, READERS, detect, detect_database, require_name
from mmpredict.calibrate.importers.row import BenchRow, Found, Rejected
from mmpredict.errors import FileFormatError, InputError
from mmpredict.saving import save

MAX_FILE_BYTES = 64_000_000
MAX_LINE = 1_000_000
MAX_ROWS = 200_000


@dataclass(frozen=True, slots=True)
class Imported:
    """What one file gave.

    Attributes:
        path: the file.
        format: its format, one of ``formats.NAMES``.
        rows: what was read, in order.
        rejected: lines that should have been rows.
    """

    path: Path
    format: str
    rows: tuple[BenchRow, ...]
    rejected: tuple[Rejected, ...]


def import_file(path: Path, format_name: str | None = None) -> Imported:
    """Read one benchmark file.

    Args:
        path: a text file or a database.
        format_name: one of ``formats.NAMES``; without it the content decides.

    Raises:
        InputError: the file cannot be read.
        UnknownNameError: there is no such format.
        FileFormatError: it is too large, neither text nor database, or of no known format.
    """
    wanted = require_name(format_name) if format_name else None
    name, found = _found(path, wanted, _content(path))
    items = list(islice(found, MAX_ROWS + 1))
    if len(items) > MAX_ROWS:
        raise FileFormatError(f"{path} has more than {MAX_ROWS} rows; split it")
    rows = tuple(item for item in items if isinstance(item, BenchRow))
    return Imported(path, name, rows, tuple(item for item in items if isinstance(item, Rejected)))


def save_rows(rows: Iterable[BenchRow], path: Path) -> Path:
    """Write rows, one JSON object per line, in one step.

    Raises:
        StorageError: the file cannot be written; an older one stays as it was.
    """
    return save("".join(map(row_line, rows)).encode(), path)


def row_line(row: BenchRow) -> str:
    """A row as one line of a file of rows."""
    return json.dumps(row.to_dict(), sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def _found(path: Path, wanted: str | None, content: bytes) -> tuple[str, Iterator[Found]]:
    """The name of the format, and what its reader finds."""
    database = detect_database(content)
    name = wanted or database
    if name in DATABASE_READERS:
        if database is None:
            raise FileFormatError(f"{path} is no SQLite database")
        return name, DATABASE_READERS[name](path)
    text = _text(path, content)
    name = name or detect(text)
    if name is None:
        raise FileFormatError(
            f"{path} is in none of the known formats ({', '.join(NAMES)}); mmpredict calibrate import --format takes one of them"
        )
    return name, READERS[name](text, path.name)


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise InputError(f"cannot read {path}: there is no such file")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise FileFormatError(f"{path} is larger than {MAX_FILE_BYTES} bytes; split it")
    return content


def _text(path: Path, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path} is no text in UTF-8 (byte {error.start})") from error
    longest = max(map(len, text.splitlines()), default=0)
    if longest > MAX_LINE:
        raise FileFormatError(f"{path} has a line of {longest} characters; at most {MAX_LINE} are read")
    return text
