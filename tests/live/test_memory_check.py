"""Predicted memory against real servers, in short: tolerances are those of ``mmpredict validate memory``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mmpredict.models.catalog import shape, spec_of
from mmpredict.validation.memory import run_checks
from mmpredict.validation.memory_cases import MemoryCase, cut, memory_cases

WHOLE = next(case for case in memory_cases(1) if case.spec.name == "smollm2-135m@F16")
EXPERTS = replace(WHOLE.instance, slots=2, unified=False, key_type="q8_0", value_type="q8_0")
CASES = [WHOLE, MemoryCase(spec_of(cut(shape("qwen3-30b-a3b"), 4, n_vocab=8192), "Q4_K_M"), EXPERTS)]


@pytest.mark.live
def test_memory_is_what_servers_take(tmp_path: Path) -> None:
    raw_path, seen = tmp_path / "rows" / "memory.jsonl", []
    rows = run_checks(CASES, tmp_path, tmp_path / "logs", raw_path, lambda label, fraction: seen.append(fraction))
    for row in rows:
        print(f"{row.model} {row.options} {row.part}: {row.predicted_bytes:.0f} for {row.measured_bytes:.0f} bytes")
    assert all(row.within for row in rows)
    assert {row.part for row in rows} >= {"weights", "cache", "compute buffer", "output buffer", "process", "two processes"}
    assert [json.loads(line)["part"] for line in raw_path.read_text().splitlines()] == [row.part for row in rows]
    assert seen == sorted(seen) and seen[-1] == 1.0
    assert not list(tmp_path.glob("*.gguf")), "model files are removed again"
