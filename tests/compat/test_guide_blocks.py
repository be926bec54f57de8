"""The guide's own code runs, unmodified but for the import path, and says what it says there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from guide import IMPORTS, blocks, runnable

HEADINGS = [
    "Basic Usage",
    "Execution Strategy Recommendation",
    "1. Parallel Execution",
    "2. Sequential Execution",
    "3. Batched Execution",
    "Resource Contention Modeling",
    "Cross-Model Tensor Sharing",
    "Execution Schedule",
    "Integration with Web Resource Pool",
    "Custom Sharing Configuration",
    "Resource Constraints",
]
PRINTED = {
    "Basic Usage": r"Total Throughput: [\d.]+ items/sec\nTotal Latency: [\d.]+ ms\nTotal Memory: [\d.]+ MB\n",
    "Execution Strategy Recommendation": (
        r"Recommended Strategy: (parallel|sequential|batched)\nOptimization Goal: throughput\n"
        r"(\n\w+ Strategy:\n  Throughput: [\d.]+ items/sec\n  Latency: [\d.]+ ms\n  Memory: [\d.]+ MB\n){3}"
    ),
    "Resource Contention Modeling": (
        r"Compute Contention: [\d.]+x\nMemory Bandwidth Contention: [\d.]+x\nMemory Contention: [\d.]+x\n"
    ),
    "Cross-Model Tensor Sharing": r"Memory Benefit: [01]\.\d\dx\nCompute Benefit: [01]\.\d\dx\nCompatible Pairs: \d+\n",
    "Execution Schedule": r"Total Execution Time: [\d.]+ ms\n([\w.-]+: [\d.]+ to [\d.]+ ms\n){6}",
}


def test_every_block_is_there() -> None:
    assert [heading for heading, _ in blocks()] == HEADINGS
    assert sum(code.count(theirs) for _, code in blocks() for theirs in IMPORTS) == 2


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*headings: str) -> dict[str, Any]:
    """Run blocks in one name space."""
    space: dict[str, Any] = {}
    for heading, code in blocks():
        if heading in headings:
            exec(compile(runnable(code), heading, "exec"), space)
    return space


@pytest.mark.parametrize("heading", HEADINGS)
def test_a_block_runs_after_the_first(heading: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = run(HEADINGS[0], heading)
    printed = capsys.readouterr().out
    if heading in PRINTED:
        assert re.search(PRINTED[heading], printed), printed
    prediction = space["prediction"]
    totals, schedule = prediction["total_metrics"], prediction["execution_schedule"]
    assert totals["combined_latency"] == schedule["total_execution_time"]
    assert totals["combined_throughput"] == pytest.approx(7 / totals["combined_latency"] * 1e3)
    assert 100 < totals["combined_memory"] < 10_000
    assert all(factor >= 1.0 for factor in prediction["contention_factors"].values())


def test_all_blocks_run_one_after_the_other(place: Path) -> None:
    space = run(*HEADINGS)
    assert (place / "custom_sharing_config.json").is_file()
    prediction = space["prediction"]  # by the predictor with the custom table, within constraints
    assert prediction["sharing_benefits"]["assumed"]
    assert any("custom_sharing_config.json" in sentence for sentence in prediction["assumed"])
    assert prediction["total_metrics"]["combined_memory"] <= space["resource_constraints"]["max_memory"]


def test_units_are_those_of_the_guide(place: Path) -> None:
    prediction = run("Basic Usage")["prediction"]
    bert, vit, t5 = prediction["individual_predictions"]
    for one, items in ((bert, 4), (vit, 1), (t5, 2)):
        assert one["throughput"] == pytest.approx(items / (one["latency"] / 1e3))  # items/s and ms
    # BERT holds 110 million 16-bit weights, ViT 86, T5-small 60; each process takes less than 1 GB with them: MB.
    assert [one["memory"] for one in (bert, vit, t5)] == [pytest.approx(600, rel=0.3)] * 3
    assert [event["model"] for event in prediction["execution_schedule"]["timeline"] if event["kind"] == "execute"]
