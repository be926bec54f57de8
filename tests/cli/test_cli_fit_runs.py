"""``mmpredict calibrate fit`` of somebody's own runs, from the file to the estimate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Call, assert_one_line

HEAD = "| model | size | params | backend | ngl | fa | test | t/s |\n|---|---|---|---|---|---|---|---|\n"
RUNS = {"pp512": 9000.0, "tg128": 110.0, "tg128 @ d4096": 101.0}


def table(rows: dict[str, float], layers: int = 99, flash: int = 1) -> str:
    model = f"| llama 8B Q4_K - Medium | 4.58 GiB | 8.03 B | CUDA | {layers} | {flash} |"
    return HEAD + "".join(f"{model} {test} | {rate:.2f} ± 0.10 |\n" for test, rate in rows.items())


def told(call: Call, model: str = "llama3.1:8b") -> dict[str, float]:
    document = json.loads(call("estimate", model, "--hardware", "rtx-4090", "--json").out)
    (found,) = document["speeds"]
    return {figure["test"]: figure["value"] for figure in found["figures"]} | {"own": found["basis"] == "own"}


def test_own_runs_move_the_estimate(call: Call) -> None:
    before = told(call)
    Path("bench.md").write_text(table({test: 0.8 * before[test] for test in RUNS}), "utf-8")
    outcome = call("calibrate", "fit", "bench.md", "--hardware", "rtx4090")
    assert outcome.code == 0, outcome.err
    row = next(line for line in outcome.out.splitlines() if "rtx-4090" in line)
    assert [cell.strip() for cell in row.split("│")[1:6]] == ["rtx-4090", "cuda gpu", "3", "1", "20.0 %"]
    assert "fitted 3 × llama3-8b Q4_K_M" in outcome.out
    assert "use them: mmpredict estimate MODEL --hardware rtx4090" in outcome.err
    after = told(call)
    assert (before["own"], after["own"]) == (False, True)
    for test in RUNS:
        assert after[test] == pytest.approx(0.8 * before[test], rel=0.03), test
    assert "3 runs of yours" in call("calibrate", "show", "--hardware", "rtx-4090").out


def test_imported_rows_give_the_same_as_the_files_in_any_order(call: Call) -> None:
    Path("a.md").write_text(table(RUNS), "utf-8")
    Path("b.md").write_text(table({"pp2048": 8800.0, "tg64": 109.0}), "utf-8")
    assert call("calibrate", "import", "a.md", "b.md", "--output", "rows.jsonl").code == 0
    written = []
    for number, files in enumerate((["a.md", "b.md"], ["b.md", "a.md"], ["rows.jsonl"], ["rows.jsonl", "a.md"])):
        assert call("calibrate", "fit", *files, "--hardware", "rtx-4090", "--output", f"{number}").code == 0
        written.append(json.loads(Path(f"{number}/rtx-4090/cuda-gpu.json").read_text("utf-8")))
    for one in written:
        del one["rejected"]
    assert written[0] == written[1] == written[2] == written[3]
    assert told(call)["own"] is False, "--output is elsewhere"


def test_what_is_left_out_is_counted_with_its_reason(call: Call) -> None:
    text = table(RUNS) + "\n" + table({"tg128": 30.0}, layers=20) + "\n" + table({"tg128": 99.0, "pp512+tg128": 500.0}, flash=0)
    Path("bench.md").write_text(text + "| llama 8B Q4_K - Medium | 4.58 GiB | 8.03 B | CUDA | 99 | 1 | tg128 | fast |\n", "utf-8")
    outcome = call("calibrate", "fit", "bench.md", "--hardware", "rtx-4090")
    for words in ("1 × layers on two processors", "1 × without flash attention", "1 × prompt and generation", "1 × t/s 'fast'"):
        assert words in outcome.err
    document = json.loads(call("calibrate", "fit", "bench.md", "--hardware", "rtx-4090", "--json").out)
    assert (sum(document["left_out"].values()), sum(document["skipped"].values())) == (3, 1)
    (fit,) = document["fits"]
    assert (fit["machine"], fit["backend"], fit["rows"], fit["models"]) == ("rtx-4090", "cuda", 3, ["llama3-8b"])
    assert fit["errors"]["decode"]["after"]["median"] < fit["errors"]["decode"]["before"]["median"]


def test_the_model_may_be_named(call: Call) -> None:
    Path("speed.jsonl").write_text(
        '{"n_kv_max": 8192, "n_gpu_layers": 99, "flash_attn": 1, "pp": 512, "tg": 128, "pl": 1, "n_kv": 640, '
        '"t_pp": 0.0569, "speed_pp": 9000.0, "t_tg": 1.1636, "speed_tg": 110.0, "t": 1.2205, "speed": 524.37}\n'
    )
    assert_fails(call, ["speed.jsonl"], "the model is not said; name it with --model")
    outcome = call("calibrate", "fit", "speed.jsonl", "--hardware", "rtx-4090", "--model", "llama3.1:8b")
    assert outcome.code == 0, outcome.err
    assert "fitted 2 × llama3.1-8b Q4_K_M" in outcome.out
    assert_fails(call, ["speed.jsonl", "--model", "llama9:8b"], "'llama9'", "llama3")


def assert_fails(call: Call, arguments: list[str], *words: str) -> None:
    outcome = call("calibrate", "fit", *arguments, "--hardware", "rtx-4090")
    assert outcome.code == 2
    assert outcome.out == ""
    for word in words:
        assert word in outcome.err


def test_kinds_of_files_are_not_mixed(call: Call) -> None:
    published = Path(__file__).parents[2] / "calibration"
    Path("bench.md").write_text(table(RUNS), "utf-8")
    csv = str(published / "published" / "rtx-4090.csv")
    raw = str(next((published / "measurements").rglob("*.jsonl")))
    for files in (["bench.md", csv], ["bench.md", raw], [csv, raw], [raw, raw]):
        assert_one_line(call("calibrate", "fit", *files), 2, "alone")
    for file in (csv, raw):
        assert_one_line(call("calibrate", "fit", file, "--hardware", "rtx-4090"), 2, "--hardware")
    Path("other.csv").write_text('n_prompt,n_gen,avg_ts,model_type,model_n_params\n0,128,110.0,"llama 8B Q4_0",8030000000\n')
    assert call("calibrate", "fit", "other.csv", "--hardware", "rtx-4090").code == 0, "a table of llama-bench is none of ours"


def test_what_cannot_be_fitted_leaves_the_rates_as_they_were(call: Call) -> None:
    Path("bench.md").write_text(table(RUNS), "utf-8")
    call("calibrate", "fit", "bench.md", "--hardware", "rtx-4090")
    before = told(call)
    Path("other.md").write_text(table(RUNS, flash=0), "utf-8")
    assert_fails(call, ["other.md"], "no row can be fitted: 3 × without flash attention")
    assert_fails(call, ["lost.md"], "lost.md")
    assert_fails(call, ["bench.md", "lost.md"], "lost.md")
    Path("empty.md").write_text("")
    assert_fails(call, ["empty.md"], "none of the known formats")
    assert told(call) == before
    assert_one_line(call("calibrate", "fit", "bench.md", "--hardware", "rtx-9999"), 2, "rtx-9999")
