"""The disk is full while the command records: what it has recorded is whole and can be read again."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from test_kill import Command, _models_are_there, start
from test_lifeline import running

from mmpredict.live.journal import read_journal

__all__ = ["_models_are_there", "start"]  # fixtures

ROOM_BYTES = 3000

pytestmark = pytest.mark.live


def test_the_disk_is_full_while_rows_are_recorded(start: Callable[..., Command], tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: a write is cut short, the next one fails."""

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM_BYTES, ROOM_BYTES))

    command = start("execute", "scenario.toml", "--output", "report", before=little_room)
    out, err = command.process.communicate(timeout=60)
    assert command.process.returncode == 1
    assert out == ""
    last = err.splitlines()[-1]
    assert last.startswith("mmpredict: cannot write the rows to report/records.jsonl: File too large; make room")
    assert "Traceback" not in err
    content = (tmp_path / "report" / "records.jsonl").read_bytes()
    assert content.endswith(b"\n") and 0 < len(content) <= ROOM_BYTES
    (records,) = read_journal(tmp_path / "report" / "records.jsonl").values()
    assert records.states
    assert not any(running(pid) for pid in _servers_of(tmp_path))
    assert not (tmp_path / "report" / "execution.json").exists()  # it had no room either, and no part of it stays
    assert list((tmp_path / "report").glob(".*")) == []


def _servers_of(place: Path) -> list[int]:
    """Processes whose log is below ``place``."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(place) in str(file.path) for file in process.open_files()) and process.pid != os.getpid():
                found.append(process.pid)
        except psutil.Error:
            continue
    return found
