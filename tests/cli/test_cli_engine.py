"""Calibrations of the build that serves, on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import ENGINE, SCENARIO, Call, assert_one_line

from mmpredict.calibrate.store import save_coefficients
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.library import machine_key
from mmpredict.hardware import library
from mmpredict.hardware.library import find_profile
from mmpredict.hardware.profile import HardwareProfile

OLLAMA = "ollama 0.33.1"


@pytest.fixture
def calibrate(bench: Coefficients) -> Callable[[str], None]:
    """Leaves a calibration of this machine with an engine."""
    profile = find_profile()
    own = {"machine": machine_key(profile), "cores": max(4, profile.cpu.cores)}
    return lambda engine: save_coefficients(bench.model_copy(update={**own, "engine": engine})) and None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--engine", "openai"], ["'openai' cannot be started and calibrated", "embedded, llama-server, ollama"]),
        (["--binary", "llama-server"], ["embedded engine has no program of its own"]),
        (["--engine", "llama-server", "--binary", "./no-such"], ["'./no-such' is no program on PATH"]),
        (["http://127.0.0.1:1", "--engine", "ollama"], ["--engine", "a running server serves what it serves"]),
    ],
)
def test_what_cannot_be_calibrated_is_refused(arguments: list[str], words: list[str], call: Call) -> None:
    outcome = call("calibrate", "run", *arguments)
    assert outcome.code in (1, 2), outcome.err
    assert_one_line(outcome, outcome.code, *words)


def test_a_program_that_would_use_a_gpu_is_measured_while_it_runs(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpu = find_profile("rtx-4090")

    def found(name: str = "this-machine", gpus: bool = False) -> HardwareProfile:
        return with_gpu.model_copy(update={"name": "this-machine"}) if gpus else with_gpu

    monkeypatch.setattr(library, "find_profile", found)
    outcome = call("calibrate", "run", "--engine", "llama-server")
    assert_one_line(outcome, 2, "llama-server would use this machine's", "mmpredict calibrate run http://127.0.0.1:8080")


def test_predictions_use_the_calibration_of_the_engine_that_serves(calibrate: Callable[[str], None], call: Call) -> None:
    calibrate(ENGINE)
    here = SCENARIO.replace("machine.toml", "this-machine").replace('"sequential", "parallel"', '"sequential"')
    Path("here.toml").write_text(f'engine = "ollama"\n{here}')

    def told() -> dict[str, object]:
        return json.loads(call("predict", "here.toml", "--draws", "2", "--json").out)["predictions"]["sequential"]  # type: ignore[no-any-return]

    lent = told()
    assert f"with {ENGINE}" in str(lent["provenance"])
    assert "ollama has none of its own" in str(lent["warnings"]) and "run: mmpredict calibrate run --engine ollama" in str(lent)
    calibrate(OLLAMA)
    own = told()
    assert f"with {OLLAMA}" in str(own["provenance"])
    assert own["warnings"] == []
    assert OLLAMA in call("calibrate", "show", "--engine", "ollama").out
    assert ENGINE in call("calibrate", "show").out
    assert f"{OLLAMA}: " in call("doctor").out
    assert_one_line(call("calibrate", "show", "--engine", "olama"), 2, "unknown engine 'olama'; did you mean ollama")
