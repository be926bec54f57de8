"""The command line as a person or a script meets it: exit codes, one clear line per error, JSON alone on standard output."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from commands import ENGINE, MACHINE, SCENARIO, Call, assert_one_line, command, files, write_scenario

from mmpredict import api
from mmpredict.answers import SCHEMA_VERSION, Validation
from mmpredict.api import forecast
from mmpredict.calibrate.store import save_coefficients
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.library import coefficients_path, machine_key
from mmpredict.hardware import telemetry
from mmpredict.hardware.library import find_profile
from mmpredict.results.compare import compare
from mmpredict.results.records import Records
from mmpredict.scenario import read_scenario

WRONG_SCENARIOS = {
    "unknown architecture": (
        "smollm2-135m@",
        "smolm2-135m@",
        2,
        ["unknown architecture 'smolm2-135m'", "did you mean smollm2-135m"],
    ),
    "unknown weight type": ("135m@q8_0", "135m@q8_9", 2, ["q8_9", "q8_0"]),
    "no weight type": ("135m@q8_0", "135m", 2, ["names no quantization"]),
    "another kind of name": ("synthetic:smollm2-135m@q8_0", "smolm2:135m", 2, ["unknown model", "smollm2:135m"]),
    "negative tokens": ("prompt_tokens = 64", "prompt_tokens = -64", 2, ["prompt_tokens is -64", "between 1 and"]),
    "no tokens": ("output_tokens = 16", "output_tokens = 0", 2, ["output_tokens is 0"]),
    "words for a number": ("= 64", "= 'many'", 2, ["requests.0.prompt_tokens", "'many'"]),
    "negative arrival": ("count = 2", "arrival_s = -1", 2, ["arrival_s is -1"]),
    "arrival never": ("count = 2", "arrival_s = nan", 2, ["arrival_s is nan"]),
    "too many requests": ("count = 2", "count = 100000", 2, ["more than 100000 requests"]),
    "no requests": ("[[requests]]", "[[request]]", 2, ["unknown key 'request'", "did you mean 'requests'"]),
    "unknown key": ("prompt_tokens", "promt_tokens", 2, ["unknown key 'requests.0.promt_tokens'", "did you mean 'prompt_tokens'"]),
    "missing key": ("prompt_tokens = 64", "", 2, ["requests.0.prompt_tokens is missing"]),
    "not TOML": ("[[requests]]", "[[requests]", 2, ["scenario.toml is not TOML"]),
    "unknown strategy": ('"parallel"', '"paralel"', 2, ["unknown strategy 'paralel'", "did you mean parallel"]),
    "unknown hardware": ("machine.toml", "ms-s1-maxx", 2, ["unknown hardware 'ms-s1-maxx'", "did you mean ms-s1-max"]),
    "missing hardware": ("machine.toml", "none.toml", 2, ["none.toml", "No such file"]),
    "damaged hardware": ("machine.toml", "scenario.toml", 2, ["scenario.toml is no hardware profile"]),
    "not a model": ("synthetic:smollm2-135m@q8_0", "notes.gguf", 2, ["notes.gguf", "GGUF"]),
    "no such model": ("synthetic:smollm2-135m@q8_0", "none.gguf", 2, ["none.gguf", "no such file"]),
    "request beyond the context": ("= 64", "= 5000", 2, ["5016", "4096", "raise server.context_tokens"]),
    "requests beyond the context together": ("= 64", "= 3000", 2, ["2 largest requests", "6032", "4096"]),
    "context beyond the memory": ("[[", "server.context_tokens = 16000000\n[[", 3, ["of memory", "usable", "smaller contexts"]),
    "model beyond the memory": ("synthetic:smollm2-135m@q8_0", "synthetic:llama3.1-8b@f16", 3, ["llama3.1-8b", "of memory"]),
    "neither calibrated nor described": (
        "machine.toml",
        "blank.toml",
        2,
        ["'blank' does not say bandwidth_bytes_per_s", "no calibration of blank", "mmpredict calibrate run", "copy the file to"],
    ),
}


@pytest.mark.parametrize("case", WRONG_SCENARIOS)
def test_a_scenario_that_cannot_be_used(case: str, call: Call, place: Path) -> None:
    old, new, code, words = WRONG_SCENARIOS[case]
    Path("notes.gguf").write_bytes(b"dear diary")
    Path("blank.toml").write_text(MACHINE.replace("bench", "blank"))
    write_scenario(old, new)
    before = files(place)
    assert_one_line(call("predict", "scenario.toml"), code, *words)
    assert files(place) == before


@pytest.mark.parametrize("verb", ["execute", "validate"])
@pytest.mark.parametrize(
    "case",
    [
        "negative tokens",
        "not a model",
        "request beyond the context",
        "requests beyond the context together",
        "context beyond the memory",
    ],
)
def test_nothing_is_written_or_started_for_it(case: str, verb: str, call: Call, place: Path, bench: Coefficients) -> None:
    profile = find_profile()
    save_coefficients(bench.model_copy(update={"machine": machine_key(profile), "cores": profile.cpu.cores}))
    old, new, code, words = WRONG_SCENARIOS[case]
    Path("notes.gguf").write_bytes(b"dear diary")
    write_scenario(old, new)
    Path("scenario.toml").write_text(Path("scenario.toml").read_text().replace("machine.toml", "this-machine"))
    before = files(place)
    outcome = call(verb, "scenario.toml")
    assert_one_line(outcome._replace(err=outcome.err.removeprefix("running the real thing …\n")), code, *words)
    assert files(place) == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["predict", "none.toml"], 2, ["none.toml", "No such file"]),
        (["predict", "."], 2, ["cannot read scenario", "directory"]),
        (["predict", "scenario.toml", "--hardware", "abacus"], 2, ["unknown hardware 'abacus'", "ms-s1-max", "hardware list"]),
        (["predict", "scenario.toml", "--hardware", "this-machine"], 1, ["run: mmpredict calibrate run"]),
        (["execute", "scenario.toml"], 2, ["'machine.toml'", "not executed here", "this-machine"]),
        (["validate", "scenario.toml"], 2, ["'machine.toml'", "not executed here", "this-machine"]),
        (["calibrate", "show"], 1, ["run: mmpredict calibrate run"]),
        (["calibrate", "run", "--types", "q8_0,q9_9"], 2, ["'q9_9'", "q8_0, q4_0"]),
        (["calibrate", "run", "--output", "scenario.toml/x"], 1, ["cannot make the directory scenario.toml"]),
        (["calibrate", "fit", "none.jsonl"], 2, ["none.jsonl"]),
        (["calibrate", "fit", "scenario.toml"], 2, ["scenario.toml is in none of the known formats", "llama-bench-json"]),
        (["models", "show", "synthetic:gpt-2@q8_0"], 2, ["unknown architecture 'gpt-2'"]),
        (["models", "show", "scenario.toml"], 2, ["unknown model 'scenario.toml'", ".gguf"]),
        (["models", "synthesize", "synthetic:smollm2-135m@iq2_xs"], 2, ["iq2_xs cannot be synthesised"]),
        (["hardware", "show", "ms-s1"], 2, ["unknown hardware 'ms-s1'", "did you mean ms-s1-max"]),
    ],
)
def test_an_argument_that_cannot_be_used(arguments: list[str], code: int, words: list[str], call: Call, place: Path) -> None:
    before = files(place)
    assert_one_line(call(*arguments), code, *words)
    assert files(place) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["Usage"]),
        (["forecast"], ["No such command", "forecast"]),
        (["predict"], ["Missing argument", "SCENARIO"]),
        (["predict", "scenario.toml", "--drawz", "3"], ["No such option", "--draws"]),
        (["predict", "scenario.toml", "--draws", "0"], ["--draws", "range"]),
        (["predict", "scenario.toml", "--seed", "many"], ["--seed", "integer"]),
        (["execute", "scenario.toml", "--limit", "0"], ["--limit"]),
        (["models"], ["Usage"]),
    ],
)
def test_usage(arguments: list[str], words: list[str], call: Call, place: Path) -> None:
    outcome = call(*arguments)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.out + outcome.err


def test_one_of_several_strategies_does_not_fit(call: Call) -> None:
    write_scenario("synthetic:gemma3-270m@q8_0", "synthetic:llama3.2-3b@q8_0")
    machine = Path("machine.toml")
    machine.write_text(MACHINE.replace("usable_bytes = 6e9", "usable_bytes = 4.15e9"))
    outcome = call("predict", "scenario.toml", "--json", "--draws", "5")
    document = json.loads(outcome.out)
    assert outcome.code == 0
    assert list(document["predictions"]) == list(document["plans"]) == ["sequential"]
    assert re.search(r"parallel does not fit: .* of memory", outcome.err)
    assert "of memory" in document["infeasible"]["parallel"]


def test_damaged_coefficients(call: Call, bench: Coefficients) -> None:
    path = coefficients_path("bench", ENGINE)
    path.write_text(path.read_text()[:-100])
    assert_one_line(call("predict", "scenario.toml"), 2, str(path), "calibrate again")
    path.write_text(bench.model_copy(update={"schema_version": 99}).model_dump_json())
    assert_one_line(call("predict", "scenario.toml"), 2, str(path), "schema version 99", "calibrate again")


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "scenario.toml", "--draws", "2"],
        ["execute", "here.toml"],
        ["validate", "here.toml"],
        ["demo"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_output_directory_cannot_be_made(arguments: list[str], call: Call, place: Path) -> None:
    Path("here.toml").write_text(SCENARIO.replace("machine.toml", "this-machine"))
    before = files(place)
    for output in ("machine.toml", "machine.toml/x"):
        assert_one_line(call(*arguments, "--output", output), 1, "machine.toml")
    assert files(place) == before


def test_measuring_a_busy_machine_is_remarked_on(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "busy_cores", lambda: 1.5)
    for arguments in (["calibrate", "run"], ["demo"]):
        outcome = call(*arguments, "--output", "machine.toml/x")
        warning, error = outcome.err.splitlines()
        assert warning.startswith("warning: other programs keep 1.5 cores busy")
        assert error.startswith("mmpredict: cannot")
        assert (outcome.code, outcome.out) == (1, "")


def test_cache_cannot_be_written(call: Call, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMPREDICT_CACHE", str(place / "work" / "machine.toml"))
    assert_one_line(call("models", "synthesize", "synthetic:probe-deep@q4_0"), 1, "machine.toml")


def test_prediction_as_json(place: Path) -> None:
    first, again, other = (
        command(place, "predict", "scenario.toml", "--json", "--draws", "20", "--seed", seed, PYTHONHASHSEED=hash_seed)
        for seed, hash_seed in (("3", "1"), ("3", "2"), ("4", "1"))
    )
    assert first == again
    assert first.out != other.out
    document = json.loads(first.out)
    assert document["schema_version"] == SCHEMA_VERSION
    assert set(document["predictions"]) == {"sequential", "parallel"}
    assert document["recommendation"]["strategy"] in document["predictions"]
    for prediction in document["predictions"].values():
        bounds = prediction["metrics"]["makespan_s"]
        assert 0 < bounds["low"] <= bounds["value"] <= bounds["high"]
        assert [row["status"] for row in prediction["records"]["requests"]] == ["ok"] * 3
    # eight threads on four cores, and all of them spin
    assert first.err.startswith("warning: 8 threads on 4 cores")
    assert "warning" not in first.out.replace('"warnings"', "")


def test_prediction_as_a_table_and_files(call: Call) -> None:
    outcome = call("predict", "scenario.toml", "--draws", "20", "--output", "reports/first")
    assert outcome.code == 0
    assert re.search(r"recommended: (sequential|parallel); (sequential|parallel) takes", outcome.out)
    assert sorted(path.name for path in Path("reports/first").iterdir()) == [
        "prediction.json",
        "report.html",
        "timeline.png",
        "trace.json",
    ]
    printed = call("predict", "scenario.toml", "--draws", "20", "--json")
    assert json.loads(Path("reports/first/prediction.json").read_text()) == json.loads(printed.out)


def stretched(records: Records, factor: float) -> Records:
    """The records of a run that took ``factor`` times as long."""
    rows = [replace(row, first_token_s=row.first_token_s * factor, finish_s=row.finish_s * factor) for row in records.requests]
    return Records("measured", rows, records.activities, records.states)


@pytest.mark.parametrize(("factor", "code"), [(1.0, 0), (1.2, 0), (2.0, 4), (0.5, 4)])
def test_validation_out_of_tolerance(factor: float, code: int, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    found = forecast(read_scenario(Path("scenario.toml")), draws=20)
    measured = tuple(compare(prediction, stretched(prediction.records, factor)) for prediction in found.predictions)
    monkeypatch.setattr(api, "validate", lambda *_, **__: Validation(found, measured))
    outcome = call("validate", "scenario.toml", "--json", "--output", "report")
    document = json.loads(outcome.out)
    error = document["makespan_median_absolute_error_frac"]
    assert error == pytest.approx(abs(1 / factor - 1), abs=0.15 / factor)  # the median of the draws is not the run of medians
    assert outcome.code == code
    assert ("out of tolerance" in outcome.err) == (code == 4)
    assert json.loads(Path("report/validation.json").read_text()) == document
    assert Path("report/timeline.png").stat().st_size > 1000
    assert call("validate", "scenario.toml", "--tolerance", str(error + 0.001)).code == 0
    assert call("validate", "scenario.toml", "--tolerance", str(max(0.0, error - 0.001))).code == (4 if error > 0 else 0)


def test_validation_with_a_request_that_failed(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    found = forecast(read_scenario(Path("scenario.toml")), draws=5)
    records = stretched(found.predictions[0].records, 1.0)
    records.requests[0].status = "server-died"
    runs = (records, found.predictions[1].records)
    measured = tuple(compare(prediction, rows) for prediction, rows in zip(found.predictions, runs, strict=True))
    monkeypatch.setattr(api, "validate", lambda *_, **__: Validation(found, measured))
    outcome = call("validate", "scenario.toml", "--json")
    assert outcome.code == 1
    assert "1 requests failed" in outcome.err
    makespan = json.loads(outcome.out)["strategies"]["sequential"]["metrics"]["makespan_s"]
    assert (makespan["measured"], makespan["error_frac"]) == (None, None)


def test_as_an_installed_command(place: Path) -> None:
    outcome = command(place, "predict", "scenario.toml", "--hardware", "this-machine")
    assert_one_line(outcome, 1, "mmpredict calibrate run")
    assert command(place, "forecast").code == 2
