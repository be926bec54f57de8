"""llama-swap's SQLite database (``store.path``; ``internal/store/migrations``), opened for reading only.

A database is a program for the library that opens it, and this one may come from anywhere: only a real table is read, never a
view; only plain columns of it, by their names; functions named in its schema are not trusted; of a text, no more is taken than a
name needs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from mmpredict.calibrate.importers import fields as read
from mmpredict.calibrate.importers.llama_swap import COUNTS_AND_RATES, Request, request_of
from mmpredict.calibrate.importers.llama_swap_rows import rows_of
from mmpredict.calibrate.importers.row import Found, Rejected, RowError
from mmpredict.errors import FileFormatError

MAGIC = b"SQLite format 3\0"
MAX_REQUESTS = 100_000  # two rows each
COLUMNS = ("id", "ts_created", "model_id", "resp_status_code", "duration_ms", *COUNTS_AND_RATES)
"""What is read; the rest is not asked for (paths, errors, and what callers sent along)."""
NEEDED = {"id", "ts_created", "model_id", "duration_ms", "input_tokens", "output_tokens", "prompt_per_second", "tokens_per_second"}

_SHORT = f"CASE WHEN typeof({{name}}) IN ('text', 'blob') THEN substr({{name}}, 1, {read.MAX_TEXT + 1}) ELSE {{name}} END"
_TABLE = "SELECT rootpage FROM sqlite_master WHERE type = 'table' AND name = 'activity'"


def read_database(path: Path) -> Iterator[Found]:
    """Rows of a database.

    Raises:
        FileFormatError: it is damaged, too large, not llama-swap's, or not complete without its write-ahead log.
    """
    yield from rows_of(_requests(path), path.name)


def _requests(path: Path) -> list[Request | Rejected]:
    _require_complete(path)
    # immutable: nothing is locked, and no file appears beside it
    address = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(address, uri=True)) as database:
            database.text_factory = _decoded
            database.execute("PRAGMA trusted_schema = OFF")
            database.execute("PRAGMA cell_size_check = ON")
            names = _columns(database, path)
            taken = ", ".join(_SHORT.format(name=name) for name in names)
            query = f"SELECT {taken} FROM activity NOT INDEXED ORDER BY id LIMIT {MAX_REQUESTS + 1}"
            rows = [dict(zip(names, row, strict=True)) for row in database.execute(query)]
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter: a message that quotes a damaged name
        # not the message itself: it may quote anything from the file, codes for the terminal included
        cause = getattr(error, "sqlite_errorname", "a name is no text in UTF-8")
        raise FileFormatError(f"{path} cannot be read as an SQLite database: {cause}") from error
    if len(rows) > MAX_REQUESTS:
        raise FileFormatError(f"{path} has more than {MAX_REQUESTS} requests; save some of them from /api/metrics/activity")
    return [_request(row, position) for position, row in enumerate(rows, start=1)]


def _request(row: dict[str, object], position: int) -> Request | Rejected:
    number = row["id"]
    line = number if isinstance(number, int) and number > 0 else position
    try:
        return request_of(row, line)
    except RowError as error:
        return Rejected(line, str(error))


def _require_complete(path: Path) -> None:
    log = path.with_name(f"{path.name}-wal")
    try:
        pending = log.stat().st_size > 0
    except OSError:
        return
    if pending:
        remedy = "stop llama-swap first, or save what /api/metrics/activity answers"
        raise FileFormatError(f"{path} is not complete: its newest requests are still in {log.name}; {remedy}")


def _columns(database: sqlite3.Connection, path: Path) -> list[str]:
    """The columns that are there, of those that are read; computed ones are not listed by ``table_info``."""
    root = database.execute(_TABLE).fetchone()
    if root is None or not root[0]:  # a virtual table has no root
        raise FileFormatError(f"{path} is an SQLite database, but not llama-swap's: it has no table activity")
    there = {row[1] for row in database.execute("PRAGMA table_info(activity)")}
    if missing := NEEDED - there:
        raise FileFormatError(f"{path} is no database of llama-swap: its table activity has no {', '.join(sorted(missing))}")
    return [name for name in COLUMNS if name in there]


def _decoded(raw: bytes) -> str | bytes:
    """A text, or its bytes where they are none: the row that needs it is refused then, and the others are not."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw
