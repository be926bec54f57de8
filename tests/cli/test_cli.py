"""The command line as a person or a script meets it: exit codes, one clear line per error, JSON alone on standard output."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from mmpredict import api
from mmpredict.api import Validation, forecast
from mmpredict.calibrate import run as calibration_run
from mmpredict.calibrate.store import coefficients_path, machine_key, save_coefficients
from mmpredict.cli.main import app, run
from mmpredict.cost.coefficients import Coefficients
from mmpredict.errors import EngineMissingError
from mmpredict.hardware import telemetry
from mmpredict.hardware.library import find_profile
from mmpredict.live import embedded
from mmpredict.results.compare import compare
from mmpredict.results.records import Records
from mmpredict.scenario import read_scenario

ENGINE = "engine 1"
MACHINE = """
name = "bench"
pools.ram = { capacity_bytes = 8e9, usable_bytes = 6e9 }
processors = [{ kind = "cpu", model = "four cores", cores = 4 }]
"""
SCENARIO = """
hardware = "machine.toml"
strategies = ["sequential", "parallel"]
[[requests]]
model = "synthetic:smollm2-135m@q8_0"
prompt_tokens = 64
output_tokens = 16
count = 2
[[requests]]
model = "synthetic:gemma3-270m@q8_0"
prompt_tokens = 32
output_tokens = 8
"""
# The engine's name is part of where coefficients are kept, and is not to be asked of a machine that may have none.
COMMAND = f"from mmpredict import api; api.engine_build = lambda: {ENGINE!r}; from mmpredict.cli.main import run; run()"


class Outcome(NamedTuple):
    """What a call came to."""

    code: int
    out: str
    err: str


Call = Callable[..., Outcome]


@contextmanager
def own_signals() -> Iterator[None]:
    """The command takes over two signals; the test run wants them back."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


@pytest.fixture
def bench(coefficients: Coefficients) -> Coefficients:
    """Coefficients of the machine that the scenario names."""
    return coefficients.model_copy(update={"machine": "bench", "engine": ENGINE})


@pytest.fixture
def place(bench: Coefficients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a scenario and a machine, and everything the command may write to beside it; calibrated."""
    for name in ("work", "temporary"):
        (tmp_path / name).mkdir()
    for name in ("DATA", "CACHE"):
        monkeypatch.setenv(f"MMPREDICT_{name}", str(tmp_path / name.lower()))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    for module in (api, calibration_run, embedded):
        monkeypatch.setattr(module, "engine_build", lambda: ENGINE)
    monkeypatch.setattr(telemetry, "busy_cores", lambda: 0.0)
    monkeypatch.chdir(tmp_path / "work")
    Path("machine.toml").write_text(MACHINE)
    Path("scenario.toml").write_text(SCENARIO)
    save_coefficients(bench)
    return tmp_path


@pytest.fixture
def call(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The command in this process."""

    def _call(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["mmpredict", *arguments])
        with own_signals(), pytest.raises(SystemExit) as ended:
            run()
        code = ended.value.code
        return Outcome(code if isinstance(code, int) else int(code is not None), *capsys.readouterr())

    return _call


def command(place: Path, *arguments: str, **environment: str) -> Outcome:
    """The command in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=place / "work",
        env=os.environ | environment,
    )
    return Outcome(ran.returncode, ran.stdout, ran.stderr)


def files(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def write_scenario(old: str = "", new: str = "") -> None:
    assert old in SCENARIO
    Path("scenario.toml").write_text(SCENARIO.replace(old, new, 1) if old else SCENARIO)


def assert_one_line(outcome: Outcome, code: int, *words: str) -> None:
    assert outcome.err.startswith("mmpredict: ")
    assert outcome.err.count("\n") == 1
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    for word in words:
        assert word in outcome.err
    assert outcome.code == code


WRONG_SCENARIOS = {
    "unknown architecture": (
        "smollm2-135m@",
        "smolm2-135m@",
        2,
        ["unknown architecture 'smolm2-135m'", "did you mean smollm2-135m"],
    ),
    "unknown weight type": ("135m@q8_0", "135m@q8_9", 2, ["q8_9", "q8_0"]),
    "no weight type": ("135m@q8_0", "135m", 2, ["names no quantization"]),
    "another kind of name": ("synthetic:smollm2-135m@q8_0", "smollm2:135m", 2, ["synthetic:smollm2-135m@q8_0"]),
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
    "not calibrated": (
        "machine.toml",
        "ms-s1-max",
        1,
        ["no calibration of ms-s1-max", "mmpredict calibrate run", "copy the file to"],
    ),
}


@pytest.mark.parametrize("case", WRONG_SCENARIOS)
def test_a_scenario_that_cannot_be_used(case: str, call: Call, place: Path) -> None:
    old, new, code, words = WRONG_SCENARIOS[case]
    Path("notes.gguf").write_bytes(b"dear diary")
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
        (["calibrate", "run", "--output", "scenario.toml/x"], 1, ["cannot write measurements"]),
        (["calibrate", "fit", "none.jsonl"], 2, ["none.jsonl"]),
        (["calibrate", "fit", "scenario.toml"], 2, ["scenario.toml, line 1: not a measurement"]),
        (["models", "show", "synthetic:gpt-2@q8_0"], 2, ["unknown architecture 'gpt-2'"]),
        (["models", "show", "scenario.toml"], 2, ["unknown model 'scenario.toml'", ".gguf"]),
        (["models", "synthesize", "synthetic:smollm2-135m@q4_1"], 2, ["q4_1 cannot be synthesised"]),
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
        (["predict", "scenario.toml", "--draws", "0"], ["--draws", "greater"]),
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
    machine.write_text(MACHINE.replace("usable_bytes = 6e9", "usable_bytes = 4.3e9"))
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
    assert document["schema_version"] == api.SCHEMA_VERSION
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
    assert sorted(path.name for path in Path("reports/first").iterdir()) == ["prediction.json", "timeline.png"]
    printed = call("predict", "scenario.toml", "--draws", "20", "--json")
    assert json.loads(Path("reports/first/prediction.json").read_text()) == json.loads(printed.out)


def leaves(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, found in group.commands.items():
        if hasattr(found, "commands"):
            yield from leaves(found, (*words, name))
        else:
            yield (*words, name), found


VERBS = dict(leaves(typer.main.get_command(app)))


def test_every_verb_is_known() -> None:
    assert {" ".join(words) for words in VERBS} == {
        "demo",
        "predict",
        "execute",
        "validate",
        "doctor",
        *(f"calibrate {word}" for word in ("run", "fit", "show")),
        *(f"hardware {word}" for word in ("list", "show")),
        *(f"models {word}" for word in ("list", "show", "synthesize")),
    }


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_help_has_an_example_that_can_be_typed(words: tuple[str, ...], call: Call) -> None:
    outcome = call(*words, "--help")
    assert outcome.code == 0
    example = re.search(rf"Example: (mmpredict {' '.join(words)}\b.*)", VERBS[words].help)
    assert example
    assert example[1].split()[-1] in outcome.out
    typed = shlex.split(example[1])
    VERBS[words].make_context(typed[0], typed[1 + len(words) :])  # complains about whatever it does not understand


def test_models(call: Call, place: Path) -> None:
    listed = call("models", "list")
    assert listed.code == 0
    assert re.search(r"smollm2-135m +llama +135 M weights", listed.out)
    shown = json.loads(call("models", "show", "synthetic:smollm2-135m@q8_0", "--json").out)
    assert (shown["schema_version"], shown["parameters"], shown["layers"]) == (1, 134_515_008, 30)
    assert f"{shown['weight_bytes']} (" in call("models", "show", "synthetic:smollm2-135m@q8_0").out
    assert not (place / "cache").exists()
    written = call("models", "synthesize", "synthetic:probe-deep@q4_0")
    assert written.code == 0
    path = Path(written.out.removesuffix("\n"))
    assert path.is_relative_to(place / "cache")
    assert "random" in written.err
    assert json.loads(call("models", "show", str(path), "--json").out)["vocabulary"] == 8192


def test_hardware(call: Call) -> None:
    names = [line.split()[0] for line in call("hardware", "list").out.splitlines()]
    assert {"this-machine", "ms-s1-max"} <= set(names)
    for name in [*names, "machine.toml"]:
        assert name.removesuffix(".toml") in call("hardware", "show", name).out or name == "machine.toml"
        document = json.loads(call("hardware", "show", name, "--json").out)
        assert document["schema_version"] == 1
        assert document["processors"][0]["cores"] >= 1


def test_doctor(call: Call, bench: Coefficients, monkeypatch: pytest.MonkeyPatch) -> None:
    ill = call("doctor")
    assert ill.code == 1
    assert ENGINE in ill.out
    assert "run: mmpredict calibrate run" in ill.out
    save_coefficients(bench.model_copy(update={"machine": machine_key(find_profile())}))
    well = call("doctor")
    assert well.code == 0
    assert f"{bench.measured_on}, {bench.measurements} measurements" in well.out

    def missing() -> str:
        raise EngineMissingError(f"not installed; {embedded.INSTALL_HINT}")

    monkeypatch.setattr(embedded, "engine_build", missing)
    without = call("doctor")
    assert without.code == 1
    assert "pip install" in without.out


def stretched(records: Records, factor: float) -> Records:
    """The records of a run that took ``factor`` times as long."""
    rows = [replace(row, first_token_s=row.first_token_s * factor, finish_s=row.finish_s * factor) for row in records.requests]
    return Records("measured", rows, records.activities, records.states)


@pytest.mark.parametrize(("factor", "code"), [(1.0, 0), (1.2, 0), (2.0, 4), (0.5, 4)])
def test_validation_out_of_tolerance(factor: float, code: int, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    found = forecast(read_scenario(Path("scenario.toml")), draws=20)
    measured = tuple(compare(prediction, stretched(prediction.records, factor)) for prediction in found.predictions)
    monkeypatch.setattr(api, "validate", lambda *_: Validation(found, measured))
    outcome = call("validate", "scenario.toml", "--json", "--output", "report")
    document = json.loads(outcome.out)
    error = document["makespan_median_absolute_error_frac"]
    assert error == pytest.approx(abs(1 / factor - 1), abs=0.2)  # the median of the draws is not the run of medians
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
    monkeypatch.setattr(api, "validate", lambda *_: Validation(found, measured))
    outcome = call("validate", "scenario.toml", "--json")
    assert outcome.code == 1
    assert "1 requests failed" in outcome.err
    makespan = json.loads(outcome.out)["strategies"]["sequential"]["metrics"]["makespan_s"]
    assert (makespan["measured"], makespan["error_frac"]) == (None, None)


def test_as_an_installed_command(place: Path) -> None:
    outcome = command(place, "predict", "scenario.toml", "--hardware", "ms-s1-max")
    assert_one_line(outcome, 1, "mmpredict calibrate run")
    assert command(place, "forecast").code == 2
