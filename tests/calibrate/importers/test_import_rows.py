"""Rows that were imported before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mmpredict.calibrate.importers.files import import_file, save_rows
from mmpredict.calibrate.importers.row import BenchRow

FULL = BenchRow(
    file="bench.md",
    line=7,
    engine="llama.cpp",
    test="tg",
    tokens_per_s=71.33,
    n_prompt=0,
    n_gen=128,
    depth=4096,
    parallel=1,
    stddev=0.25,
    build="1a2b3c4d (8900)",
    backend="CUDA",
    machine="; ".join(["NVIDIA GeForce RTX 4090"] * 30),
    model="llama 8B Q4_K - Medium",
    model_file="llama.gguf",
    file_type="Q4_K_M",
    size_bytes=4_920_000_000,
    n_params=8_030_000_000,
    n_batch=2048,
    n_ubatch=512,
    threads=8,
    gpu_layers=-1,
    flash_attention=True,
    key_type="q8_0",
    value_type="q8_0",
    expert_layers_on_cpu=0,
    tensor_overrides=None,
    date="2026-10-10T12:00:00Z",
    doubt=None,
)
BARE = BenchRow(file="a", line=1, engine="ollama", test="pp", tokens_per_s=1.0, n_prompt=None, n_gen=0, doubt="not counted " * 40)


def test_what_was_saved_is_read_back(tmp_path: Path) -> None:
    found = import_file(save_rows([FULL, BARE], tmp_path / "rows.jsonl"))
    assert found.format == "rows"
    assert found.rejected == ()
    assert found.rows[0] == FULL
    assert found.rows[1].to_dict() == BARE.to_dict() | {"doubt": str(BARE.doubt).strip()}
    assert import_file(save_rows(found.rows, tmp_path / "again.jsonl")).rows == found.rows


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"tokens_per_s": 0}, "tokens_per_s is 0"),
        ({"tokens_per_s": "1e400"}, "tokens_per_s is '1e400'"),
        ({"test": "tg\n"}, "test is none of"),
        ({"test": ["tg"]}, "test is none of"),
        ({"n_gen": -1}, "n_gen is -1"),
        ({"n_gen": None}, "there is no n_gen"),
        ({"n_prompt": 5}, "does not belong to test tg"),
        ({"n_gen": 0}, "does not belong to test tg"),
        ({"parallel": 0}, "parallel is 0"),
        ({"file": None}, "there is no file"),
        ({"engine": 3}, "engine is 3"),
        ({"depth": 1e9}, "depth is"),
        ({"gpu_layers": "all"}, "gpu_layers is 'all'"),
        ({"machine": "x" * 7000}, "machine is"),
        ({"date": "yesterday"}, "date is 'yesterday'"),
        ({"command": "rm"}, "no field 'command'"),
    ],
)
def test_a_row_that_was_tampered_with_is_refused(changed: dict[str, Any], reason: str, tmp_path: Path) -> None:
    lines = [json.dumps(row) for row in (FULL.to_dict(), FULL.to_dict() | changed)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines), "utf-8")
    found = import_file(tmp_path / "rows.jsonl")
    assert found.rows == (FULL,)
    assert [bad.line for bad in found.rejected] == [2]
    assert reason in found.rejected[0].reason
