"""Every validation of this machine, kept in one SQLite database: figures for people, and whole runs to learn from."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from mmpredict.errors import FileFormatError, InputError, StorageError
from mmpredict.results.history import Check, Figure, PastCheck
from mmpredict.results.plain import plain
from mmpredict.saving import data_directory, make_directory
from mmpredict.validation.executed import Executed, executed_from

SCHEMA_VERSION = 1
APPLICATION = 0x6D6D7072  # "mmpr": marks the file as ours
WAIT_S = 10.0  # for another process that writes
MAX_RUN_BYTES = 64_000_000
"""A run of more than this is kept by its figures only."""

_TABLES = """
CREATE TABLE checks (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL,
    machine TEXT NOT NULL, engine TEXT NOT NULL, calibrated_on TEXT NOT NULL, version TEXT NOT NULL
);
CREATE TABLE figures (
    number INTEGER NOT NULL REFERENCES checks, subject TEXT NOT NULL, turn INTEGER NOT NULL, metric TEXT NOT NULL,
    predicted REAL, low REAL, high REAL, measured REAL
);
CREATE INDEX figures_of_checks ON figures (number);
CREATE TABLE runs (number INTEGER NOT NULL REFERENCES checks, run TEXT NOT NULL);
CREATE INDEX checks_of_machines ON checks (machine, at);
"""
_CHECK = ", ".join(one.name for one in fields(Check))
_FIGURE = ", ".join(one.name for one in fields(Figure))


@dataclass(frozen=True, slots=True)
class PastRun:
    """A real run that is kept whole.

    Attributes:
        number: of its check [1].
        check: when and where.
        run: plan, requests and records.
    """

    number: int
    check: Check
    run: Executed


class History:
    """The database; every call opens and closes it, so that nothing is locked between them.

    Args:
        path: its file, made when something is first kept; the user's when not given.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or history_path()

    def begin(self, check: Check) -> int:
        """Keep a check, and return its number.

        Raises:
            StorageError: another process writes for too long, or the file cannot be written.
            FileFormatError: the file is damaged, of another schema version, or no history.
        """
        with self._open(write=True) as database:
            marks = ", ".join("?" * len(fields(Check)))
            return int(database.execute(f"INSERT INTO checks ({_CHECK}) VALUES ({marks})", astuple(check)).lastrowid or 0)

    def add(self, number: int, figures: Iterable[Figure], run: Executed | None = None) -> None:
        """Keep figures of a check, and the run that they come from (errors as ``begin``)."""
        rows = [(number, *(plain(value) for value in astuple(figure))) for figure in figures]
        text = "" if run is None else json.dumps(run.to_dict(), separators=(",", ":"), allow_nan=False)
        with self._open(write=True) as database:
            marks = ", ".join("?" * (1 + len(fields(Figure))))
            database.executemany(f"INSERT INTO figures (number, {_FIGURE}) VALUES ({marks})", rows)
            if text and len(text) <= MAX_RUN_BYTES:
                database.execute("INSERT INTO runs (number, run) VALUES (?, ?)", (number, text))

    def checks(self, machine: str = "", metric: str = "", since: str = "") -> list[PastCheck]:
        """Checks with figures, oldest first.

        Args:
            machine: part of the machine's name; all when empty.
            metric: part of the metric's name; all when empty.
            since: date or date and time (ISO) of the first.

        Raises:
            StorageError, FileFormatError: see ``begin``.
        """
        found = []
        with self._open() as database:
            for number, check in _checks(database, since):
                if machine.lower() in check.machine.lower():
                    rows = database.execute(f"SELECT {_FIGURE} FROM figures WHERE number = ? ORDER BY rowid", (number,))
                    figures = tuple(_figure(row) for row in rows if metric.lower() in str(row[2]).lower())
                    if figures:
                        found.append(PastCheck(number, check, figures))
        return found

    def runs(self, machine: str, engine: str, since: str = "") -> tuple[list[PastRun], list[str]]:
        """Whole runs of a machine and an engine build, oldest first, and why others cannot be used.

        Raises:
            StorageError, FileFormatError: see ``begin``.
        """
        found, left_out = [], []
        with self._open() as database:
            for number, check in _checks(database, since):
                if (check.machine, check.engine) != (machine, engine):
                    continue
                for (text,) in database.execute("SELECT run FROM runs WHERE number = ? ORDER BY rowid", (number,)):
                    try:
                        found.append(PastRun(number, check, executed_from(json.loads(text))))
                    except (ValueError, InputError) as error:  # no JSON, no run, or one with values that no plan has
                        left_out.append(f"a run of {check.name} of {check.day}: {error}")
        return found, left_out

    @contextmanager
    def _open(self, write: bool = False) -> Iterator[sqlite3.Connection]:
        if not write and not self.path.exists():
            with closing(sqlite3.connect(":memory:")) as empty:
                empty.executescript(_TABLES)
                yield empty
            return
        make_directory(self.path.parent)
        try:
            with closing(sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None)) as database:
                self._prepare(database)
                database.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                yield database
                database.execute("COMMIT")  # what raised before this is rolled back when the connection is closed
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                raise StorageError(f"{self.path} is in use by another process for more than {WAIT_S:.0f} s; try again") from error
            raise StorageError(f"cannot use the history {self.path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise FileFormatError(f"the history {self.path} is damaged ({error}); move it away, and a new one is begun") from error

    def _prepare(self, database: sqlite3.Connection) -> None:
        """Make the tables of a new file; refuse one that is not ours or of another version."""
        database.execute("BEGIN")  # what is read here is of one moment, whoever makes the tables meanwhile
        (application, version), tables = self._marks(database), _tables(database)
        database.execute("COMMIT")
        if (application, version) == (APPLICATION, SCHEMA_VERSION):
            return
        if (application, version) == (0, 0) and not tables:
            database.execute("PRAGMA journal_mode = WAL")  # readers and a writer do not wait for each other
            database.execute("BEGIN IMMEDIATE")
            if not _tables(database):  # nobody else was quicker
                for statement in filter(str.strip, _TABLES.split(";")):
                    database.execute(statement)
                database.execute(f"PRAGMA application_id = {APPLICATION}")
                database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            database.execute("COMMIT")
            return
        if application != APPLICATION:
            raise FileFormatError(f"{self.path} is a database of another program; move it away, and a new one is begun")
        raise FileFormatError(
            f"the history {self.path} has schema version {version}, this is {SCHEMA_VERSION}; use the version of mmpredict that "
            "wrote it, or move it away, and a new one is begun"
        )

    @staticmethod
    def _marks(database: sqlite3.Connection) -> tuple[int, int]:
        application, version = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
        return int(application), int(version)


def history_path() -> Path:
    """File of this user's history."""
    return data_directory() / "history.sqlite3"


def _tables(database: sqlite3.Connection) -> int:
    return int(database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def _checks(database: sqlite3.Connection, since: str) -> list[tuple[int, Check]]:
    rows = database.execute(f"SELECT number, {_CHECK} FROM checks WHERE at >= ? ORDER BY at, number", (since,))
    return [(int(number), Check(*(str(value) for value in rest))) for number, *rest in rows]


def _figure(row: Sequence[object]) -> Figure:
    subject, turn, metric, *numbers = row
    values = (math.nan if value is None else float(str(value)) for value in numbers)
    return Figure(str(subject), int(str(turn)), str(metric), *values)
