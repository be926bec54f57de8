"""llama-bench's five formats: the same run gives the same rows; what is malformed is refused by its line."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import fields, replace
from typing import Any

import pytest

from mmpredict.calibrate.importers.formats import READERS, detect
from mmpredict.calibrate.importers.row import BenchRow, Found, Rejected

COMMON: dict[str, Any] = {
    "build_commit": "0c1e57098",
    "build_number": 11549,
    "cpu_info": "AMD RYZEN AI MAX+ 395 w/ Radeon 8060S",
    "gpu_info": "Radeon 8060S Graphics (RADV GFX1151)",
    "backends": "Vulkan",
    "model_filename": "/home/someone/models/llama-3.1-8b-q4_k_m.gguf",
    "model_type": "llama 8B Q4_K - Medium",
    "model_size": 4912898304,
    "model_n_params": 8030261312,
    "n_batch": 2048,
    "n_ubatch": 512,
    "n_threads": 16,
    "cpu_mask": "0x0",
    "cpu_strict": False,
    "poll": 50,
    "type_k": "q8_0",
    "type_v": "f16",
    "n_gpu_layers": -1,
    "n_cpu_moe": 0,
    "split_mode": "layer",
    "flash_attn": 1,
    "tensor_buft_overrides": "none",
    "load_mode": "mmap",
    "no_op_offload": 0,
}


def run(n_prompt: int, n_gen: int, n_depth: int, avg_ts: float, stddev_ts: float) -> dict[str, Any]:
    times = {"n_prompt": n_prompt, "n_gen": n_gen, "n_depth": n_depth, "test_time": "2026-03-01T12:00:00Z"}
    avg_ns = round(1e9 * (n_prompt + n_gen) / avg_ts)
    return COMMON | times | {"avg_ns": avg_ns, "stddev_ns": 1000, "avg_ts": avg_ts, "stddev_ts": stddev_ts}


RUN = [run(512, 0, 0, 884.213456, 5.512345), run(0, 128, 4096, 33.487654, 0.021234), run(512, 128, 0, 143.5, 0.25)]


def as_json() -> str:
    return "[\n" + ",\n".join("  " + json.dumps(row | {"samples_ns": [1, 2]}, indent=4) for row in RUN) + "\n]\n"


def as_jsonl() -> str:
    return "".join(json.dumps(row | {"samples_ts": [1.0]}) + "\n" for row in RUN)


def printed(row: dict[str, Any]) -> list[str]:
    return [str(int(value)) if isinstance(value, bool) else str(value) for value in row.values()]


def as_csv() -> str:
    out = io.StringIO()
    out.write(",".join(RUN[0]) + "\n")
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(printed(row) for row in RUN)
    return out.getvalue()


def as_sql() -> str:
    table = "CREATE TABLE IF NOT EXISTS llama_bench (\n" + ",\n".join(f"  {name} TEXT" for name in RUN[0]) + "\n);\n\n"
    values = (", ".join(f"'{value}'" for value in printed(row)) for row in RUN)
    return table + "".join(f"INSERT INTO llama_bench ({', '.join(RUN[0])}) VALUES ({one});\n" for one in values)


MARKDOWN = """\
ggml_vulkan: Found 1 Vulkan devices:
ggml_vulkan: 0 = Radeon 8060S Graphics (RADV GFX1151) (radv) | uma: 1 | fp16: 1 | warp size: 64 | matrix cores: KHR_coopmat
| model                          |       size |     params | backend    | ngl | type_k | fa |            test |                  t/s |
| ------------------------------ | ---------: | ---------: | ---------- | --: | -----: | -: | --------------: | -------------------: |
| llama 8B Q4_K - Medium         |   4.58 GiB |     8.03 B | Vulkan     |  -1 |   q8_0 |  1 |           pp512 |        884.21 ± 5.51 |
| llama 8B Q4_K - Medium         |   4.58 GiB |     8.03 B | Vulkan     |  -1 |   q8_0 |  1 |   tg128 @ d4096 |         33.49 ± 0.02 |
| llama 8B Q4_K - Medium         |   4.58 GiB |     8.03 B | Vulkan     |  -1 |   q8_0 |  1 |     pp512+tg128 |        143.50 ± 0.25 |

build: 0c1e57098 (11549)
"""  # noqa: E501
TEXTS = {
    "llama-bench-json": as_json(),
    "llama-bench-jsonl": as_jsonl(),
    "llama-bench-csv": as_csv(),
    "llama-bench-sql": as_sql(),
    "llama-bench-md": MARKDOWN,
}


def found(name: str, text: str) -> list[Found]:
    return list(READERS[name](text, "bench"))


def rows(name: str, text: str) -> list[BenchRow]:
    items = found(name, text)
    assert not [item for item in items if isinstance(item, Rejected)]
    return [item for item in items if isinstance(item, BenchRow)]


@pytest.mark.parametrize("name", TEXTS)
def test_each_format_is_known_by_its_content(name: str) -> None:
    assert detect(TEXTS[name]) == name


def test_a_row_says_everything_that_the_run_said() -> None:
    first, second, third = rows("llama-bench-json", as_json())
    assert first == BenchRow(
        file="bench",
        line=2,
        engine="llama.cpp",
        test="pp",
        tokens_per_s=884.213456,
        stddev=5.512345,
        n_prompt=512,
        n_gen=0,
        depth=0,
        parallel=1,
        build="0c1e57098 (11549)",
        backend="Vulkan",
        machine="Radeon 8060S Graphics (RADV GFX1151); AMD RYZEN AI MAX+ 395 w/ Radeon 8060S",
        model="llama 8B Q4_K - Medium",
        model_file="llama-3.1-8b-q4_k_m.gguf",
        file_type="Q4_K_M",
        size_bytes=4912898304,
        n_params=8030261312,
        n_batch=2048,
        n_ubatch=512,
        threads=16,
        gpu_layers=-1,
        flash_attention=True,
        key_type="q8_0",
        value_type="f16",
        expert_layers_on_cpu=0,
        date="2026-03-01T12:00:00Z",
    )
    assert (second.test, second.n_gen, second.depth) == ("tg", 128, 4096)
    assert (third.test, third.n_prompt, third.n_gen) == ("pp+tg", 512, 128)
    assert as_json().splitlines()[second.line - 1].strip() == "{"


@pytest.mark.parametrize("name", ["llama-bench-jsonl", "llama-bench-csv", "llama-bench-sql"])
def test_the_same_run_gives_the_same_rows(name: str) -> None:
    text = TEXTS[name]
    others = rows(name, text)
    assert [replace(row, line=0) for row in others] == [replace(row, line=0) for row in rows("llama-bench-json", as_json())]
    assert all("0c1e57098" in text.splitlines()[row.line - 1] for row in others)


def test_the_table_says_the_same_as_far_as_it_goes() -> None:
    table = rows("llama-bench-md", MARKDOWN)
    assert len(table) == len(RUN)
    compared = set()
    for short, full in zip(table, rows("llama-bench-json", as_json()), strict=True):
        for name in (field.name for field in fields(BenchRow)):
            value = getattr(short, name)
            if name in ("line", "machine") or value is None:
                continue
            compared.add(name)
            if name in ("tokens_per_s", "stddev", "size_bytes", "n_params"):
                assert value == pytest.approx(getattr(full, name), rel=2e-3, abs=0.006)
            else:
                assert value == getattr(full, name), name
    assert compared >= {
        "tokens_per_s",
        "size_bytes",
        "build",
        "depth",
        "test",
        "gpu_layers",
        "flash_attention",
        "file_type",
        "key_type",
    }
    assert {row.machine for row in table} == {"Radeon 8060S Graphics (RADV GFX1151) (radv)"}
    assert [row.line for row in table] == [5, 6, 7]
    assert table[0].threads is table[0].n_batch is None  # not printed, so not known


def test_older_builds() -> None:
    old = {key: value for key, value in RUN[0].items() if key not in ("n_depth", "backends", "type_k", "type_v", "flash_attn")}
    older = old | {"cuda": True, "metal": False, "gpu_blas": True, "blas": True, "f16_kv": True, "flash_attn": False}
    (row,) = rows("llama-bench-json", json.dumps([older]))
    assert (row.backend, row.key_type, row.value_type, row.flash_attention, row.depth) == ("CUDA", "f16", "f16", False, 0)
    (row,) = rows("llama-bench-json", json.dumps([old | {"cuda": False, "blas": False}]))
    assert (row.backend, row.key_type, row.flash_attention) == ("CPU", None, None)
    (row,) = rows("llama-bench-json", json.dumps([RUN[0] | {"flash_attn": -1}]))
    assert row.flash_attention is None


def test_older_tables() -> None:
    text = """Some words before it.
| model | size | params | backend | threads | test | t/s |
| --- | ---: | ---: | --- | ---: | --- | ---: |
| LLaMA 7B mostly Q4_0 | 3.56 GiB | 6.74 B | CPU | 8 | pp 512 | 24.05 ± 0.10 |
| **LLaMA 7B mostly Q4_0** | 3.56 GiB | 6.74 B | CPU | 8 | `tg 128` | **10.20** |

build: 1a2b3c4 (1407)

model | n_batch | test | t/s
--- | --- | --- | ---
qwen2 0.5B Q8_0 | 256 | pp64 | 100.00 +- 1.00
"""
    first, second, third = rows("llama-bench-md", text)
    assert (first.n_prompt, first.threads, first.backend, first.build, first.file_type) == (512, 8, "CPU", "1a2b3c4 (1407)", "Q4_0")
    assert (second.n_gen, second.tokens_per_s, second.stddev, second.model) == (128, 10.2, None, "LLaMA 7B mostly Q4_0")
    assert (third.n_batch, third.stddev, third.build, third.size_bytes) == (256, 1.0, None, None)


CELLS = "| llama 8B Q8_0 | 7.95 GiB | 8.03 B | CUDA | 99 | pp512 | 884.21 ± 5.51 |"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("pp512", "512", "none of pp512"),
        ("pp512", "", "none of pp512"),
        ("pp512", "pp0", "neither"),
        ("pp512", "pp999999999", "whole number from 0"),
        ("884.21 ± 5.51", "884,21 ± 5,51", "no speed"),
        ("884.21", "-884.21", "no speed"),
        ("884.21", "0.00", "above 0"),
        ("884.21", "99999999999.0", "above 0"),
        ("7.95 GiB", "7.95", "no amount"),
        ("7.95 GiB", "9999999 TiB", "no amount"),
        ("| 99 ", "| many ", "ngl|n_gpu_layers"),
        ("| CUDA ", "", "6 cells for 7 columns"),
    ],
)
def test_a_malformed_cell_refuses_its_line_alone(old: str, new: str, reason: str) -> None:
    assert old in CELLS
    head = "| model | size | params | backend | ngl | test | t/s |\n|---|---|---|---|---|---|---|\n"
    bad, good = found("llama-bench-md", head + CELLS.replace(old, new, 1) + "\n" + CELLS + "\n")
    assert isinstance(bad, Rejected)
    assert bad.line == 3
    assert any(part in bad.reason for part in reason.split("|"))
    assert isinstance(good, BenchRow)
    assert good.file_type == "Q8_0"


@pytest.mark.parametrize(
    "change",
    [
        {"avg_ts": None},
        {"avg_ts": "fast"},
        {"avg_ts": 0},
        {"avg_ts": 1e12},
        {"avg_ts": 10**400},
        {"avg_ts": True},
        {"avg_ts": 88.0},  # does not belong to avg_ns
        {"n_prompt": 0},
        {"n_prompt": -512},
        {"n_prompt": 512.5},
        {"n_gen": 2**40},
        {"model_size": 10**30},
        {"n_threads": 0},
        {"flash_attn": 7},
        {"model_type": "x" * 5000},
        {"model_type": ["llama"]},
        {"test_time": "yesterday"},
    ],
    ids=str,
)
def test_a_malformed_field_refuses_its_row_alone(change: dict[str, Any]) -> None:
    text = json.dumps(RUN[0] | change) + "\n" + json.dumps(RUN[1]) + "\n"
    bad, good = found("llama-bench-jsonl", text)
    assert isinstance(bad, Rejected)
    assert bad.line == 1
    assert len(bad.reason) < 300
    assert isinstance(good, BenchRow)
    assert good.line == 2


def test_broken_json_costs_one_row() -> None:
    good = json.dumps(RUN[0])
    broken = (
        good[:-40],
        good.replace("884.213456", "NaN"),
        "llama_model_load: error",
        "{" * 3,
        '{"a":' * 100_000,
        f'{{"a": {"9" * 5000}}}',
    )
    for text in broken:
        items = found("llama-bench-jsonl", f"{text}\n{good}\n")
        assert [type(item) for item in items] == [Rejected, BenchRow], text[:40]
        assert [item.line for item in items] == [1, 2]
    cut = as_json()[:-30]
    assert [type(item) for item in found("llama-bench-json", cut)] == [BenchRow, BenchRow, Rejected]


def test_malformed_values_between_commas() -> None:
    head, first, second, _ = as_csv().splitlines()
    items = found("llama-bench-csv", "\n".join((first, head, first + ',"more"', first[:-1], second)))
    assert [(type(item), item.line) for item in items] == [(Rejected, 1), (Rejected, 3), (Rejected, 4), (BenchRow, 5)]


@pytest.mark.parametrize(
    "line",
    [
        "DROP TABLE llama_bench;",
        "INSERT INTO users (n_prompt, n_gen, avg_ts) VALUES ('512', '0', '100');",
        "INSERT INTO llama_bench (n_prompt, n_gen, avg_ts) VALUES ('512', '0', '100'); DROP TABLE x;",
        "INSERT INTO llama_bench (n_prompt, n_gen, avg_ts) VALUES ('512', '0', (SELECT 1));",
        "INSERT INTO llama_bench (n_prompt, n_gen, avg_ts) VALUES ('512', '0');",
        "INSERT INTO llama_bench (n_prompt, n_gen, avg_ts) VALUES ('512', '0', '100'",
        "INSERT INTO llama_bench (n_prompt, n_gen, model_type, avg_ts) VALUES ('512', '0', 'it's', '100');",
    ],
)
def test_only_plain_inserts_are_read(line: str) -> None:
    good = "INSERT INTO test (n_prompt, n_gen, model_type, avg_ts) VALUES ('512', 0, 'it''s', '100.5');"
    bad, row = found("llama-bench-sql", f"{line}\n{good}\n")
    assert isinstance(bad, Rejected)
    assert isinstance(row, BenchRow)
    assert (row.model, row.tokens_per_s, row.line) == ("it's", 100.5, 2)
