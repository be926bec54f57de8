"""Rows of benchmarks become rows that prices are fitted to, or are left out with a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from own_runs import run

from mmpredict.calibrate.bench_rows import speed_rows
from mmpredict.calibrate.importers.row import BenchRow
from mmpredict.calibrate.rates_fit import measured_spec
from mmpredict.errors import InputError
from mmpredict.hardware.library import find_profile
from mmpredict.models.gguf.weights_file import write_header_only

CARD = find_profile("rtx-4090")
PI = find_profile("raspberry-pi-5")
DECODE, PROMPT = run("qwen2.5-7b", "Q4_K_M", n_gen=128, depth=4096), run("qwen2.5-7b", "Q4_K_M", n_prompt=512)


def only(row: BenchRow, **changed: Any) -> Any:
    (found,) = speed_rows([replace(row, **changed)], CARD).rows
    return found


def test_conditions_are_kept() -> None:
    row = only(DECODE, threads=8, key_type="q8_0", value_type="q8_0", stddev=0.5)
    assert (row.machine, row.mode, row.processor, row.backend, row.engine) == ("rtx-4090", "", "gpu", "cuda", "llama.cpp")
    assert (row.n_prompt, row.n_gen, row.depth, row.parallel, row.n_ubatch, row.threads) == (0, 128, 4096, 1, 512, 8)
    assert (row.file_type, row.flash_attention, row.key_type, row.date) == ("Q4_K_M", "1", "q8_0", "2026-10-10")
    assert (row.tokens_per_s, row.stddev, row.source, row.early) == (100.0, 0.5, "bench.json", False)
    assert row.size_bytes == 0, "what the rules give needs no guess"
    several = only(DECODE, test="batch", parallel=4)
    assert several.seconds == pytest.approx(4 * 128 / 100.0)
    assert only(PROMPT).phase == "prompt"


def test_servers_sample_and_benchmark_programs_do_not() -> None:
    assert only(DECODE, served=True).sampled
    assert not only(DECODE).sampled


def test_a_size_that_the_rules_do_not_give_is_kept() -> None:
    spec = measured_spec("qwen2.5-7b", "Q4_K_M", 0)
    larger = only(DECODE, size_bytes=int(1.1 * spec.weight_bytes))
    assert larger.size_bytes == pytest.approx(1.1 * spec.weight_bytes, rel=0.01)
    resized = measured_spec(larger.model, larger.file_type, larger.size_bytes)
    assert resized.weight_bytes == pytest.approx(1.1 * spec.weight_bytes, rel=0.02)


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("CUDA", "cuda"),
        ("Vulkan", "vulkan"),
        ("ROCm", "rocm"),
        ("HIP", "rocm"),
        ("MTL", "metal"),
        ("Metal,BLAS", "metal"),
        ("CUDA,CPU", "cuda"),
        ("CPU", "cpu"),
        ("BLAS", "cpu"),
        (None, "cuda"),
    ],
)
def test_backends_have_one_name(printed: str | None, expected: str) -> None:
    row = only(DECODE, backend=printed)
    assert (row.backend, row.processor) == (expected, "cpu" if expected == "cpu" else "gpu")


def test_what_is_not_said_is_what_most_people_run_there() -> None:
    silent = replace(DECODE, backend=None, gpu_layers=None)
    assert speed_rows([silent], CARD, backend="Vulkan").rows[0].backend == "vulkan"
    assert speed_rows([silent], PI).rows[0].backend == "cpu"
    assert speed_rows([replace(silent, gpu_layers=0)], CARD).rows[0].processor == "cpu"
    assert only(DECODE, gpu_layers=-1).processor == only(DECODE, gpu_layers=29).processor == "gpu"


@pytest.mark.parametrize(
    ("row", "changed", "reason"),
    [
        (DECODE, {"doubt": "a guess"}, "doubtful: a guess"),
        (DECODE, {"test": "pp+tg", "n_prompt": 512}, "prompt and generation in one time"),
        (DECODE, {"n_gen": None}, "how many tokens"),
        (DECODE, {"gpu_layers": 28}, "two processors"),
        (DECODE, {"expert_layers_on_cpu": 3}, "kept with the CPU"),
        (DECODE, {"tensor_overrides": "exps=CPU"}, "kept with the CPU"),
        (DECODE, {"flash_attention": False}, "without flash attention"),
        (DECODE, {"key_type": "q8_0"}, "keys and values of different types"),
        (DECODE, {"backend": "CUDA,Vulkan"}, "which of cuda, vulkan"),
        (DECODE, {"backend": "RPC"}, "another machine"),
        (DECODE, {"n_params": 9_000_000_000}, "the nearest is"),
        (DECODE, {"size_bytes": 2**31}, "its file has 2.00 GiB"),
        (DECODE, {"backend": "CPU", "threads": 2}, "fewer threads than a half of the 12 cores"),
        (PROMPT, {"parallel": 4}, "several sequences"),
        (PROMPT, {"gpu_layers": 0}, "no layers on the GPU"),
        (run("qwen2.5-72b", "Q4_K_M", n_gen=128), {"gpu_layers": None}, "does not hold the model"),
    ],
)
def test_what_does_not_compare_is_left_out_with_its_reason(row: BenchRow, changed: dict[str, Any], reason: str) -> None:
    found = speed_rows([replace(row, **changed), replace(row, line=2)], CARD)
    assert sum(found.left_out.values()) + len(found.rows) == 2
    assert any(reason in said for said in found.left_out), found.left_out


def test_a_cpu_may_do_without_flash_attention() -> None:
    assert only(DECODE, backend="CPU", flash_attention=False).flash_attention == "0"


def test_a_machine_without_the_processor_that_was_measured() -> None:
    assert list(speed_rows([DECODE], PI).left_out) == ["measured on a GPU with cuda, and raspberry-pi-5 has none"]


def test_the_same_row_twice_counts_once() -> None:
    found = speed_rows([DECODE, DECODE], CARD)
    assert (len(found.rows), dict(found.left_out)) == (1, {"it was given twice": 1})
    again = speed_rows([DECODE, replace(DECODE, line=2)], CARD)
    assert len(again.rows) == 2


def test_the_order_of_rows_does_not_matter() -> None:
    rows = [DECODE, PROMPT, replace(DECODE, line=3, tokens_per_s=99.0), replace(PROMPT, line=4, depth=None)]
    assert speed_rows(rows, CARD) == speed_rows(rows[::-1], CARD)


def test_a_named_model_holds_for_all_rows(tmp_path: Path) -> None:
    silent = replace(DECODE, model=None, file_type=None, n_params=None, size_bytes=None)
    assert speed_rows([silent], CARD, model="llama3.1-8b@q8_0").rows[0].model == "llama3.1-8b"
    assert "--model" in next(iter(speed_rows([silent], CARD).left_out))
    assert "TYPE" in next(iter(speed_rows([silent], CARD, model="llama3.1-8b").left_out))
    path = write_header_only(measured_spec("smollm2-135m", "Q8_0", 0), tmp_path / "mine.gguf")
    (row,) = speed_rows([silent], CARD, model=str(path)).rows
    assert measured_spec(row.model, row.file_type, row.size_bytes).shape.n_layers == 30
    with pytest.raises(InputError, match="'nope'"):
        speed_rows([], CARD, model="nope")
