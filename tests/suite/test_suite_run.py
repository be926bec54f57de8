"""Suites simulate without a network, an engine or a calibration; criteria are judged; reports hold what was found."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest

from mmpredict.errors import InputError
from mmpredict.report.suite import HEADER, shown, suite_csv, suite_markdown, suite_table
from mmpredict.results.prediction import Interval
from mmpredict.results.suite import Judgement, SuiteResult, SuiteTestResult
from mmpredict.sizing.mix import Demand, fit
from mmpredict.sizing.wish import Wish
from mmpredict.suite.capacity import capacity
from mmpredict.suite.definition import CountVariant, FitsVariant, MixVariant
from mmpredict.suite.library import SUITES, find_suite
from mmpredict.suite.run import SuiteOptions, run_suite

JETSON = "jetson-orin-nano"


def simulated(name: str, *only: str, draws: int = 3, hardware: str = "", seed: int = 0) -> SuiteResult:
    return run_suite(name, SuiteOptions(hardware, only, draws, seed), Path("nowhere"), lambda label, part: None)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No calibration of anybody is seen."""
    monkeypatch.setenv("MMPREDICT_DATA", str(tmp_path))


@pytest.fixture(scope="module")
def found() -> dict[str, SuiteResult]:
    """Every suite once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMPREDICT_DATA", "/nonexistent")
        return {name: simulated(name, draws=2) for name in SUITES}


@pytest.mark.parametrize("name", SUITES)
def test_every_test_of_a_suite_is_simulated(found: dict[str, SuiteResult], name: str) -> None:
    result, suite = found[name], find_suite(name)
    assert [test.id for test in result.tests] == [test.id for test in suite.tests]
    assert result.provenance and not result.live
    for test in result.tests:
        assert len(test.judgements) == len(suite.tests[result.tests.index(test)].criteria)
        for variant in test.variants:
            assert variant.values and variant.binds and not variant.measured and not variant.why_not
        for one in test.judgements:
            assert one.predicted.low <= one.predicted.value <= one.predicted.high
            assert not math.isnan(one.bound)
    json.dumps(result.to_dict(), allow_nan=False)


def test_the_verdicts_that_follow_from_rules_and_not_from_speed(found: dict[str, SuiteResult]) -> None:
    guide = {test.id: test for test in found["ms-s1-max"].tests}
    routing, keep = guide["8.1.2"].judgements, guide["8.4.2"].judgements
    assert [one.verdict for one in routing] == ["fail", "pass"], "Ollama keeps three models, the router has four"
    assert [one.verdict for one in keep] == ["fail", "pass"], "five minutes are shorter than ten"
    assert [one.predicted.value for one in guide["8.2.1"].judgements[:2]] == [1, 4]
    board = {test.id: test for test in found["jetson"].tests}
    assert [one.verdict for one in board["A1"].judgements[:2]] == ["pass", "fail"], "five of 0.5B in 4 bits, not in 16"
    assert board["C9"].variants[0].values["e2e_s:fallback"].value > 0


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, again, other = (simulated("jetson", "B5", seed=seed) for seed in (1, 1, 2))
    assert json.dumps(first.to_dict()) == json.dumps(again.to_dict()) != json.dumps(other.to_dict())


def test_another_machine_and_chosen_tests() -> None:
    result = simulated("jetson", "c8", "A1", hardware="jetson-orin-nano-super")
    assert result.hardware == "jetson-orin-nano-super"
    assert [test.id for test in result.tests] == ["A1", "C8"]
    with pytest.raises(InputError, match="unknown test 'z9'; there are A1, A2"):
        simulated("jetson", "Z9")


def test_real_runs_are_for_this_machine_only() -> None:
    with pytest.raises(InputError, match="--live goes with --hardware this-machine"):
        run_suite("jetson", SuiteOptions(live=True), Path("nowhere"), lambda label, part: None)


@pytest.mark.parametrize("budget_bytes", [2e9, 5e9, 9e9])
@pytest.mark.parametrize("model", ["qwen2.5-0.5b@Q4_K_M", "qwen2.5-3b@Q4_K_M"])
def test_as_many_fit_as_the_best_mix_has(model: str, budget_bytes: float) -> None:
    result = capacity(CountVariant(kind="count", name="n", model=model), JETSON, budget_bytes)
    count = result.values["count"]
    assert count.low <= count.value <= count.high
    mixes = fit([model], JETSON, Wish(context_tokens=4096, slots=1), Demand(goal="count"), budget_bytes) if count.value else None
    assert count.value == (mixes.mixes[0].counts[model] if mixes else 0)


@pytest.mark.parametrize("hardware", ["ryzen-9-5950x", "raspberry-pi-5"])
def test_machines_without_a_gpu_are_asked_too(hardware: str) -> None:
    variant = CountVariant(kind="count", name="n", model="qwen2.5-0.5b@Q4_K_M")
    assert capacity(variant, hardware, 5e9).values["count"].value >= 1


def test_what_fits_and_what_does_not() -> None:
    small, large = (FitsVariant(kind="fits", name="n", models={model: 1}) for model in ("qwen2.5-0.5b@Q4_K_M", "qwen2.5-7b@F16"))
    assert capacity(small, JETSON, 5e9).answer == "fits"
    found = capacity(large, JETSON, 5e9)
    assert found.answer == "does not fit" and found.values["remains_bytes"].value < 0
    mix = MixVariant(kind="mix", name="n", models=("qwen2.5-0.5b@Q4_K_M", "qwen2.5-3b@Q4_K_M"))
    assert capacity(mix, JETSON, 5e9).answer == "qwen2.5-0.5b@Q4_K_M + qwen2.5-3b@Q4_K_M"
    assert "nothing fits" in capacity(mix, JETSON, 1e8).why_not


def judged(value: float, low: float, high: float, measured: float = math.nan, least: bool = False) -> Judgement:
    around = Interval(value - 10, low - 10, high - 10)
    return Judgement("v", "load_s", least, 10.0, "", "document", Interval(value, low, high), measured, around)


def test_verdicts_and_whether_they_are_sure() -> None:
    assert (judged(8, 7, 9).verdict, judged(8, 7, 9).sure) == ("pass", True)
    assert (judged(8, 7, 12).verdict, judged(8, 7, 12).sure) == ("pass", False)
    assert judged(8, 7, 9, measured=11).verdict == "fail", "what was measured counts"
    assert judged(8, 7, 9, least=True).verdict == "fail"
    assert judged(math.nan, math.nan, math.nan).verdict == "fail", "what could not be predicted is no pass"


def test_a_test_passes_by_the_documents_own_criteria() -> None:
    ours = Judgement("v", "load_s", False, 1.0, "", "ours", Interval(2, 2, 2), math.nan, Interval(1, 1, 1))
    assert SuiteTestResult("1", "A", "t", "?", "s", "", (), (judged(8, 7, 9), ours)).verdict == "pass"
    assert SuiteTestResult("1", "A", "t", "?", "s", "", (), (ours,)).verdict == "fail"


def test_reports_hold_what_was_found(found: dict[str, SuiteResult]) -> None:
    result = found["jetson"]
    page = suite_markdown(result)
    assert page.count("\n### ") == 9 and page.count("\n## Phase") == 3
    assert "nothing was run" in page
    rows = list(csv.DictReader(io.StringIO(suite_csv(result))))
    assert set(rows[0]) == {*HEADER, "verdict", "sure"}
    judgements = [one for test in result.tests for one in test.judgements]
    assert sum(bool(row["verdict"]) for row in rows) == len(judgements)
    loads = [row for row in rows if row["measure"].startswith("load_s:qwen2.5-7b")]
    assert [row["bound"] for row in loads] == ["30"] and loads[0]["measured"] == ""
    assert suite_table(result).row_count == len(result.tests) + len(judgements)


@pytest.mark.parametrize(
    ("measure", "value", "text"),
    [
        ("load_s:x", 2.5, "2.50 s"),
        ("needed_bytes", 4.7e9, "4.70 GB"),
        ("throughput_tokens_per_s", 12.34, "12.3 t/s"),
        ("count", 5.0, "5"),
        ("e2e_p95_s", math.nan, "–"),
    ],
)
def test_values_have_their_units(measure: str, value: float, text: str) -> None:
    assert shown(measure, value) == text
