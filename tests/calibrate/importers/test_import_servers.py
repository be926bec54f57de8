"""llama-batched-bench, llama-server, Ollama, and our own measurements."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmpredict.calibrate.importers.formats import READERS, detect
from mmpredict.calibrate.importers.ollama_text import duration_ns
from mmpredict.calibrate.importers.row import BenchRow, Found, Rejected, RowError
from mmpredict.calibrate.measurement import Measurement, MeasurementLog


def found(name: str, text: str) -> list[Found]:
    assert detect(text) == name
    return list(READERS[name](text, "file"))


def rows(name: str, text: str) -> list[BenchRow]:
    items = found(name, text)
    assert not [item for item in items if isinstance(item, Rejected)]
    return [item for item in items if isinstance(item, BenchRow)]


def refused(name: str, text: str) -> list[tuple[int, str]]:
    return [(item.line, item.reason) for item in found(name, text) if isinstance(item, Rejected)]


BATCHED = """
main: n_kv_max = 8192, n_batch = 2048, n_ubatch = 512, flash_attn = -1, is_pp_shared = 0, is_tg_separate = 0, n_gpu_layers = 99, \
n_threads = 8, n_threads_batch = 8

|    PP |     TG |    B |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |      T s |    S t/s |
|-------|--------|------|--------|----------|----------|----------|----------|----------|----------|
|   128 |     32 |    1 |    160 |    0.100 |  1280.00 |    0.640 |    50.00 |    0.740 |   216.22 |
|   128 |     32 |    8 |   1280 |    0.500 |  2048.00 |    1.280 |   200.00 |    1.780 |   719.10 |

llama_perf_context_print:        eval time =     640.00 ms /    32 runs   (   20.00 ms per token,    50.00 tokens per second)
"""


def test_batched_bench_gives_the_speed_of_all_sequences_together() -> None:
    single_prompt, single, prompt, batch = rows("batched-bench-table", BATCHED)
    assert (single.test, single.tokens_per_s, single.parallel, single.depth) == ("tg", 50.0, 1, 128)
    assert (batch.test, batch.tokens_per_s, batch.parallel, batch.depth, batch.n_gen) == ("batch", 200.0, 8, 128, 32)
    assert (prompt.test, prompt.tokens_per_s, prompt.parallel, prompt.n_prompt) == ("pp", 2048.0, 8, 128)
    assert (single_prompt.line, batch.line) == (6, 7)
    assert (batch.n_ubatch, batch.threads, batch.gpu_layers, batch.flash_attention) == (512, 8, 99, None)
    bare = rows("batched-bench-table", BATCHED[BATCHED.index("|") :])
    assert [row.tokens_per_s for row in bare] == [1280.0, 50.0, 2048.0, 200.0]
    assert bare[0].threads is None


def batched(**change: object) -> str:
    row = {
        "n_kv_max": 8192,
        "n_batch": 2048,
        "n_ubatch": 512,
        "flash_attn": 1,
        "is_pp_shared": 0,
        "n_gpu_layers": 99,
        "n_threads": 8,
    }
    row |= {"n_threads_batch": 8, "pp": 128, "tg": 32, "pl": 8, "n_kv": 1280, "t_pp": 0.5, "speed_pp": 2048.0, "t_tg": 1.28}
    return json.dumps(row | {"speed_tg": 200.0, "t": 1.78, "speed": 719.1} | change) + "\n"


def test_batched_bench_in_lines() -> None:
    prompt, batch = rows("batched-bench-jsonl", batched())
    assert (prompt.parallel, batch.parallel, batch.tokens_per_s, batch.flash_attention) == (8, 8, 200.0, True)
    shared = rows("batched-bench-jsonl", batched(is_pp_shared=1, speed_pp=256.0))
    assert (shared[0].parallel, shared[0].tokens_per_s, shared[1].parallel) == (1, 256.0, 8)
    assert [row.test for row in rows("batched-bench-jsonl", batched(tg=0, speed_tg=0.0, t_tg=0.0))] == ["pp"]


@pytest.mark.parametrize(
    "change",
    [{"pl": 0}, {"speed_tg": 25.0}, {"speed_pp": 256.0}, {"t_tg": -1}, {"pp": 10**12}, {"tg": 0, "pp": 0}, {"tg": "32x"}],
    ids=str,
)
def test_batched_bench_refuses_what_contradicts_itself(change: dict[str, object]) -> None:
    assert [line for line, _ in refused("batched-bench-jsonl", batched(**change))] == [1]


def test_the_table_refuses_what_contradicts_itself() -> None:
    table = BATCHED.replace("|   200.00 |", "|    25.00 |").replace("|    160 |", "|")
    assert [line for line, _ in refused("batched-bench-table", table)] == [6, 7]


TIMINGS = {"cache_n": 100, "prompt_n": 400, "prompt_ms": 500.0, "prompt_per_second": 800.0}
TIMINGS |= {"predicted_n": 101, "predicted_ms": 2000.0, "predicted_per_second": 50.0}


def test_timings_count_steps_whatever_the_build_printed() -> None:
    old = TIMINGS | {"predicted_per_second": 50.5}
    for timings in (TIMINGS, old):
        answer = {"content": "…", "model": "Qwen3-8B-Q4_K_M", "timings": timings}
        for text in (
            json.dumps(answer),
            json.dumps(timings),
            f"data: {json.dumps(answer)}\n\ndata: [DONE]\n",
            json.dumps(answer, indent=2),
        ):
            prompt, generated = rows("llama-server-timings", text)
            assert (prompt.tokens_per_s, prompt.n_prompt, prompt.depth) == (800.0, 400, 100)
            assert (generated.tokens_per_s, generated.n_gen, generated.depth) == (50.0, 101, 500)
    assert [row.test for row in rows("llama-server-timings", json.dumps(TIMINGS | {"prompt_n": 0}))] == ["tg"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"predicted_n": 1}, "no step"),
        ({"predicted_per_second": 70.0}, "are not 70"),
        ({"draft_n": 30}, "drafted"),
        ({"predicted_ms": 0}, "above 0"),
        ({"predicted_ms": 1e-300, "predicted_per_second": None}, "more than any machine"),
    ],
)
def test_timings_that_are_no_speed(change: dict[str, object], reason: str) -> None:
    prompt, generated = found("llama-server-timings", json.dumps(TIMINGS | change))
    assert isinstance(prompt, BenchRow)
    assert isinstance(generated, Rejected)
    assert reason in generated.reason


LOG = """\
build: 11549 (0c1e57098) with cc (Ubuntu 13.3.0) for x86_64-linux-gnu
system_info: n_threads = 8 (n_threads_batch = 8) / 16 | CPU : AVX2 = 1 |
llama_model_loader: loaded meta data with 33 key-value pairs and 291 tensors from /m/x.gguf (version GGUF V3 (latest))
print_info: file type   = Q4_K - Medium
print_info: file size   = 4.58 GiB (4.89 BPW)
print_info: general.name          = Llama 3.1 8B Instruct
load_tensors: offloaded 33/33 layers to GPU
llama_context: n_batch               = 2048
llama_context: n_ubatch              = 512
slot launch_slot_: id  0 | task 0 | processing task, is_child = 0
slot update_slots: id  0 | task 0 | new prompt, n_ctx_slot = 8192, n_keep = 0, task.n_tokens = 500
slot print_timing: id  0 | task 0 | prompt eval time =     500.00 ms /   400 tokens (    1.25 ms per token,   800.00 tokens per second)
slot print_timing: id  0 | task 0 |        eval time =    2000.00 ms /   101 tokens (   20.00 ms per token,    50.00 tokens per second)
slot print_timing: id  0 | task 0 |       total time =    2500.00 ms /   501 tokens
slot      release: id  0 | task 0 | stop processing: n_tokens = 600, truncated = 0
"""  # noqa: E501


def test_a_log_tells_model_batch_and_depth() -> None:
    prompt, generated = rows("llama-server-log", LOG)
    assert (prompt.tokens_per_s, prompt.n_prompt, prompt.depth, prompt.line) == (800.0, 400, 100, 12)
    assert (generated.tokens_per_s, generated.n_gen, generated.depth, generated.parallel) == (50.0, 101, 500, 1)
    said = (generated.model, generated.file_type, generated.build, generated.threads, generated.gpu_layers, generated.n_ubatch)
    assert said == ("Llama 3.1 8B Instruct", "Q4_K_M", "0c1e57098 (11549)", 8, 33, 512)
    assert generated.size_bytes == pytest.approx(4.58 * 2**30, abs=1)


def test_a_log_refuses_company_drafts_and_torn_lines() -> None:
    second = "slot launch_slot_: id  1 | task 7 | processing task, is_child = 0\nslot print_timing: id  0 | task 0 | prompt"
    shared = refused("llama-server-log", LOG.replace("slot print_timing: id  0 | task 0 | prompt", second))
    assert [reason for _, reason in shared] == ["other requests ran in the same steps"] * 2
    drafted = LOG.replace(
        "slot      release", "slot print_timing: id  0 | task 0 | draft acceptance = 0.5 (5 accepted)\nslot      release"
    )
    assert [line for line, _ in refused("llama-server-log", drafted)] == [13]
    assert [line for line, _ in refused("llama-server-log", LOG.replace("50.00 tokens per second)", "50.0"))] == [13]
    assert [line for line, _ in refused("llama-server-log", LOG.replace("   101 tokens", "     1 tokens"))] == [13]
    alone = "eval time =     640.00 ms /    32 runs   (   20.00 ms per token,    50.00 tokens per second)"
    assert rows("llama-server-log", f"llama_perf_context_print:        {alone}\n")[0].tokens_per_s == pytest.approx(50.0)


ANSWER = {"model": "qwen3:8b", "created_at": "2026-03-01T12:00:00.123456789Z", "done": True, "done_reason": "stop"}
ANSWER |= {
    "total_duration": 3_000_000_000,
    "load_duration": 40_000_000,
    "prompt_eval_count": 400,
    "prompt_eval_duration": 500_000_000,
}
ANSWER |= {"eval_count": 101, "eval_duration": 2_000_000_000}


def test_ollama_answers() -> None:
    chunk = {"model": "qwen3:8b", "done": False, "message": {"content": "x"}}
    load = {"model": "qwen3:8b", "done": True, "done_reason": "load"}
    text = "".join(json.dumps(one) + "\n" for one in (chunk, load, ANSWER))
    prompt, generated = rows("ollama-api", text)
    assert (prompt.tokens_per_s, prompt.n_prompt, prompt.engine, prompt.line) == (800.0, 400, "ollama", 3)
    assert prompt.doubt is not None
    assert "cached" in prompt.doubt
    assert (generated.tokens_per_s, generated.depth, generated.model, generated.doubt) == (50.0, 400, "qwen3:8b", None)


@pytest.mark.parametrize(
    "change", [{"eval_duration": 0}, {"eval_count": 1}, {"eval_count": -3}, {"eval_duration": 10**40}], ids=str
)
def test_ollama_answers_that_are_no_speed(change: dict[str, object]) -> None:
    assert len(refused("ollama-api", json.dumps(ANSWER | change))) == 1


VERBOSE = """\
$ ollama run --verbose qwen3:8b
>>> hello
Hello!

total duration:       1m2.54s
load duration:        40.1ms
prompt eval count:    400 token(s)
prompt eval duration: 500ms
prompt eval rate:     800.00 tokens/s
eval count:           101 token(s)
eval duration:        2s
eval rate:            50.50 tokens/s
"""


def test_ollama_verbose() -> None:
    prompt, generated = rows("ollama-verbose", VERBOSE)
    assert (prompt.tokens_per_s, generated.tokens_per_s, generated.depth, generated.line) == (800.0, 50.0, 400, 5)
    assert generated.model == "qwen3:8b"
    twice = rows("ollama-verbose", VERBOSE + VERBOSE[VERBOSE.index("total") :])
    assert [row.line for row in twice] == [5, 5, 13, 13]
    without = rows("ollama-verbose", VERBOSE[VERBOSE.index("total") :])
    assert without[0].model is None
    assert [line for line, _ in refused("ollama-verbose", VERBOSE.replace("2s\n", "2 s\n"))] == [11, 5]
    assert len(refused("ollama-verbose", VERBOSE.replace("50.50", "90.50"))) == 1


@pytest.mark.parametrize(
    ("text", "ns"), [("1h2m3.5s", 3723.5e9), ("45.6ms", 45.6e6), ("7µs", 7e3), ("9ns", 9), ("1m0s", 60e9), ("2m", 120e9)]
)
def test_durations(text: str, ns: float) -> None:
    assert duration_ns(text) == pytest.approx(ns)


@pytest.mark.parametrize("text", ["", "5", "s", "1.5m", "-1s", "1s2m", "1e3s"])
def test_no_durations(text: str) -> None:
    with pytest.raises(RowError, match="no duration"):
        duration_ns(text)


def test_our_own_measurements(tmp_path: Path) -> None:
    header = {"machine": "bench", "engine": "xllamacpp 1", "cores": 2, "measured_on": "2026-11-20"}
    with MeasurementLog(tmp_path / "own.jsonl", header) as log:
        log.add(Measurement("load", "probe@q8_0", 2, None, {"cold": 0, "duration_s": 1.0}))
        log.add(Measurement("prefill", "probe@q8_0", 2, None, {"tokens": 128, "duration_s": 0.5}))
        log.add(Measurement("decode", "probe@q8_0", 2, None, {"sequences": 4, "depth": 64, "steps": 10, "duration_s": 0.5}))
    text = log.path.read_text("utf-8")
    prompt, batch = rows("measurements", text)
    assert (prompt.tokens_per_s, prompt.line, prompt.engine, prompt.machine, prompt.date) == (
        256.0,
        3,
        "xllamacpp 1",
        "bench",
        "2026-11-20",
    )
    assert (batch.test, batch.tokens_per_s, batch.parallel, batch.depth, batch.file_type) == ("batch", 80.0, 4, 64, "Q8_0")
    assert [line for line, _ in refused("measurements", text.replace('"steps": 10', '"steps": 0'))] == [4]
    assert [line for line, _ in refused("measurements", text.replace('"kind": "load"', '"kind": "lost"'))] == [2]
