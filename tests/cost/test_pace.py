"""A calibration at another pace, and back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mmpredict.cost.chain import CalibratedSource, CostModel
from mmpredict.cost.coefficients import Coefficients, Pace
from mmpredict.cost.correction import uncorrected
from mmpredict.cost.pace import pace_sentence, with_pace
from mmpredict.models.cache import CacheOptions
from mmpredict.models.spec import ModelSpec

SLOWER = Pace(
    measured_at="2026-01-01T12:00",
    prefill={1: 1.1, 4: 1.2},
    decode={1: 1.3, 4: 1.5},
    load=2.0,
    figures=20,
    log_spread=0.02,
    calibrated_log_spread=0.05,
)


@pytest.mark.parametrize(("threads", "prefill", "decode"), [(1, 1.1, 1.3), (4, 1.2, 1.5)])
def test_times_are_longer_by_the_pace(
    coefficients: Coefficients, make_spec: Callable[[str], ModelSpec], threads: int, prefill: float, decode: float
) -> None:
    spec, options = make_spec("smollm2-135m@q8_0"), CacheOptions(4096, 4)

    def costs(own: Coefficients) -> tuple[float, float, float]:
        one = CostModel(own).instance(spec, threads, None, options)
        return one.prices.batch_pass_s(64, 1), one.prices.decode_pass_s(2), one.load_s(cold=True)

    before, after = costs(coefficients), costs(with_pace(coefficients, SLOWER))
    assert [now / then for now, then in zip(after, before, strict=True)] == pytest.approx([prefill, decode, 2.0])


def test_a_number_of_threads_between_has_the_pace_of_its_nearest(coefficients: Coefficients) -> None:
    steps = with_pace(coefficients, SLOWER).steps
    assert (steps[2].prefill_factor, steps[2].decode_factor) == (1.1, 1.3)


def test_a_pace_replaces_the_one_before_and_can_be_taken_back(coefficients: Coefficients) -> None:
    slow = with_pace(coefficients, SLOWER)
    assert (slow.machine_log_spread, slow.pace) == (0.02, SLOWER)
    quick = SLOWER.model_copy(update={"load": 0.5, "log_spread": 0.01})
    assert with_pace(slow, quick).loading.start_s == pytest.approx(0.5 * coefficients.loading.start_s)
    back = with_pace(slow, None)
    assert back.pace is None and back.machine_log_spread == coefficients.machine_log_spread
    for threads, step in back.steps.items():
        assert step.decode_factor == pytest.approx(coefficients.steps[threads].decode_factor)
    assert uncorrected(with_pace(coefficients, None)) is coefficients


def test_predictions_say_at_which_pace_they_are(coefficients: Coefficients) -> None:
    assert CalibratedSource(with_pace(coefficients, SLOWER)).provenance[-1] == pace_sentence(SLOWER)
    assert pace_sentence(SLOWER) == (
        "at the pace of 2026-01-01T12:00: times of prompts 1 thread × 1.100, prompts 4 threads × 1.200, "
        "decoding 1 thread × 1.300, decoding 4 threads × 1.500, loads × 2.000"
    )
