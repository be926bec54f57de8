"""Validations as they are run, kept, shown and learnt from, on a machine whose servers are made up."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from commands import ENGINE, SCENARIO, Call, assert_one_line, files

from mmpredict import api, forecasting
from mmpredict.calibrate.store import save_coefficients
from mmpredict.cli.history import iso_date
from mmpredict.cost.chain import CostModel
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.library import load_coefficients, machine_key
from mmpredict.errors import EngineError
from mmpredict.hardware.library import find_profile
from mmpredict.live import execute
from mmpredict.models.spec import ModelSpec
from mmpredict.results.columns import StateRow
from mmpredict.results.records import Records
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.run import simulate
from mmpredict.validation.history import History, history_path
from mmpredict.workload.request import Workload

Slow = Callable[[int], float]
"""Number of the run → how many times as long it takes as calibrated."""


@pytest.fixture
def servers(bench: Coefficients, place: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Slow], list[str]]:
    """This machine is calibrated, and its servers are simulated; returns the strategies that were run."""
    profile = find_profile()
    cores = max(4, profile.cpu.cores)
    own = bench.model_copy(update={"machine": machine_key(profile), "cores": cores})
    save_coefficients(own)
    for module in (api, forecasting):
        monkeypatch.setattr(module, "usable_bytes", lambda profile: 6e9)  # what is free now decides nothing here
    Path("here.toml").write_text(
        SCENARIO.replace("machine.toml", "this-machine").replace('"sequential", "parallel"', '"sequential", "parallel-divided"')
    )

    def run_on(slow: Slow) -> list[str]:
        ran: list[str] = []

        def execute_plan(plan: Plan, workload: Workload, specs: Mapping[str, ModelSpec], *_: Any, **__: Any) -> Records:
            factor = slow(len(ran))
            ran.append(plan.strategy)
            records = simulate(plan, workload, specs, CostModel(own), 6e9)
            for row in records.requests:
                for name in ("dispatched_s", "load_wait_s", "prefill_start_s", "first_token_s", "finish_s"):
                    setattr(row, name, factor * getattr(row, name))
            for activity in records.activities:
                activity.start_s, activity.end_s = factor * activity.start_s, factor * activity.end_s
            return Records("measured", records.requests, records.activities, [StateRow(0.0, "memory", 5e8, 6e9)])

        monkeypatch.setattr(execute, "execute_plan", execute_plan)
        return ran

    return run_on


def test_rounds_go_both_ways_and_every_run_is_kept(servers: Callable[[Slow], list[str]], call: Call) -> None:
    ran = servers(lambda number: 1.1)
    outcome = call("validate", "here.toml", "--repeat", "2", "--draws", "10", "--output", "report", "--json")
    assert outcome.code == 0, outcome.err
    assert ran == ["sequential", "parallel-divided", "parallel-divided", "sequential"]
    assert "within tolerance: makespan" in outcome.err and "noise" in outcome.err
    document = json.loads(outcome.out)
    assert document["request_errors"]["e2e_s"]["compared"] == 6
    assert len(document["strategies"]["sequential"]["metrics"]["makespan_s"]["runs"]) == 2
    header, *runs = (json.loads(line) for line in Path("report/runs.jsonl").read_text("utf-8").splitlines())
    assert (header["check"]["kind"], header["check"]["name"], header["check"]["engine"]) == ("scenario", "here", ENGINE)
    assert [(run["turn"], run["plan"]["strategy"]) for run in runs] == [(number // 2, name) for number, name in enumerate(ran)]
    (kept,) = History().checks()
    assert {figure.subject for figure in kept.figures} == {"sequential", "parallel-divided"}
    whole, left_out = History().runs(kept.check.machine, ENGINE)
    assert (len(whole), left_out) == (4, [])


def test_tables_for_people(servers: Callable[[Slow], list[str]], call: Call) -> None:
    servers(lambda number: 1.1 + 0.02 * number)
    outcome = call("validate", "here.toml", "--repeat", "3", "--draws", "10")
    assert "measured: median of 3 runs" in outcome.out
    assert "TTFT:" in outcome.out and "of 6 inside their interval" in outcome.out
    outcome = call("history", "--metric", "makespan")
    assert outcome.out.count("makespan_s") == 1 and "here" in outcome.out
    assert call("validate", "history").out.count("_s") > 5


def test_what_was_run_before_a_failure_is_kept(servers: Callable[[Slow], list[str]], call: Call) -> None:
    def slow(number: int) -> float:
        if number == 3:
            raise EngineError("server 'x' ended")
        return 1.0

    servers(slow)
    outcome = call("validate", "here.toml", "--repeat", "2", "--draws", "5", "--output", "report")
    assert (outcome.code, "server 'x' ended" in outcome.err) == (1, True)
    assert len(Path("report/runs.jsonl").read_text("utf-8").splitlines()) == 1 + 3
    assert len(History().runs(machine_key(find_profile()), ENGINE)[0]) == 3


def test_an_interruption_loses_no_run(servers: Callable[[Slow], list[str]], call: Call) -> None:
    def slow(number: int) -> float:
        if number == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return 1.0

    servers(slow)
    outcome = call("validate", "here.toml", "--draws", "5", "--output", "report")
    assert outcome.code == 130
    assert len(Path("report/runs.jsonl").read_text("utf-8").splitlines()) == 1 + 1


def test_a_history_that_cannot_be_written_does_not_end_a_validation(servers: Callable[[Slow], list[str]], call: Call) -> None:
    servers(lambda number: 1.0)
    history_path().write_bytes(b"dear diary " * 100)
    outcome = call("validate", "here.toml", "--draws", "5")
    assert outcome.code == 0
    assert outcome.err.count("warning: not kept in the history") == 1
    assert_one_line(call("history"), 2, "is damaged", "move it away")


def test_a_machine_that_changed_is_said(servers: Callable[[Slow], list[str]], call: Call) -> None:
    for factor in (1.0, 1.02, 1.6):
        servers(lambda number, factor=factor: factor)  # type: ignore[misc]
        call("validate", "here.toml", "--draws", "5", "--tolerance", "9")
    outcome = call("history", "--json")
    document = json.loads(outcome.out)
    makespan = next(one for one in document["changes"] if one["metric"] == "makespan_s")
    assert makespan["ratio"] == pytest.approx(1.58, abs=0.05)
    assert "the machine changed; recalibrate: mmpredict calibrate run" in outcome.err
    assert len(document["checks"]) == 3
    assert not json.loads(call("history", "--json", "--since", "2100-01-01").out)["checks"]


def test_fit_from_validation(servers: Callable[[Slow], list[str]], call: Call, place: Path) -> None:
    assert_one_line(call("calibrate", "fit"), 2, "give files to fit, or --from-validation")
    assert_one_line(call("calibrate", "fit", "x.json", "--from-validation"), 2, "takes runs of this machine")
    assert_one_line(call("calibrate", "fit", "--from-validation", "--since", "soon"), 2, "'soon'", "2026-11-20")
    servers(lambda number: 1.15)
    call("validate", "here.toml", "--draws", "5", "--repeat", "6", "--tolerance", "9")
    outcome = call("calibrate", "fit", "--from-validation", "--json")
    document = json.loads(outcome.out)
    assert document["saved"] and document["better"]
    assert document["score_after"] < document["score_before"]
    assert document["rounds"] == {"fitted": 4, "held_out": 2}
    found = load_coefficients(find_profile(), ENGINE)
    assert found.correction is not None and found.correction.runs == 12
    assert "corrected on" in call("calibrate", "show").out.replace("\n", " ")
    provenance = json.loads(call("predict", "here.toml", "--draws", "2", "--json").out)["predictions"]["sequential"]["provenance"]
    assert any(sentence.startswith("corrected on") for sentence in provenance)


def test_a_fit_that_makes_it_worse_is_not_saved(servers: Callable[[Slow], list[str]], call: Call) -> None:
    servers(lambda number: 1.2 if number < 8 else 0.9)
    call("validate", "here.toml", "--draws", "5", "--repeat", "6", "--tolerance", "9")
    before = load_coefficients(find_profile(), ENGINE)
    outcome = call("calibrate", "fit", "--from-validation")
    assert "not saved: rounds that were left out are predicted worse" in outcome.err
    assert load_coefficients(find_profile(), ENGINE) == before


def test_runs_of_other_engines_correct_nothing(servers: Callable[[Slow], list[str]], call: Call) -> None:
    servers(lambda number: 1.5)
    Path("there.toml").write_text('engine = "ollama"\n' + Path("here.toml").read_text())
    call("validate", "there.toml", "--draws", "5", "--repeat", "3", "--tolerance", "9")
    assert {one.check.engine for one in History().checks()} == {"ollama"}
    assert "holds 0 rounds" in call("calibrate", "fit", "--from-validation").err


def test_too_few_runs(servers: Callable[[Slow], list[str]], call: Call, place: Path) -> None:
    before = files(place)
    outcome = call("calibrate", "fit", "--from-validation")
    assert outcome.code == 2
    assert "at least 2 are needed: run mmpredict validate SCENARIO --repeat 3" in outcome.err
    assert files(place) == before


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", ""),
        ("2026-11-20", "2026-11-20"),
        ("2026-11-20T08:00", "2026-11-20T08:00:00"),
        ("2026-11-20T01:00+02:00", "2026-11-19T23:00:00+00:00"),
    ],
)
def test_dates_are_compared_in_the_time_zone_of_the_history(text: str, kept: str) -> None:
    assert iso_date(text) == kept


def test_repeats_must_be_one_or_more(servers: Callable[[Slow], list[str]], tmp_path: Path) -> None:
    with pytest.raises(api.InputError, match="repeats is 0"):
        api.validate("here.toml", tmp_path, repeats=0)
