"""The database of validations: what goes in comes out, and files that are not ours, or in use, are errors that say so."""

from __future__ import annotations

import json
import math
import multiprocessing
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from made_up import APART, check, executed

from mmpredict.cost.coefficients import Coefficients
from mmpredict.errors import FileFormatError, StorageError
from mmpredict.results.history import Figure
from mmpredict.validation import history
from mmpredict.validation.history import History

FIGURES = (Figure("s", 0, "makespan_s", 1.0, 0.9, 1.1, 1.05), Figure("s", 0, "process_bytes", 1e9, math.nan, math.nan, 2e9))


@pytest.fixture
def kept(tmp_path: Path) -> History:
    return History(tmp_path / "data" / "history.sqlite3")


def test_nothing_is_written_by_looking(kept: History) -> None:
    assert kept.checks() == []
    assert kept.runs("m", "e") == ([], [])
    assert not kept.path.parent.exists()


def test_what_goes_in_comes_out(kept: History, coefficients: Coefficients) -> None:
    run = executed(coefficients, APART)
    number = kept.begin(check(3))
    kept.add(number, FIGURES, run)
    kept.add(kept.begin(check(1, machine="other")), FIGURES[:1])
    other, own = kept.checks()
    assert (own.number, own.check, own.figures[0]) == (number, check(3), FIGURES[0])
    assert math.isnan(own.figures[1].low) and own.figures[1].measured == 2e9
    assert other.check.machine == "other", "oldest first"
    (back,), left_out = kept.runs("invented", "none")
    assert (back.check, back.run.plan, back.run.workload, left_out) == (check(3), run.plan, run.workload, [])
    assert back.run.records.to_dict() == run.records.to_dict()
    assert kept.runs("invented", "another build") == ([], [])


def test_what_is_asked_for(kept: History) -> None:
    for day in (1, 2, 3):
        kept.add(kept.begin(check(day)), FIGURES)
    assert [one.check.day for one in kept.checks(since="2026-11-02")] == ["2026-11-02", "2026-11-03"]
    assert [one.check.day for one in kept.checks(since="2026-11-02T09:00:00")] == ["2026-11-03"]
    assert {figure.metric for one in kept.checks(metric="BYTES") for figure in one.figures} == {"process_bytes"}
    assert kept.checks(machine="elsewhere") == kept.checks(metric="ttft") == []


def test_a_run_that_is_too_large_leaves_its_figures(
    kept: History, coefficients: Coefficients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MAX_RUN_BYTES", 100)
    kept.add(kept.begin(check(1)), FIGURES, executed(coefficients, APART))
    assert len(kept.checks()[0].figures) == 2
    assert kept.runs("invented", "none") == ([], [])


def test_a_damaged_run_does_not_hide_the_others(kept: History, coefficients: Coefficients) -> None:
    number = kept.begin(check(1))
    run = executed(coefficients, APART)
    kept.add(number, FIGURES, run)
    text = json.dumps(run.to_dict())
    damaged = ('{"plan": 1}', text.replace('"threads": 4', '"threads": 0', 1), text.replace('"status": "ok"', '"status": 1', 1))
    with closing(sqlite3.connect(kept.path)) as database:
        database.executemany("INSERT INTO runs VALUES (?, ?)", [(number, one) for one in damaged])
        database.commit()
    found, reasons = kept.runs("invented", "none")
    assert len(found) == 1
    told = ("this is no run of a plan", ".*threads is 0", r"a run: records.requests\[0\].status is 1")
    for reason, words in zip(reasons, told, strict=True):
        assert re.match(f"a run of chat of 2026-11-01: {words}", reason)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("PRAGMA user_version = 99", "schema version 99, this is 1"),
        ("PRAGMA application_id = 7", "another program"),
        ("DROP TABLE figures", "cannot use the history .*figures"),
    ],
)
def test_other_databases_are_refused_and_left_alone(statement: str, words: str, kept: History) -> None:
    kept.begin(check(1))
    with closing(sqlite3.connect(kept.path)) as database:
        database.execute(statement)
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = kept.path.read_bytes()
    with pytest.raises((FileFormatError, StorageError), match=words):
        kept.checks()
    with pytest.raises((FileFormatError, StorageError), match=words):
        kept.add(1, FIGURES)
    assert kept.path.read_bytes() == before


def test_a_stranger_without_marks_is_not_ours(kept: History) -> None:
    kept.path.parent.mkdir()
    with closing(sqlite3.connect(kept.path)) as database:
        database.execute("CREATE TABLE diary (day TEXT)")
        database.commit()
    with pytest.raises(FileFormatError, match="database of another program; move it away"):
        kept.begin(check(1))


def test_a_damaged_file(kept: History) -> None:
    kept.path.parent.mkdir()
    kept.path.write_bytes(b"dear diary " * 1000)
    with pytest.raises(FileFormatError, match=r"is damaged .*move it away"):
        kept.begin(check(1))


def test_a_database_in_use(kept: History, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.begin(check(1))
    monkeypatch.setattr(history, "WAIT_S", 0.01)
    with closing(sqlite3.connect(kept.path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert len(kept.checks()) == 0, "who reads does not wait"
        with pytest.raises(StorageError, match=r"in use by another process .*try again"):
            kept.add(1, FIGURES)
    kept.add(1, FIGURES)
    assert len(kept.checks()) == 1


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot make the directory"):
        History(tmp_path / "file" / "history.sqlite3").begin(check(1))


def _write(path: Path, count: int) -> None:
    for _ in range(count):
        kept = History(path)
        kept.add(kept.begin(check(1)), FIGURES)


def test_several_processes_write_at_once(kept: History) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(kept.path, 5)) for _ in range(4)]
    for one in writers:
        one.start()
    for one in writers:
        one.join(60)
    assert [one.exitcode for one in writers] == [0] * 4
    assert sum(len(one.figures) for one in kept.checks()) == 4 * 5 * len(FIGURES)
