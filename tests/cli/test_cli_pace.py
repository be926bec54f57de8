"""``calibrate pace``, with figures in place of servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import ENGINE, Call, assert_one_line

from mmpredict.calibrate import pace as pacing
from mmpredict.calibrate.measurement import Measurement, MeasurementLog, read_measurements
from mmpredict.calibrate.measuring import Measuring
from mmpredict.calibrate.repeats import MINUTES_SPREAD
from mmpredict.calibrate.store import measurements_path, pace_path, save_coefficients
from mmpredict.cost.coefficients import Coefficients, read_coefficients
from mmpredict.cost.drift import HOURS_SPREAD
from mmpredict.cost.library import coefficients_path, machine_key
from mmpredict.hardware.library import find_profile
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import InstancePlan

MACHINE = machine_key(find_profile())
NAMES = ("synthetic:probe-narrow@q8_0", "synthetic:probe-wide@q8_0")
BELIEVED = 1.1 ** (HOURS_SPREAD**2 / (HOURS_SPREAD**2 + MINUTES_SPREAD**2 / 3))
"""Of a tenth, after a calibration of unknown time whose three rounds were steady."""


def figures(name: str, threads: int, factor: float) -> Iterator[Measurement]:
    for tokens in (32, 128):
        yield Measurement("prefill", name, threads, None, {"tokens": tokens, "duration_s": factor * tokens})
    for sequences in (1, 2):
        values = {"sequences": sequences, "depth": 8, "steps": 10, "duration_s": factor * sequences}
        yield Measurement("decode", name, threads, None, values)
    yield Measurement("load", name, threads, None, {"cold": 0, "kv_cache_bytes": 0, "duration_s": factor})


@pytest.fixture
def calibrated(place: Path, bench: Coefficients, monkeypatch: pytest.MonkeyPatch) -> Coefficients:
    """This machine, calibrated with 1 and all its threads; all that is measured now takes a tenth longer."""
    own = bench.model_copy(update={"machine": MACHINE, "cores": 4})
    save_coefficients(own)
    header = {"machine": MACHINE, "engine": ENGINE, "cores": 4, "measured_on": "2026-01-01"}
    with MeasurementLog(measurements_path(MACHINE, ENGINE), header) as log:
        for number in range(3):
            for name in NAMES:
                for threads in (1, 4):
                    for row in figures(name, threads, 1.0):
                        row.values["round"] = number
                        log.add(row)

    def steps(_: Measuring, spec: ModelSpec, instance: InstancePlan, *__: Any) -> Iterator[Measurement]:
        yield from figures(spec.name, instance.threads, 1.1)

    monkeypatch.setattr(Measuring, "steps", steps)
    monkeypatch.setattr(pacing, "materialize", lambda spec: Path("none.gguf"))
    return own


def stored() -> Coefficients:
    return read_coefficients(coefficients_path(MACHINE, ENGINE))


def test_predictions_have_the_pace_until_it_is_forgotten(call: Call, calibrated: Coefficients) -> None:
    told = call("calibrate", "pace")
    assert told.code == 0
    assert "decoding 4 threads × 1.095" in told.out.replace("\n", " ")
    slow = stored()
    assert slow.pace is not None
    assert slow.steps[4].decode_factor == pytest.approx(BELIEVED)
    assert len(read_measurements(pace_path(MACHINE, ENGINE))[1]) == 20
    assert "at the pace of" in call("calibrate", "show").out
    again = json.loads(call("calibrate", "pace", "--json").out)
    assert again["schema_version"] == 1
    assert again["pace"]["decode"] == {"1": pytest.approx(BELIEVED), "4": pytest.approx(BELIEVED)}
    assert stored().steps[4].decode_factor == pytest.approx(BELIEVED), "a pace is not built upon the last one"
    assert call("calibrate", "pace", "--forget").code == 0
    assert stored().pace is None
    assert stored().steps[4].decode_factor == pytest.approx(1.0)


def test_another_machine_of_the_same_name_is_suspected(
    call: Call, calibrated: Coefficients, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "another one" not in call("calibrate", "pace").err
    monkeypatch.setattr(Measuring, "steps", lambda _, spec, instance, *__: figures(spec.name, instance.threads, 2.0))
    assert "it may be another one: mmpredict calibrate run" in call("calibrate", "pace").err


def test_without_the_raw_measurements_there_is_nothing_to_compare_with(call: Call, calibrated: Coefficients) -> None:
    measurements_path(MACHINE, ENGINE).unlink()
    assert_one_line(call("calibrate", "pace"), 2, "raw measurements are not here", "run: mmpredict calibrate run")


def test_without_a_calibration_there_is_no_pace(call: Call) -> None:
    assert_one_line(call("calibrate", "pace"), 1, "no calibration", "mmpredict calibrate run")
