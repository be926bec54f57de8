"""Runs and rows of ``validate scenarios``: with servers that do as the model says, slower ones, failing ones, recorded ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean, median
from typing import Any

import pytest

from mmpredict.cost.chain import CostModel
from mmpredict.cost.coefficients import Coefficients
from mmpredict.models.spec import ModelSpec
from mmpredict.results.records import Records
from mmpredict.results.scenarios_check import choices, misses, summaries
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.run import simulate
from mmpredict.validation import scenarios
from mmpredict.validation.raw_runs import Header, RawRuns, begin, read_raw
from mmpredict.validation.scenario_cases import BEYOND, METRICS, RANDOM
from mmpredict.validation.scenarios import measures, run_cases, scenario_rows
from mmpredict.workload.request import Workload

RECORDED = Path(__file__).parent / "data" / "recorded-scenario.jsonl"


def quiet(label: str, part: float) -> None:
    """Nobody watches."""


class Servers:
    """Servers that take ``factor`` times as long as the model says, and are interrupted at a run."""

    def __init__(self, coefficients: Coefficients, factor: float, interrupted_at: int | None, fails: str) -> None:
        self.coefficients, self.factor, self.interrupted_at, self.fails = coefficients, factor, interrupted_at, fails
        self.ran: list[str] = []

    def __call__(
        self, plan: Plan, workload: Workload, specs: Mapping[str, ModelSpec], memory_bytes: float, logs: Path, limit_s: float
    ) -> Records:
        if len(self.ran) == self.interrupted_at:
            raise KeyboardInterrupt
        self.ran.append(plan.strategy)
        records = simulate(plan, workload, specs, CostModel(self.coefficients), memory_bytes)
        for row in records.requests:
            for name in ("dispatched_s", "prefill_start_s", "first_token_s", "finish_s"):
                setattr(row, name, row.arrival_s + self.factor * (getattr(row, name) - row.arrival_s))
            row.status = "timeout" if plan.strategy == self.fails else "ok"
        return records


@pytest.fixture
def begun(tmp_path: Path) -> tuple[RawRuns, Path]:
    """A raw file of three cases without any run."""
    path = tmp_path / "runs.jsonl"
    return begin(path, Header("bench", "engine 1", 8e9, 0, 2), read_raw(RECORDED).cases), path


def run(
    begun: tuple[RawRuns, Path],
    coefficients: Coefficients,
    monkeypatch: pytest.MonkeyPatch,
    factor: float = 1.0,
    interrupted_at: int | None = None,
    fails: str = "",
) -> Servers:
    servers = Servers(coefficients, factor, interrupted_at, fails)
    monkeypatch.setattr(scenarios, "execute_plan", servers)
    monkeypatch.setattr(scenarios, "materialize", lambda spec: None)
    raw, path = begun
    run_cases(raw, path, path.parent / "logs", quiet)
    return servers


def test_servers_that_do_as_predicted_are_predicted(
    begun: tuple[RawRuns, Path], coefficients: Coefficients, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(begun, coefficients, monkeypatch)
    rows = scenario_rows(begun[0], coefficients, quiet, draws=30)
    assert {row.metric for row in rows} == set(METRICS)
    assert all(row.runs == 2 and row.noise_frac == 0 and row.inside for row in rows if row.group == RANDOM)
    assert max(abs(row.error_frac) for row in rows if row.group == RANDOM) < 0.1, (
        "the median of the draws is not the run of medians"
    )
    assert read_raw(begun[1]).runs.keys() == begun[0].runs.keys()


def test_servers_that_take_twice_as_long_are_not(
    begun: tuple[RawRuns, Path], coefficients: Coefficients, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(begun, coefficients, monkeypatch, factor=2.0)
    rows = [row for row in scenario_rows(begun[0], coefficients, quiet, draws=30) if row.group == RANDOM]
    for metric in ("e2e_p50_s", "e2e_mean_s", "ttft_mean_s"):
        assert summaries(rows)[metric].bias_frac == pytest.approx(-0.5, abs=0.06)
    said = misses(rows, choices(rows))
    assert any(one.startswith("e2e mean: median error") for one in said)


def test_an_interrupted_check_is_gone_on_with(
    begun: tuple[RawRuns, Path], coefficients: Coefficients, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(begun, coefficients, monkeypatch, interrupted_at=4)
    kept = read_raw(begun[1])
    assert len(kept.runs) == 4
    assert len(scenario_rows(kept, coefficients, quiet, draws=5)) == 3 * len(METRICS), "a usable file"
    servers = run((kept, begun[1]), coefficients, monkeypatch)
    assert len(servers.ran) == 2
    assert set(read_raw(begun[1]).runs) == {(number, turn) for number in range(3) for turn in range(2)}


def test_failed_runs_are_no_measurement_and_are_said(
    begun: tuple[RawRuns, Path], coefficients: Coefficients, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(begun, coefficients, monkeypatch, fails="sequential")
    rows = scenario_rows(begun[0], coefficients, quiet, draws=5)
    lost = [row for row in rows if row.strategy == "sequential"]
    assert all((row.runs, row.failed) == (0, 2) and math.isnan(row.measured) for row in lost)
    assert "in 2 runs a request failed" in misses(rows, choices(rows))
    (choice,) = choices(rows)
    assert math.isinf(choice.measured_s["sequential"]) and choice.best != "sequential"


def test_a_recorded_file_gives_the_figures_that_it_holds(coefficients: Coefficients) -> None:
    raw = read_raw(RECORDED)
    rows: dict[tuple[str, str], Any] = {(row.strategy, row.metric): row for row in scenario_rows(raw, coefficients, quiet, draws=5)}
    assert {strategy for strategy, _ in rows} == {"sequential", "parallel-divided", "parallel-yielding"}
    for number, case in enumerate(raw.cases):
        runs = raw.of(number)
        assert len(runs) == 2 and {records.origin for records in runs} == {"measured"}
        makespans = [max(q.finish_s for q in r.requests) - min(q.arrival_s for q in r.requests) for r in runs]
        waits = [fmean(q.first_token_s - q.arrival_s for q in r.requests) for r in runs]
        tokens = sum(request.output_tokens for request in case.workload.requests)
        peaks = [max(state.used for state in r.states if state.resource == "memory") for r in runs]
        strategy = case.plan.strategy
        assert rows[strategy, "makespan_s"].measured == pytest.approx(median(makespans))
        assert rows[strategy, "ttft_mean_s"].measured == pytest.approx(median(waits))
        assert rows[strategy, "throughput_tokens_per_s"].measured == pytest.approx(median(tokens / one for one in makespans))
        assert rows[strategy, "memory_peak_bytes"].measured == pytest.approx(median(peaks))
        assert (rows[strategy, "makespan_s"].group == BEYOND) == (strategy == "parallel-yielding")


def test_measures_of_a_run_are_those_of_its_requests(coefficients: Coefficients) -> None:
    (case, *_) = read_raw(RECORDED).cases
    records = simulate(case.plan, case.workload, case.specs, CostModel(coefficients), 8e9)
    found = measures(records)
    assert found["e2e_mean_s"] == pytest.approx(fmean(row.finish_s - row.arrival_s for row in records.requests))
    assert found["load_wait_s"] == pytest.approx(sum(row.load_wait_s for row in records.requests))
