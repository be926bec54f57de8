"""A fit of steps gives back the numbers that invented measurements were made from, and models that it has never seen."""

from __future__ import annotations

import numpy as np
import pytest
from made_steps import (
    CACHE_BYTES,
    CELL_ROW_S,
    CORES,
    PROTOCOL,
    SPECS,
    UNSEEN,
    WORK,
    errors_on_unseen,
    measure_steps,
    prefill,
    truth,
)

from mmpredict.calibrate import fit_steps as fitting
from mmpredict.calibrate.fit_steps import (
    MOST_OPEN,
    SATURATED_TOKENS,
    fit_cache,
    fit_steps,
    leave_one_model_out,
    step_observations,
)
from mmpredict.calibrate.measurement import Measurement
from mmpredict.calibrate.protocol import thread_counts
from mmpredict.cost.coefficients import Kernel, StepCoefficients
from mmpredict.cost.step import (
    StepCost,
    kernel_weight_s,
)
from mmpredict.errors import NotCalibratedError
from mmpredict.simulation.plan import YIELDING_SPINCOUNT

__all__ = ["truth"]  # a fixture, which pytest finds by its name


@pytest.mark.parametrize(
    ("residuals", "chosen"),
    [({0: 9.0, 48: 1.06, 64: 1.04, 96: 1.0, 128: 1.01}, 64), ({0: 9.0, 48: 1.2, 64: 1.1, 96: 1.0}, 96), ({0: 0.0, 96: 0.0}, 0)],
)
def test_of_equally_good_caches_the_smallest_is_taken(
    residuals: dict[int, float], chosen: int, monkeypatch: pytest.MonkeyPatch, truth: dict[int, StepCoefficients]
) -> None:
    observations = step_observations(measure_steps(truth, 0.0, 1), SPECS, CORES)
    monkeypatch.setattr(fitting, "CACHE_CANDIDATES_BYTES", tuple(size * 1e6 for size in residuals))
    monkeypatch.setattr(fitting._Layout, "residual", lambda layout, _: residuals[round(layout.cache_bytes / 1e6)])
    assert fit_cache([observations]) == chosen * 1e6


@pytest.mark.parametrize("threads", thread_counts(CORES))
def test_unseen_models_are_recovered_from_exact_measurements(truth: dict[int, StepCoefficients], threads: int) -> None:
    observations = step_observations(measure_steps(truth, 0.0, 1), SPECS, threads)
    errors = dict(errors_on_unseen(fit_steps(observations, CACHE_BYTES), truth[threads]))
    assert len(errors) == len(UNSEEN) * (len(WORK) + 5)
    assert {what: error for what, error in errors.items() if abs(error) > 0.01} == {}


def test_unseen_models_are_recovered_from_noisy_measurements(truth: dict[int, StepCoefficients]) -> None:
    observations = step_observations(measure_steps(truth, 0.03, PROTOCOL.rounds), SPECS, CORES)
    errors = dict(errors_on_unseen(fit_steps(observations, CACHE_BYTES), truth[CORES]))
    assert {what: error for what, error in errors.items() if abs(error) > 0.12} == {}
    assert float(np.median(np.abs(list(errors.values())))) < 0.03


def test_every_coefficient_is_recovered_from_exact_measurements(truth: dict[int, StepCoefficients]) -> None:
    found = fit_steps(step_observations(measure_steps(truth, 0.0, 1), SPECS, CORES), CACHE_BYTES)
    exact = truth[CORES]
    for name in StepCoefficients.model_fields:
        if name != "kernels":
            assert getattr(found, name) == pytest.approx(getattr(exact, name), rel=1e-3), name
    cost = StepCost(exact)
    for weight_type, kernel in found.kernels.items():
        assert kernel.batch_tokens[-1] <= SATURATED_TOKENS
        expected = [cost.weight_s(weight_type, tokens) for tokens in kernel.batch_tokens]
        assert kernel.weight_s == pytest.approx(expected, rel=1e-3), weight_type


def test_the_size_of_the_caches_is_recovered_from_all_numbers_of_threads(truth: dict[int, StepCoefficients]) -> None:
    for noise_frac in (0.0, 0.03):
        rows = measure_steps(truth, noise_frac, 1)
        found = fit_cache([step_observations(rows, SPECS, threads) for threads in truth] + [[]])
        assert found == pytest.approx(CACHE_BYTES, rel=0.35 if noise_frac else 1e-9)


def test_kernels_that_are_dear_for_two_and_dearer_for_three_than_for_four_are_recovered(truth: dict[int, StepCoefficients]) -> None:
    """As those of Q8_0 on an EPYC: two tokens take four times as long as one, three longer than four."""
    own = truth[CORES]
    knots, one = (1, 2, 3, 4, 8, 32, 128), own.kernels["q8_0"].weight_s[0]
    prices = tuple(one * times for times in (1.0, 4.0, 6.0, 4.5, 5.0, 14.0, 50.0))
    dear = Kernel(batch_tokens=knots, weight_s=prices, weight_low_s=prices, weight_high_s=prices)
    odd = own.model_copy(update={"kernels": {**own.kernels, "q8_0": dear}})
    found = fit_steps(step_observations(measure_steps({CORES: odd}, 0.0, 1), SPECS, CORES), CACHE_BYTES).kernels["q8_0"]
    assert found.batch_tokens == knots
    assert found.weight_s == pytest.approx(prices, rel=1e-3)


def test_one_token_may_be_slower_than_two_where_it_has_a_kernel_of_its_own(truth: dict[int, StepCoefficients]) -> None:
    """As Q5_0 on a Xeon: 43 and 37 ms. Types without such kernels are held to what is plausible."""
    own = truth[CORES]
    knots, two = (1, 2, 3, 4, 8, 32, 128), own.kernels["q5_0"].weight_s[1]
    prices = tuple(two * times for times in (1.3, 1.0, 1.5, 1.4, 2.5, 9.0, 34.0))
    slow = Kernel(batch_tokens=knots, weight_s=prices, weight_low_s=prices, weight_high_s=prices)
    odd = own.model_copy(update={"kernels": {**own.kernels, "q5_0": slow, "q4_k": slow}})
    found = fit_steps(step_observations(measure_steps({CORES: odd}, 0.0, 1), SPECS, CORES), CACHE_BYTES).kernels
    assert found["q5_0"].weight_s == pytest.approx(prices, rel=1e-3)
    assert found["q4_k"].weight_s[0] <= found["q4_k"].weight_s[1]


def test_exact_measurements_have_tight_bounds_and_noisy_ones_wider(truth: dict[int, StepCoefficients]) -> None:
    def width(noise_frac: float) -> float:
        observations = step_observations(measure_steps(truth, noise_frac, 1), SPECS, CORES)
        kernels = fit_steps(observations, CACHE_BYTES).kernels.values()
        return float(
            np.median(
                [high / max(low, 1e-30) - 1 for k in kernels for low, high in zip(k.weight_low_s, k.weight_high_s, strict=True)]
            )
        )

    assert width(0.0) < 1e-3
    assert 0.01 < width(0.03) < 0.3


def test_the_same_seed_gives_the_same_fit(truth: dict[int, StepCoefficients]) -> None:
    observations = step_observations(measure_steps(truth, 0.03, 1), SPECS, 1)
    assert fit_steps(observations, 0, seed=1) == fit_steps(list(observations), 0, seed=1) != fit_steps(observations, 0, seed=2)


def test_a_number_of_tokens_that_hardly_occurs_is_held_between_its_neighbours(truth: dict[int, StepCoefficients]) -> None:
    """A prompt of 520 tokens ends with a piece of 8, whose time is lost in the noise of the whole."""
    name = "synthetic:probe-narrow@q4_0"
    own, random = truth[1], np.random.default_rng(7)
    rows = []
    for model in (name, *(f"synthetic:probe-{probe}@q4_0" for probe in ("wide", "deep", "large"))):
        for tokens in (2, 32, 64, 520):
            duration_s = StepCost(own).duration_s(prefill(SPECS[model], tokens, 1)) * float(1 + 0.05 * random.standard_normal())
            rows.append(Measurement("prefill", model, 1, None, {"tokens": tokens, "duration_s": duration_s}))
    kernel = fit_steps(step_observations(rows, SPECS, 1), CACHE_BYTES).kernels["q4_0"]
    assert kernel.batch_tokens == (1, 2, 8, 32, 64, 128)
    assert sorted(kernel.weight_s) == list(kernel.weight_s)
    true = kernel_weight_s(own.kernels["q4_0"], 64)
    assert kernel.weight_s[4] == pytest.approx(true, rel=0.2)


def test_leaving_a_model_out_leaves_no_error_when_the_equation_holds(truth: dict[int, StepCoefficients]) -> None:
    errors = leave_one_model_out(step_observations(measure_steps(truth, 0.0, 1), SPECS, CORES), CACHE_BYTES)
    shapes = 4 * len(PROTOCOL.weight_types)
    assert len(errors["decode"]) > shapes and len(errors["prefill"]) > shapes
    found = np.abs([one.log_error for one in errors["prefill"] + errors["decode"]])
    assert np.quantile(found, 0.85) < 0.01, "but for probes that alone tell what memory, or cells far apart, cost"


def test_who_alone_tells_a_price_says_nothing_of_other_models(truth: dict[int, StepCoefficients]) -> None:
    """Far cells are told by one probe: without it the others' fit holds their price at 0, and errs by it in this probe alone."""
    dear = {count: one.model_copy(update={"cell_row_s": 10 * CELL_ROW_S}) for count, one in truth.items()}
    observations = step_observations(measure_steps(dear, 0.0, 1), SPECS, CORES)
    errors = leave_one_model_out(observations, CACHE_BYTES)["decode"]
    assert max(abs(one.own_error) for one in errors) < 0.01
    assert max(one.leverage for one in errors) < MOST_OPEN


def test_rows_of_a_type_have_a_price_where_several_models_tell_it(truth: dict[int, StepCoefficients]) -> None:
    observations = step_observations(measure_steps(truth, 0.0, 1), SPECS, CORES)
    narrow = [one for one in observations if one.model != "synthetic:probe-wide@f16"]
    assert set(fit_steps(observations, CACHE_BYTES).row_s) == {"q8_0", "q5_0", "f16"}
    assert set(fit_steps(narrow, CACHE_BYTES).row_s) == {"q8_0", "q5_0"}
    counted = len(leave_one_model_out(observations, CACHE_BYTES)["prefill"])
    without = [one for one in observations if not one.model.endswith(("@f16", "@q5_0"))]
    assert counted == len(leave_one_model_out(without, CACHE_BYTES)["prefill"]), "neither tells the other's rows"


def test_leaving_a_model_out_shows_the_noise(truth: dict[int, StepCoefficients]) -> None:
    errors = leave_one_model_out(step_observations(measure_steps(truth, 0.03, 1), SPECS, CORES), CACHE_BYTES)
    spread, own = (
        float(np.median(np.abs(found))) / 0.6745
        for found in ([one.log_error for one in errors["decode"]], [one.own_error for one in errors["decode"]])
    )
    assert 0.02 < own < spread < 0.15


def test_repeats_become_their_mean_without_outliers_and_other_rules_are_left_out() -> None:
    name = PROTOCOL.models[0]
    rows = [Measurement("prefill", name, 2, None, {"tokens": 8, "duration_s": value}) for value in (9.0, 1.5, 2.0)]
    rows.append(Measurement("prefill", name, 2, YIELDING_SPINCOUNT, {"tokens": 8, "duration_s": 0.1}))
    rows.append(Measurement("prefill", name, 1, None, {"tokens": 8, "duration_s": 100.0}))
    assert [observation.duration_s for observation in step_observations(rows, SPECS, 2)] == pytest.approx([6.5 / 3])


def test_too_few_steps_are_refused() -> None:
    row = Measurement("prefill", PROTOCOL.models[0], 2, None, {"tokens": 8, "duration_s": 1.0})
    with pytest.raises(NotCalibratedError, match="1 step measurements are too few to fit"):
        fit_steps(step_observations([row], SPECS, 2), CACHE_BYTES)
