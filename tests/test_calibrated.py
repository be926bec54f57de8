"""Which calibration answers for which engine."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from mmpredict import calibrated
from mmpredict.calibrate.store import save_coefficients
from mmpredict.calibrated import own_coefficients
from mmpredict.cost.chain import CalibratedSource
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.lent import LENT_LOG_SPREAD
from mmpredict.cost.library import machine_key
from mmpredict.errors import NotCalibratedError
from mmpredict.hardware.library import find_profile
from mmpredict.hardware.profile import HardwareProfile
from mmpredict.live.choice import KINDS


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HardwareProfile:
    monkeypatch.setenv("MMPREDICT_DATA", str(tmp_path))
    monkeypatch.setattr(calibrated, "engine_build", lambda: "embedded 1")
    return find_profile()


def calibrate(coefficients: Coefficients, machine: HardwareProfile, engine: str, measured_at_s: float = 1e9) -> None:
    save_coefficients(
        coefficients.model_copy(update={"machine": machine_key(machine), "engine": engine, "measured_at_s": measured_at_s})
    )


def answers(machine: HardwareProfile) -> dict[str, str]:
    return {kind: own_coefficients(machine, kind).engine for kind in KINDS}


def test_the_embedded_engine_answers_until_another_is_calibrated(here: HardwareProfile, coefficients: Coefficients) -> None:
    with pytest.raises(NotCalibratedError, match="run: mmpredict calibrate run"):
        own_coefficients(here, "ollama")
    calibrate(coefficients, here, "embedded 1")
    assert answers(here) == dict.fromkeys(KINDS, "embedded 1")
    calibrate(coefficients, here, "llama-server b1 (abc)")
    theirs = dict.fromkeys(("llama-server", "ollama", "openai"), "llama-server b1 (abc)")
    assert answers(here) == {"embedded": "embedded 1", **theirs}
    calibrate(coefficients, here, "ollama 0.33.1")
    assert answers(here) == {"embedded": "embedded 1", **theirs, "ollama": "ollama 0.33.1"}


def test_the_newest_build_of_a_program_answers(here: HardwareProfile, coefficients: Coefficients) -> None:
    for engine, at_s in (("llama-server b1", 3e9), ("llama-server b2", 1e9), ("llama-server b3", 2e9)):
        calibrate(coefficients, here, engine, at_s)
    assert own_coefficients(here, "llama-server").engine == "llama-server b1"


def test_it_does_without_the_embedded_engine_where_another_is_calibrated(
    here: HardwareProfile, coefficients: Coefficients, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrate(coefficients, here, "ollama 0.33.1")
    monkeypatch.delattr(calibrated, "engine_build")
    assert own_coefficients(here, "ollama").engine == "ollama 0.33.1"


def test_what_is_lent_is_less_sure_and_says_so(here: HardwareProfile, coefficients: Coefficients) -> None:
    calibrate(coefficients, here, "embedded 1")
    own, lent = own_coefficients(here), own_coefficients(here, "ollama")
    assert CalibratedSource(own).doubts((), several=False) == ()
    assert lent.machine_log_spread == math.hypot(own.machine_log_spread, LENT_LOG_SPREAD)
    (doubt,) = CalibratedSource(lent).doubts((), several=False)
    assert doubt.startswith("by the calibration of embedded 1, as ollama has none of its own")
    assert doubt.endswith("run: mmpredict calibrate run --engine ollama")
    calibrate(coefficients, here, "ollama 0.33.1")
    assert own_coefficients(here, "ollama").machine_log_spread == own.machine_log_spread
