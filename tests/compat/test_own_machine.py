"""The machine that this runs on: by its calibration, and not at all without one."""

from __future__ import annotations

from pathlib import Path

import pytest
from guide import configs

from mmpredict import MultiModelPredictor
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.library import machine_key
from mmpredict.errors import NotCalibratedError
from mmpredict.hardware.library import find_profile


@pytest.fixture
def calibrated(own_data: Path, coefficients: Coefficients) -> None:
    directory = own_data / "coefficients" / machine_key(find_profile())
    directory.mkdir(parents=True)
    (directory / "invented.json").write_text(coefficients.model_dump_json())


@pytest.mark.usefixtures("calibrated")
def test_a_calibration_answers_for_every_kind_of_model() -> None:
    found = MultiModelPredictor().recommend_execution_strategy(configs(), "this-machine", "latency")
    prediction = found["best_prediction"]
    assert prediction["hardware"] == "this-machine"
    assert any("100 measurements of invented" in sentence for sentence in prediction["provenance"])
    assert any("not calibrated (f16)" in sentence for sentence in prediction["warnings"])
    for model in configs():
        one = MultiModelPredictor().predict_multi_model_performance([model], "this-machine")
        assert set(one["contention_factors"].values()) == {1.0}
        assert one["total_metrics"]["execution_time"] == pytest.approx(one["individual_predictions"][0]["latency"], rel=1e-9)


@pytest.mark.usefixtures("calibrated")
def test_company_slows_its_members() -> None:
    twice = [{"model_name": "bert-base-uncased", "batch_size": 2}] * 2
    found = MultiModelPredictor().predict_multi_model_performance(twice, "this-machine")
    factors = found["contention_factors"]
    assert factors["compute_contention"] * factors["memory_bandwidth_contention"] > 1.5
    assert found["sharing_benefits"]["compatible_pairs"] == 1  # one file, mapped twice


def test_nothing_is_said_of_a_machine_that_nobody_measured() -> None:
    with pytest.raises(NotCalibratedError, match="mmpredict calibrate run"):
        MultiModelPredictor().predict_multi_model_performance(configs(), "this-machine")
