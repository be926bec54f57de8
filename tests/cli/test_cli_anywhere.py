"""Plans predicted for machines that are not here and were not calibrated: from the scenario to the printed recommendation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import Call, assert_one_line

REQUESTS = """
[[requests]]
model = "{}"
prompt_tokens = 256
output_tokens = 64
count = 2
"""
STRIX = ("qwen2.5:7b", "llama3.1:8b", "qwen3:30b-a3b")
JETSON = ("qwen2.5:3b", "gemma3:4b", "llama3.2:1b")


def write(hardware: str, models: tuple[str, ...], head: str = "") -> None:
    Path("anywhere.toml").write_text(f'hardware = "{hardware}"\n{head}\n' + "".join(map(REQUESTS.format, models)))


def predicted(call: Call, *options: str) -> tuple[dict[str, Any], str]:
    outcome = call("predict", "anywhere.toml", "--draws", "30", "--json", *options)
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out), outcome.err


def test_three_models_on_a_mini_computer(call: Call, place: Path) -> None:
    write("ms-s1-max", STRIX)
    found, remarks = predicted(call)
    assert set(found["predictions"]) == {"sequential", "parallel", "batched"}
    assert set(found["left_out"]) == {"parallel-divided", "parallel-yielding"}
    assert "parallel-divided is not listed: the same as parallel on ms-s1-max:performance" in remarks
    for name, prediction in found["predictions"].items():
        makespan = prediction["metrics"]["makespan_s"]
        assert makespan["low"] < makespan["value"] < makespan["high"], name
        assert "published runs of" in prediction["provenance"][0]
        assert len(prediction["records"]["requests"]) == 6
    assumed = {n: any("assumed: turns" in one for one in p["warnings"]) for n, p in found["predictions"].items()}
    assert assumed == {"sequential": False, "parallel": True, "batched": True}, "only who has company is warned of it"
    # one at a time, each request waits for all before it; at once, batches share what is read
    makespans = {name: p["metrics"]["makespan_s"]["value"] for name, p in found["predictions"].items()}
    assert makespans["sequential"] > makespans["parallel"]
    assert found["recommendation"]["strategy"] in ("parallel", "batched")


def test_three_models_on_a_board_that_holds_one(call: Call, place: Path) -> None:
    write("jetson-orin-nano", JETSON)
    found, remarks = predicted(call)
    assert list(found["predictions"]) == ["sequential"]
    assert set(found["infeasible"]) == {"parallel", "batched"}
    assert "parallel does not fit: qwen2.5:3b, gemma3:4b, llama3.2:1b need" in remarks
    assert found["predictions"]["sequential"]["metrics"]["memory_peak_bytes"]["value"] < 5e9


def test_two_small_models_on_the_same_board(call: Call, place: Path) -> None:
    write("jetson-orin-nano", ("llama3.2:1b", "qwen2.5:0.5b"))
    found, _ = predicted(call)
    assert set(found["predictions"]) == {"sequential", "parallel", "batched"}
    parallel, batched = (found["predictions"][name]["metrics"] for name in ("parallel", "batched"))
    assert parallel == batched, "one group of two is all at once"


def test_a_table_is_printed(call: Call, place: Path) -> None:
    write("jetson-orin-nano", JETSON)
    outcome = call("predict", "anywhere.toml", "--draws", "5", "--output", "report")
    assert outcome.code == 0
    assert "sequential" in outcome.out and "makespan" in outcome.out
    assert Path("report/prediction.json").is_file()


def test_nothing_that_fits(call: Call, place: Path) -> None:
    write("jetson-orin-nano", ("llama3.3:70b",))
    assert_one_line(call("predict", "anywhere.toml"), 3, "llama3.3:70b need", "unified memory", "smaller contexts")


def test_a_strategy_of_the_cores_alone(call: Call, place: Path) -> None:
    write("ms-s1-max", STRIX, 'strategies = ["parallel-divided"]')
    assert_one_line(call("predict", "anywhere.toml"), 2, "parallel-divided is the same as parallel", "ask for parallel")


def test_a_machine_without_a_gpu_has_all_strategies(call: Call, place: Path) -> None:
    write("raspberry-pi-5", ("llama3.2:1b", "qwen2.5:0.5b"))
    found, _ = predicted(call)
    assert len(found["predictions"]) == 5
    assert found["left_out"] == {}
    spinning = found["predictions"]["parallel"]
    assert any("8 threads on 4 cores" in one for one in spinning["warnings"])
    assert any("fair shares" in one for one in spinning["warnings"])
    assert found["recommendation"]["strategy"] != "parallel"


@pytest.mark.parametrize("mode", ["quiet", "balanced"])
def test_a_power_mode_is_part_of_the_name(mode: str, call: Call, place: Path) -> None:
    write(f"ms-s1-max:{mode}", STRIX[:1], 'strategies = ["sequential"]')
    found, _ = predicted(call)
    assert f"ms-s1-max:{mode}, gpu" in found["predictions"]["sequential"]["provenance"][0]
    assert f"scaled to {mode}" in found["predictions"]["sequential"]["provenance"][0]
