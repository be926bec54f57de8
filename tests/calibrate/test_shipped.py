"""The measurements that ship with the project give the coefficients that ship with it, and these tell what they should."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mmpredict.api import forecast
from mmpredict.calibrate.bench_rows import speed_rows
from mmpredict.calibrate.fit import fit
from mmpredict.calibrate.importers.files import import_file
from mmpredict.calibrate.measurement import read_measurements
from mmpredict.calibrate.own_fit import fit_own
from mmpredict.cost.coefficients import read_coefficients
from mmpredict.demo import demo_scenario
from mmpredict.hardware.library import find_profile
from mmpredict.models.resolve import resolve

CALIBRATION = Path(__file__).parents[2] / "calibration"
MEASUREMENTS = sorted((CALIBRATION / "measurements").rglob("*.jsonl"))


def flat(data: Any, place: str = "") -> dict[str, Any]:
    if isinstance(data, dict):
        return {key: value for name, part in data.items() for key, value in flat(part, f"{place}.{name}").items()}
    if isinstance(data, list | tuple):
        return {key: value for number, part in enumerate(data) for key, value in flat(part, f"{place}.{number}").items()}
    return {place: data}


def assert_same(found: dict[str, Any], expected: dict[str, Any], rel: float = 1e-5) -> None:
    """Figures may differ in their last digits from one processor to another."""
    assert found.keys() == expected.keys()
    for place, value in expected.items():
        same = pytest.approx(value, rel=rel, abs=1e-15) if isinstance(value, float) else value
        assert found[place] == same, place


@pytest.mark.parametrize("path", MEASUREMENTS, ids=lambda path: path.stem)
def test_the_same_measurements_give_the_same_coefficients(path: Path) -> None:
    header, rows = read_measurements(path)
    fitted = fit(header, rows, {name: resolve(name) for name in {row.model for row in rows}})
    stored = read_coefficients(CALIBRATION / "coefficients" / path.parent.name / f"{path.stem}.json")
    expected, found = flat(stored.model_dump()), flat(fitted.model_dump())
    assert_same(found, expected)


@pytest.mark.parametrize("path", sorted((CALIBRATION / "coefficients").glob("*/*.json")), ids=lambda path: path.stem)
def test_oversubscription_is_recognised_and_avoided(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coefficients = read_coefficients(path)
    monkeypatch.setattr("mmpredict.scenario.Scenario.plans", _on(coefficients.cores))
    found = forecast(demo_scenario(), draws=40, coefficients=coefficients)
    makespans = {prediction.strategy: prediction.metrics["makespan_s"] for prediction in found.predictions}
    assert makespans["parallel"].value > makespans["sequential"].value
    assert makespans["parallel"].high > 2 * makespans["parallel"].low, "nobody knows how slow, and the interval says so"
    assert found.recommendation.strategy != "parallel"
    spinning = next(prediction for prediction in found.predictions if prediction.strategy == "parallel")
    assert any("GOMP_SPINCOUNT" in warning for warning in spinning.warnings)


def _on(cores: int) -> Any:
    """The plans of a scenario for the calibrated machine's cores, whatever this one has."""
    from mmpredict.scenario import Scenario

    original = Scenario.plans
    return lambda self, _, task=None: original(self, cores, task)


def test_a_card_that_nobody_fitted_is_told_from_the_one_of_its_architecture() -> None:
    """An H100's own runs, of which none of the rates that ship knows anything: as found in November 2026, with some room."""
    found = speed_rows(import_file(CALIBRATION / "runs" / "h100" / "one-model.jsonl").rows, find_profile("h100"))
    (fit,) = fit_own(found, find_profile("h100")).fits
    assert "on h200, built alike" in fit.known.sentence
    before = {phase: error.median for phase, error in fit.before.items()}
    assert before["decode"] < 0.08 and before["prompt"] < 0.25, f"generation {before['decode']:.1%}, prompts {before['prompt']:.1%}"


def test_runs_of_one_machine_give_the_rates_that_ship(tmp_path: Path) -> None:
    """However often: a fit that replaces rates never starts from them."""
    profile = find_profile("h200")
    found = speed_rows(import_file(CALIBRATION / "runs" / "h200" / "one-model.jsonl").rows, profile)
    (fit,) = fit_own(found, profile, replaces_shipped=True).fits
    shipped = CALIBRATION / "coefficients" / "published" / "h200" / "cuda-gpu.json"
    assert_same(flat(json.loads(fit.rates.to_json())), flat(json.loads(shipped.read_text("utf-8"))), 1e-3)
