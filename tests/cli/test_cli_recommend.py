"""``mmpredict recommend`` and ``sweep`` from the shell: tables, documents, files, and mistakes in one line."""

from __future__ import annotations

import json
from pathlib import Path

from commands import Call, assert_one_line, write_scenario

LOAD = """
[[load]]
kind = "poisson"
rate_per_s = 0.5
requests = 10
model = "synthetic:smollm2-135m@q8_0"
prompt_tokens = 40
output_tokens = 10
"""


def test_the_recommendation(call: Call) -> None:
    told = call("recommend", "scenario.toml", "--top", "3", "--draws", "4")
    assert told.code == 0
    for words in ("recommended: ", "bound by ", "plans looked at", "makespan", "surely"):
        assert words in told.out
    assert sum(line.lstrip().startswith(("1 ", "2 ", "3 ", "4 ")) for line in told.out.splitlines()) == 3


def test_one_document_and_files(call: Call) -> None:
    arguments = (
        "recommend",
        "scenario.toml",
        "--goal",
        "latency-p95",
        "--json",
        "--draws",
        "3",
        "--family",
        "parallel",
        "--output",
        "out",
    )
    told = call(*arguments, "--export", "llama-server")
    document = json.loads(told.out)
    assert told.code == 0 and document["schema_version"] == 1 and document["ranking"]["goal"] == "latency-p95"
    assert json.loads(Path("out/recommendation.json").read_text()) == document
    assert Path("out/report.html").read_text().startswith("<!DOCTYPE html>")
    assert Path("out/start.sh").stat().st_mode & 0o100 and "written: out/start.sh" in told.err
    assert call(*arguments).out == told.out, "the same question has the same answer"


def test_limits_from_the_command_line(call: Call) -> None:
    told = call(
        "recommend", "scenario.toml", "--json", "--max-memory", "50%", "--max-cores", "2", "--objective", "e2e_p95=1h", "--thorough"
    )
    document = json.loads(told.out)
    assert document["asked"]["objectives"] == ["e2e_p95=1h"] and document["asked"]["thorough"] is True
    assert all(one["objectives"][0]["reached_s"] < 3600 for one in document["ranking"]["ranked"])
    assert_one_line(call("recommend", "scenario.toml", "--max-memory", "1MB"), 3, "none of", "keeps the limits")


def test_mistakes(call: Call) -> None:
    assert_one_line(call("recommend", "scenario.toml", "--goal", "spede"), 2, "unknown goal 'spede'", "known: ")
    assert_one_line(call("recommend", "scenario.toml", "--objective", "ttft=1"), 2, "write MODEL:METRIC=LIMIT")
    assert_one_line(call("recommend", "scenario.toml", "--goal", "energy"), 2, "does not know idle_w and peak_w")
    assert_one_line(call("sweep", "scenario.toml", "--key", "users=1:4:3"), 2, "this scenario has none")
    assert_one_line(call("sweep", "scenario.toml", "--key", "users=1:4:3", "--output", "a.jpg"), 2, "must end in .csv")
    assert_one_line(call("sweep", "scenario.toml", "--key", "server.slotz=1,2"), 2, "server has no 'slotz'")


def test_a_sweep(call: Call) -> None:
    write_scenario()
    Path("scenario.toml").write_text(Path("scenario.toml").read_text() + LOAD)
    key = ("--key", "load[0].rate_per_s=0.2:2:4", "--draws", "2", "--strategy", "parallel")
    told = call(
        "sweep", "scenario.toml", *key, "--output", "out/curve.csv", "--output", "out/curve.svg", "--output", "out/curve.json"
    )
    assert told.code == 0 and "load[0].rate_per_s" in told.out
    assert len(Path("out/curve.csv").read_text().splitlines()) == 5
    assert Path("out/curve.svg").read_text().lstrip().startswith("<?xml")
    document = json.loads(call("sweep", "scenario.toml", *key, "--json").out)
    assert json.loads(Path("out/curve.json").read_text()) == document and len(document["points"]) == 4
