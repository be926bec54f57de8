"""Files: bounds, detection, and what is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmpredict.calibrate.importers import files
from mmpredict.calibrate.importers.files import import_file, save_rows
from mmpredict.calibrate.importers.formats import detect
from mmpredict.errors import FileFormatError, InputError, StorageError, UnknownNameError

TABLE = "| model | test | t/s |\n|---|---|---|\n| llama 8B Q8_0 | pp512 | 884.21 ± 5.51 |\n| llama 8B Q8_0 | tg128 | quick |\n"


def test_a_file_and_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "bench.md"
    path.write_text("\ufeff" + TABLE, "utf-8")
    imported = import_file(path)
    assert (imported.format, [row.file for row in imported.rows], [bad.line for bad in imported.rejected]) == (
        "llama-bench-md",
        ["bench.md"],
        [4],
    )
    saved = save_rows(imported.rows, tmp_path / "rows.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in saved] == [row.to_dict() for row in imported.rows]
    with pytest.raises(StorageError):
        save_rows(imported.rows, tmp_path / "nowhere" / "rows.jsonl")
    assert import_file(path, "llama-bench-csv").rows == ()  # told so, it is read so


@pytest.mark.parametrize("text", ["", "hello", "{}", "[1, 2]", '{"a": 1}', "a,b\n1,2\n", "| a | b |\n", "[" * 100_000])
def test_nothing_is_guessed(text: str) -> None:
    assert detect(text) is None


def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bench.md"
    with pytest.raises(InputError, match="no such file"):
        import_file(path)
    with pytest.raises(InputError, match="no such file"):
        import_file(tmp_path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileFormatError, match="UTF-8"):
        import_file(path)
    path.write_text(TABLE, "utf-8")
    with pytest.raises(UnknownNameError, match="llama-bench-md"):
        import_file(path, "llama-bench-markdown")
    for name, value, words in (
        ("MAX_FILE_BYTES", 50, "larger than 50"),
        ("MAX_LINE", 20, "characters"),
        ("MAX_ROWS", 1, "more than 1"),
    ):
        with monkeypatch.context() as patched, pytest.raises(FileFormatError, match=words):
            patched.setattr(files, name, value)
            import_file(path)
    path.write_text("nothing", "utf-8")
    with pytest.raises(FileFormatError, match="--format"):
        import_file(path)
