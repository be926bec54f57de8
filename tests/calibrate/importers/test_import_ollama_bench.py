"""Ollama's benchmark tool: three forms, older and newer builds."""

from __future__ import annotations

import pytest

from mmpredict.calibrate.importers.formats import READERS, detect
from mmpredict.calibrate.importers.row import BenchRow, Found, Rejected

MODEL = "# Model: gemma3 | Params: 4.3B | Quant: Q4_K_M | Family: gemma3 | Size: 4080218931 | VRAM: 4080218931 | NumCtx: 4096\n"
CSV = f"""NAME,STEP,COUNT,NS_PER_COUNT,TOKEN_PER_SEC
{MODEL}gemma3,prefill,400,1250000.00,800.00
gemma3,generate,101,19801980.20,50.50
gemma3,ttft,1,545123000,0
gemma3,load,1,15000000,0
gemma3,total,1,2561047625,0
"""
TABLE = """
| Model | Step | Count | Duration | nsPerToken | tokensPerSec |
|-------|------|-------|----------|------------|--------------|
| hf.co/unsloth/gemma-3-4b-it-GGUF:Q4_K_M | prefill | 400 | 500ms | 1250000.00 | 800.00 |
| hf.co/unsloth/gemma-3-4b-it-GGUF:Q4_K_M | generate | 101 | 2s | 19801980.20 | 50.50 |
| hf.co/unsloth/gemma-3-4b-it-GGUF:Q4_K_M | load | 1 | 121.674208ms | - | - |
| hf.co/unsloth/gemma-3-4b-it-GGUF:Q4_K_M | total | 1 | 2.861047625s | - | - |
"""
OLD_LINES = """\
sysname: linux
machine: amd64
BenchmarkModel/name=gpt-oss:20b/step=prefill 400 1250000.00 ns/token 800.00 token/sec
BenchmarkModel/name=gpt-oss:20b/step=generate 101 19801980.20 ns/token 50.50 token/sec
BenchmarkModel/name=gpt-oss:20b/step=load 1 1500000000 ns/request
BenchmarkModel/name=gpt-oss:20b 1 2861047625 ns/request
"""
NEW_LINES = f"""\
goos: linux
goarch: amd64
{MODEL}BenchmarkModel/name=gemma3/step=prefill 1 1250000.00 ns/token 800.00 token/sec
BenchmarkModel/name=gemma3/step=generate 1 19801980.20 ns/token 50.50 token/sec
BenchmarkModel/name=gemma3/step=ttft 1 545123000 ns/op
BenchmarkModel/name=gemma3/step=load 1 15000000 ns/op
BenchmarkModel/name=gemma3/step=total 1 2561047625 ns/op
"""


def found(name: str, text: str) -> list[Found]:
    assert detect(text) == name
    return list(READERS[name](text, "file"))


def rows(name: str, text: str) -> list[BenchRow]:
    items = found(name, text)
    assert not [item for item in items if isinstance(item, Rejected)]
    return [item for item in items if isinstance(item, BenchRow)]


def refused(name: str, text: str) -> list[tuple[int, str]]:
    return [(item.line, item.reason) for item in found(name, text) if isinstance(item, Rejected)]


@pytest.mark.parametrize(
    ("name", "text", "model", "lines"),
    [
        ("ollama-bench-csv", CSV, "gemma3", (3, 4)),
        ("ollama-bench-md", TABLE, "hf.co/unsloth/gemma-3-4b-it-GGUF:Q4_K_M", (4, 5)),
        ("ollama-bench", OLD_LINES, "gpt-oss:20b", (3, 4)),
    ],
)
def test_generation_counts_steps(name: str, text: str, model: str, lines: tuple[int, int]) -> None:
    prompt, generated = rows(name, text)
    assert (prompt.test, prompt.tokens_per_s, prompt.n_prompt, prompt.n_gen) == ("pp", pytest.approx(800.0), 400, 0)
    assert (generated.test, generated.n_gen, generated.depth) == ("tg", 101, 400)
    assert generated.tokens_per_s == pytest.approx(50.0, rel=1e-6)  # 100 steps in 2 s, although 50.50 is printed
    assert (prompt.line, generated.line) == lines
    assert {(row.model, row.engine) for row in (prompt, generated)} == {(model, "ollama")}
    assert generated.doubt is None


def test_newer_builds_describe_the_model_and_vary_the_prompt() -> None:
    prompt, generated = rows("ollama-bench-csv", CSV)
    assert (prompt.file_type, prompt.n_params, prompt.size_bytes) == ("Q4_K_M", 4_300_000_000, None)  # the memory is no file's size
    assert prompt.doubt is generated.doubt is None
    short = rows("ollama-bench-csv", CSV.replace("prefill,400", "prefill,12"))
    assert short[0].doubt is not None
    assert "cached" in short[0].doubt
    older = rows("ollama-bench-csv", CSV.replace(MODEL, ""))
    assert (older[0].file_type, older[0].doubt is not None, older[1].doubt) == (None, True, None)
    unknown = CSV.replace("4.3B", "unknown").replace("Q4_K_M", "unknown")
    assert (rows("ollama-bench-csv", unknown)[0].n_params, rows("ollama-bench-csv", unknown)[0].file_type) == (None, None)


def test_newer_lines_do_not_say_how_many_tokens() -> None:
    prompt, generated = rows("ollama-bench", NEW_LINES)
    assert (prompt.n_prompt, prompt.n_gen, prompt.tokens_per_s) == (None, 0, pytest.approx(800.0))
    assert (generated.n_prompt, generated.n_gen, generated.depth) == (0, None, None)
    assert generated.tokens_per_s == pytest.approx(50.5, rel=1e-6)  # as printed: there is nothing to count again
    assert all(row.doubt is not None and "how many tokens" in row.doubt for row in (prompt, generated))
    assert (generated.file_type, generated.line) == ("Q4_K_M", 5)


def test_several_models_and_runs() -> None:
    other = CSV[CSV.index("gemma3,prefill") :].replace("gemma3", "qwen3:8b")
    three = rows("ollama-bench-csv", CSV + other + CSV)
    assert [row.model for row in three] == ["gemma3", "gemma3", "qwen3:8b", "qwen3:8b", "gemma3", "gemma3"]
    assert [row.n_params for row in three[1:3]] == [4_300_000_000, None]
    alone = CSV.replace("gemma3,prefill,400,1250000.00,800.00\n", "qwen3:8b,prefill,400,1250000.00,800.00\n")
    assert rows("ollama-bench-csv", alone)[1].depth is None  # the prompt before was another model's


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("generate,101", "generate,1", "no step"),
        ("generate,101", "generate,0", "no step"),
        ("50.50", "90.50", "are not 90.5"),
        ("50.50", "fast", "rate"),
        ("101,19801980.20", "101,NaN", "ns_per_token"),
        ("19801980.20", "0.00", "no time"),
        ("gemma3,generate,101", "gemma3,generate", "4 values for 5"),
        ("gemma3,generate", "gemma3,generated", "none of prefill, generate"),
        ("gemma3,generate", ",generate", "no model"),
        ("101,", "101000000000,", "whole number"),
    ],
)
def test_a_malformed_line_is_refused_alone(old: str, new: str, reason: str) -> None:
    text = CSV.replace(old, new, 1)
    assert text != CSV
    items = found("ollama-bench-csv", text)
    assert [type(item) for item in items] == [BenchRow, Rejected]
    ((line, said),) = refused("ollama-bench-csv", text)
    assert line == 4
    assert reason in said


def test_words_between_the_lines() -> None:
    remarks = "WARNING: 2/6 epochs for 'gemma3' had short responses (<200 tokens).\nbench: calibrated 1.30 tokens/word\n\n"
    assert len(rows("ollama-bench-csv", CSV + remarks)) == 2
    assert [line for line, _ in refused("ollama-bench-csv", "gemma3,prefill,400,1250000.00,800.00\n" + CSV)] == [1]
    assert [line for line, _ in refused("ollama-bench-csv", CSV.replace("4.3B", "4.3 GB"))] == [2]


def test_malformed_lines_for_benchstat() -> None:
    assert [line for line, _ in refused("ollama-bench", NEW_LINES.replace("50.50 token/sec", "50.50"))] == [5]
    assert [line for line, _ in refused("ollama-bench", NEW_LINES.replace("50.50", "90.50"))] == [5]
    assert [line for line, _ in refused("ollama-bench", NEW_LINES.replace("1 19801980.20 ns/token 50.50", "1 0 ns/token 0"))] == [5]
    both = refused("ollama-bench", OLD_LINES + NEW_LINES)
    assert [line for line, _ in both] == [10, 11]
    assert "older" in both[0][1]


def test_malformed_lines_of_the_table() -> None:
    empty = TABLE.replace("| 400 | 500ms | 1250000.00 | 800.00 |", "| 0 | 0s | NaN | 0.00 |")
    assert refused("ollama-bench-md", empty) == [(4, "no token of the prompt was evaluated")]
    assert [line for line, _ in refused("ollama-bench-md", TABLE.replace("| 2s |", "| 2 s |"))] == [5]
    assert [line for line, _ in refused("ollama-bench-md", TABLE.replace("| 2s ", ""))] == [5]
