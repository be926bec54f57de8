"""What was recorded can be read again, whatever ended the recording."""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path

import pytest

from mmpredict.errors import FileFormatError, InputError, StorageError
from mmpredict.live.journal import Journal, read_journal
from mmpredict.results.columns import ActivityRow, RequestRow, StateRow

ROWS = (
    StateRow(0.5, "temperature:cpu", 61.5, math.nan),
    ActivityRow("i", "load", 0.0, 0.25),
    RequestRow("r", "m", "i", 0.125, 8, 4, finish_s=2.0, status="queue-full", detail="line\nbreak", attempts=3),
)


def written(path: Path) -> Path:
    with Journal(path) as journal:
        for row in ROWS:
            journal.add("plan", row)
        journal.add("other", ROWS[1])
    return path


def test_rows_come_back(tmp_path: Path) -> None:
    found = read_journal(written(tmp_path / "new" / "rows.jsonl"))
    assert list(found) == ["plan", "other"]
    records = found["plan"]
    assert repr([*records.states, *records.activities, *records.requests]) == repr(list(ROWS))  # nan is not equal to itself
    assert records.origin == "measured"
    assert len(found["other"].activities) == 1


@pytest.mark.parametrize("lost", [1, 10, 60])
def test_a_torn_last_line_costs_that_line_only(lost: int, tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl")
    os.truncate(path, path.stat().st_size - lost)
    assert list(read_journal(path)) == ["plan"]


def test_rows_are_on_disk_at_once(tmp_path: Path) -> None:
    with Journal(tmp_path / "rows.jsonl") as journal:
        journal.add("plan", ROWS[0])
        assert len(read_journal(tmp_path / "rows.jsonl")["plan"].states) == 1


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    with Journal(tmp_path / "rows.jsonl") as journal:
        threads = [threading.Thread(target=lambda: [journal.add("plan", row) for row in ROWS * 50]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(read_journal(tmp_path / "rows.jsonl")["plan"].requests) == 400


def test_a_line_that_the_disk_has_no_room_for_is_taken_back(tmp_path: Path) -> None:
    import resource
    import signal

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with Journal(tmp_path / "rows.jsonl") as journal:
        journal.add("plan", ROWS[1])
        size = (tmp_path / "rows.jsonl").stat().st_size
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
            with pytest.raises(StorageError, match=r"cannot write the rows to .*other.jsonl: File too large"):
                Journal(tmp_path / "other.jsonl")
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, hard))
            with pytest.raises(StorageError, match="File too large"):
                journal.add("plan", ROWS[1])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, before)
        assert (tmp_path / "rows.jsonl").stat().st_size == size
        journal.add("plan", ROWS[0])  # there is room again
    found = read_journal(tmp_path / "rows.jsonl")["plan"]
    assert (len(found.activities), len(found.states)) == (1, 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no record of an execution"),
        (b"[]\n", "no record of an execution"),
        (b'{"format": "mmpredict execution", "version": 99}\n', "no record of an execution"),
        (b'{"format": "mmpredict execution", "version": 1}\nnonsense\n', "line 2: not a row"),
        (b'{"format": "mmpredict execution", "version": 1}\n{"plan": "p", "table": "origin"}\n', "line 2: not a row"),
        (b'{"format": "mmpredict execution", "version": 1}\n{"plan": "p", "table": "states", "time_s": 1}\n', "line 2: .*missing"),
    ],
)
def test_other_files_are_refused(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(FileFormatError, match=words):
        read_journal(tmp_path / "rows.jsonl")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_journal(tmp_path / "none")
