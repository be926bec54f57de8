"""llama-swap's database: only read, and from anywhere."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mmpredict.calibrate.importers import llama_swap_database
from mmpredict.calibrate.importers.files import Imported, import_file
from mmpredict.errors import FileFormatError

TABLE = """
CREATE TABLE activity (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ts_created INTEGER NOT NULL,
    model_id TEXT NOT NULL,
    req_path TEXT NOT NULL DEFAULT '',
    resp_content_type TEXT NOT NULL DEFAULT '',
    resp_status_code INTEGER NOT NULL DEFAULT 0,
    cache_tokens INTEGER NOT NULL DEFAULT 0,
    draft_tokens INTEGER NOT NULL DEFAULT 0,
    draft_acc_tokens INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    prompt_per_second REAL NOT NULL DEFAULT 0,
    tokens_per_second REAL NOT NULL DEFAULT 0,
    duration_ms INTEGER NOT NULL DEFAULT 0,
    error_msg TEXT NOT NULL DEFAULT '',
    metadata_json TEXT NOT NULL DEFAULT ''
)"""
REQUEST: dict[str, Any] = {
    "ts_created": 1_787_000_000,
    "model_id": "qwen3-8b",
    "req_path": "/v1/chat/completions",
    "resp_status_code": 200,
    "cache_tokens": 0,
    "draft_tokens": -1,
    "draft_acc_tokens": -1,
    "input_tokens": 400,
    "output_tokens": 201,
    "prompt_per_second": 800.0,
    "tokens_per_second": 50.0,
    "duration_ms": 4512,
    "metadata_json": '{"client":"web"}',
}


def write(path: Path, *requests: dict[str, Any], table: str = TABLE) -> Path:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")  # as llama-swap does
        database.execute(table)
        for change in requests:
            row = REQUEST | change
            names, marks = ", ".join(row), ", ".join("?" * len(row))
            database.execute(f"INSERT INTO activity ({names}) VALUES ({marks})", tuple(row.values()))
        database.commit()
    return path


def read(path: Path, *requests: dict[str, Any], table: str = TABLE) -> Imported:
    return import_file(write(path / "swap.sqlite", *requests, table=table))


def test_a_database(tmp_path: Path) -> None:
    imported = read(tmp_path, {}, {"ts_created": 1_787_000_060})
    assert (imported.format, len(imported.rows), imported.rejected) == ("llama-swap-db", 4, ())
    prompt, generated, _, last = imported.rows
    assert (prompt.test, prompt.tokens_per_s, prompt.n_prompt, prompt.depth, prompt.file) == ("pp", 800.0, 400, 0, "swap.sqlite")
    assert (generated.test, generated.tokens_per_s, generated.n_gen, generated.depth) == ("tg", 50.0, 201, 400)
    assert (generated.model, generated.engine, generated.date, generated.doubt) == (
        "qwen3-8b",
        "llama-swap",
        "2026-08-17T20:53:20+00:00",
        None,
    )
    assert (generated.line, last.line) == (1, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["swap.sqlite"]  # nothing was written beside it


def test_what_one_row_says_costs_one_row(tmp_path: Path) -> None:
    bad: list[dict[str, Any]] = [
        {"model_id": b"\xff\xfe"},
        {"model_id": "x" * 3_000_000},
        {"ts_created": "yesterday"},
        {"ts_created": 2**62},
        {"input_tokens": -5},
        {"input_tokens": 2**50},
        {"output_tokens": b"201"},
        {"tokens_per_second": "fast"},
        {"tokens_per_second": float("inf")},
        {"duration_ms": "9" * 500_000},
        {"resp_status_code": 502},
    ]
    requests = [{"ts_created": 1_787_000_000 + 60 * number} | change for number, change in enumerate(bad)]
    imported = read(tmp_path, *requests, {"ts_created": 1_786_000_000, "error_msg": "x" * 2_000_000})
    assert [row.line for row in imported.rows] == [len(bad) + 1] * 2
    assert [refused.line for refused in imported.rejected] == list(range(1, len(bad) + 1))
    assert all(len(refused.reason) < 300 for refused in imported.rejected)
    assert imported.rejected[0].reason.startswith("request 1: model")


def test_no_text_costs_one_row(tmp_path: Path) -> None:
    path = write(tmp_path / "swap.sqlite", {}, {"ts_created": 1_787_000_060})
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE activity SET model_id = CAST(x'ff41' AS TEXT) WHERE id = 1")
        database.commit()
    imported = import_file(path)
    assert ([row.line for row in imported.rows], [refused.line for refused in imported.rejected]) == ([2, 2], [1])


@pytest.mark.parametrize(
    "table",
    [
        "CREATE TABLE requests (id INTEGER)",
        "CREATE TABLE activity (id INTEGER, model_id TEXT)",
        "CREATE VIEW activity AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT id FROM n",
        TABLE.replace("duration_ms INTEGER NOT NULL DEFAULT 0", "duration_ms INTEGER AS (length(hex(zeroblob(400000000))))"),
    ],
    ids=["other", "columns", "view", "computed"],
)
def test_other_databases(tmp_path: Path, table: str) -> None:
    with pytest.raises(FileFormatError, match="llama-swap"):
        read(tmp_path, table=table)


def test_fewer_and_more_columns(tmp_path: Path) -> None:
    table = TABLE.replace("resp_content_type", "some_new_column")
    (tmp_path / "a").mkdir()
    assert len(read(tmp_path / "a", {}, table=table).rows) == 2
    with closing(sqlite3.connect(tmp_path / "swap.sqlite")) as database:
        database.execute(TABLE.replace("draft_tokens", "speculated"))
        database.execute(
            "INSERT INTO activity (ts_created, model_id, resp_status_code, input_tokens, output_tokens, prompt_per_second,"
            " tokens_per_second, duration_ms) VALUES (1787000000, 'm', 200, 400, 201, 800, 50, 4512)"
        )
        database.commit()
    _, generated = import_file(tmp_path / "swap.sqlite").rows
    assert generated.doubt is not None
    assert "drafted" in generated.doubt


def test_damaged_and_unfinished_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "swap.sqlite", *({"ts_created": 1_787_000_000 + 60 * number} for number in range(400)))
    whole = path.read_bytes()
    for content in (
        whole[:100],
        whole[: len(whole) // 2],
        whole[:16] + b"\xff" * 4000,
        whole[:4096] + b"\xff" * (len(whole) - 4096),
    ):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match="database"):
            import_file(path)
    path.write_bytes(whole)
    with pytest.raises(FileFormatError, match="UTF-8"):
        import_file(path, "llama-bench-md")
    with monkeypatch.context() as patched, pytest.raises(FileFormatError, match="more than 399 requests"):
        patched.setattr(llama_swap_database, "MAX_REQUESTS", 399)
        import_file(path)
    (tmp_path / "swap.sqlite-wal").write_bytes(b"pending")
    with pytest.raises(FileFormatError, match="stop llama-swap"):
        import_file(path)
    text = tmp_path / "text.md"
    text.write_text("hello", "utf-8")
    with pytest.raises(FileFormatError, match="no SQLite database"):
        import_file(text, "llama-swap-db")


def test_names_that_mean_something_in_an_address(tmp_path: Path) -> None:
    assert len(import_file(write(tmp_path / "a?mode=rwc#b%20.sqlite", {})).rows) == 2
