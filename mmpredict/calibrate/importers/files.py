"""Benchmark files in, rows out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mmpredict.calibrate.importers.formats import READERS, detect, reader
from mmpredict.calibrate.importers.row import BenchRow, Rejected
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
        format: its format, a name of ``formats.READERS``.
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
        path: a text file.
        format_name: a name of ``formats.READERS``; without it the content decides.

    Raises:
        InputError: the file cannot be read.
        UnknownNameError: there is no such format.
        FileFormatError: it is too large, no text, or of no known format.
    """
    wanted = reader(format_name) if format_name else None
    text = _text(path)
    name = format_name or detect(text)
    if name is None:
        raise FileFormatError(f"{path} is in none of the known formats ({', '.join(READERS)}); name one with --format if it is")
    items = list(islice((wanted or reader(name))(text, path.name), MAX_ROWS + 1))
    if len(items) > MAX_ROWS:
        raise FileFormatError(f"{path} has more than {MAX_ROWS} rows; split it")
    rows = tuple(item for item in items if isinstance(item, BenchRow))
    return Imported(path, name, rows, tuple(item for item in items if isinstance(item, Rejected)))


def save_rows(rows: Iterable[BenchRow], path: Path) -> Path:
    """Write rows, one JSON object per line, in one step.

    Raises:
        StorageError: the file cannot be written; an older one stays as it was.
    """
    lines = (json.dumps(row.to_dict(), sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n" for row in rows)
    return save("".join(lines).encode(), path)


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise InputError(f"cannot read {path}: there is no such file")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise FileFormatError(f"{path} is larger than {MAX_FILE_BYTES} bytes; split it")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path} is no text in UTF-8 (byte {error.start})") from error
    longest = max(map(len, text.splitlines()), default=0)
    if longest > MAX_LINE:
        raise FileFormatError(f"{path} has a line of {longest} characters; at most {MAX_LINE} are read")
    return text
