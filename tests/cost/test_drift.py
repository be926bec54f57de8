"""How sure a calibration is of runs at a known time."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from mmpredict import api
from mmpredict.cost.coefficients import Coefficients, Correction, Pace
from mmpredict.cost.correction import corrected
from mmpredict.cost.drift import HOUR_S, HOURS_SPREAD, at_time, hours_spread
from mmpredict.cost.pace import with_pace
from mmpredict.costing import CalibratedCosting, costing_of
from mmpredict.demo import demo_scenario
from mmpredict.errors import InputError
from mmpredict.hardware.library import find_profile

MINUTES = 0.03


@pytest.fixture
def calibrated(coefficients: Coefficients) -> Coefficients:
    return coefficients.model_copy(update={"machine_log_spread": math.hypot(HOURS_SPREAD, MINUTES), "measured_at_s": 1e9})


def test_variance_grows_with_time_up_to_that_of_hours() -> None:
    assert hours_spread(0.0) == 0.0
    assert hours_spread(HOUR_S / 2) ** 2 == pytest.approx(HOURS_SPREAD**2 / 2)
    assert hours_spread(HOUR_S) == hours_spread(30 * HOUR_S) == hours_spread(-2 * HOUR_S) == HOURS_SPREAD


@pytest.mark.parametrize(("age_s", "part"), [(0.0, 0.0), (900.0, 0.5), (-900.0, 0.5), (9e5, 1.0)])
def test_a_recent_calibration_is_surer(calibrated: Coefficients, age_s: float, part: float) -> None:
    known = at_time(calibrated, 1e9 + age_s)
    assert known.machine_log_spread == pytest.approx(math.hypot(part * HOURS_SPREAD, MINUTES))
    assert known.model_copy(update={"machine_log_spread": calibrated.machine_log_spread}) == calibrated


def test_what_knows_better_stays_as_it_is(coefficients: Coefficients, calibrated: Coefficients) -> None:
    assert at_time(coefficients, 1e9) is coefficients, "of unknown time"
    found = {"prefill": {1: 1.1}, "decode": {1: 1.1}, "log_spread": 0.02, "calibrated_log_spread": 0.05}
    paced = with_pace(calibrated, Pace.model_validate({"measured_at": "2026-01-01T12:00", "figures": 4, **found}))
    assert at_time(paced, 1e9) is paced
    learnt = Correction(
        learnt_on="2026-01-02", first="2026-01-01", last="2026-01-02", runs=2, rounds=2, models=("m",), calibrated_log_spread=0.08
    )
    by_runs = corrected(calibrated, learnt, 0.02)
    assert at_time(by_runs, 1e9) is by_runs


def test_what_is_run_at_once_is_predicted_for_now(
    calibrated: Coefficients, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    profile = find_profile()
    known = [costing_of(profile, calibrated, now_s) for now_s in (None, 1e9)]
    spreads = [one.coefficients.machine_log_spread for one in known if isinstance(one, CalibratedCosting)]
    assert spreads == [calibrated.machine_log_spread, pytest.approx(MINUTES)]
    asked = []

    def forecast(*_: object, now_s: float | None = None) -> None:
        asked.append(now_s)
        raise InputError("that is enough")

    monkeypatch.setattr(api, "forecast", forecast)
    monkeypatch.setattr(api, "time", lambda: 1e9)
    with pytest.raises(InputError, match="that is enough"):
        api.validate(demo_scenario(), tmp_path, coefficients=calibrated)
    assert asked == [1e9]
