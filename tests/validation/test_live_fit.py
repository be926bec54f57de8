"""Corrections by real runs: of machines that became slower, that are as calibrated, and that tell nothing."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from made_up import APART, OTHER, SMALL, TOGETHER, executed, past, plan

from mmpredict.cost.coefficients import Coefficients, Correction
from mmpredict.cost.correction import corrected, uncorrected
from mmpredict.errors import InputError
from mmpredict.models.resolve import resolve
from mmpredict.validation.live_factors import Factor, estimate
from mmpredict.validation.live_fit import LiveFit, fit_live
from mmpredict.validation.live_residuals import Group, residuals

SPECS = {name: resolve(name) for name in (SMALL, OTHER)}


def slower(own: Coefficients, factor: float = 1.0, **factors: float) -> Coefficients:
    """A machine whose parts take longer than calibrated."""
    found = Correction(
        learnt_on="2026-11-01",
        first="2026-11-01",
        last="2026-11-01",
        runs=1,
        rounds=1,
        models=("m",),
        prefill={4: factor * factors.get("prefill", 1.0)},
        decode={4: factor * factors.get("decode", 1.0)},
        load=factor * factors.get("load", 1.0),
        request=factors.get("request", 1.0),
        calibrated_log_spread=own.machine_log_spread,
    )
    return corrected(own, found).model_copy(update={"correction": None})


def fitted(own: Coefficients, truths: list[Coefficients]) -> LiveFit:
    """A fit to one round of two plans for each machine in turn."""
    runs = [one for number, truth in enumerate(truths, 1) for one in past(truth, number, APART, TOGETHER)]
    return fit_live(runs, own, "2026-11-30", lambda label, part: None)


def factor(found: LiveFit, part: str, threads: int = 0) -> Factor:
    return next(one for one in found.factors if (one.part, one.threads) == (part, threads))


def test_parts_of_a_run_tell_how_much_longer_they_take(coefficients: Coefficients) -> None:
    found = residuals(executed(slower(coefficients, prefill=1.3, decode=0.9, load=1.5, request=2.0), APART), SPECS, coefficients)
    assert math.exp(found[Group("load", 0)][SMALL]) == pytest.approx(1.5, rel=0.02)
    assert math.exp(found[Group("prefill", 4)][SMALL]) == pytest.approx(1.3, rel=0.02)
    assert math.exp(found[Group("decode", 4)][OTHER]) == pytest.approx(0.9, rel=0.02)
    assert math.exp(found[Group("request", 0)][OTHER]) == pytest.approx(2.0, rel=0.02)


def test_requests_that_overlap_are_compared_by_the_time_that_their_server_works(coefficients: Coefficients) -> None:
    found = residuals(executed(slower(coefficients, prefill=1.4, decode=1.4), TOGETHER), SPECS, coefficients)
    assert found[Group("prefill", 2)] == found[Group("decode", 2)]
    assert 1.1 < math.exp(found[Group("decode", 2)][SMALL]) < 1.5
    same = residuals(executed(coefficients, TOGETHER), SPECS, coefficients)
    assert all(value == 0.0 for one in same.values() for value in one.values())


def test_servers_that_share_cores_tell_nothing_of_their_speed(coefficients: Coefficients) -> None:
    crowd = replace(TOGETHER, instances=tuple(replace(one, threads=4, spincount=1000) for one in TOGETHER.instances))
    assert residuals(executed(slower(coefficients, 1.2), crowd), SPECS, coefficients) == {}


def test_a_machine_that_became_slower_is_predicted_better(coefficients: Coefficients) -> None:
    found = fitted(coefficients, [slower(coefficients, 1.12) for _ in range(9)])
    assert found.better
    assert (found.fitted, found.held_out, found.runs) == (6, 3, 18)
    assert 1 / 1.12 - 1 < found.before["makespan_s"].bias_frac < -0.05, "some of the time nobody works"
    assert abs(found.after["makespan_s"].bias_frac) < 0.6 * abs(found.before["makespan_s"].bias_frac)
    assert found.after["request_e2e_s"].median_absolute_frac < found.before["request_e2e_s"].median_absolute_frac
    decode = factor(found, "decode", 4)
    assert decode.seen == pytest.approx({SMALL: 1.12, OTHER: 1.12}, rel=0.02)
    assert 1.0 < decode.value < math.exp(decode.log_of(SMALL)) < 1.12, "one scenario is believed in part, of others still less"
    correction = found.coefficients.correction
    assert correction is not None and (correction.rounds, correction.runs, correction.models) == (9, 18, (OTHER, SMALL))
    assert correction.errors["makespan_s_after"] < correction.errors["makespan_s_before"]
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["better"] is True


def test_the_more_rounds_the_more_they_are_believed(coefficients: Coefficients) -> None:
    few, many = (factor(fitted(coefficients, [slower(coefficients, 1.1)] * count), "prefill", 4) for count in (2, 8))
    assert few.seen == pytest.approx(many.seen, rel=0.01)
    assert 1.0 < few.value < many.value
    assert 0.05 < few.log_of(SMALL) < many.log_of(SMALL) < math.log(1.1)


def test_a_machine_that_is_as_calibrated_stays_so(coefficients: Coefficients) -> None:
    found = fitted(coefficients, [coefficients] * 6)
    assert [one.log_of(model) for one in found.factors for model in ("", SMALL, OTHER)] == pytest.approx(
        [0.0] * 3 * len(found.factors)
    )
    assert found.coefficients.machine_log_spread < coefficients.machine_log_spread, "no drift was seen"


def test_drift_between_rounds_widens_what_is_expected(coefficients: Coefficients) -> None:
    steady, drifting = (
        fitted(coefficients, [slower(coefficients, math.exp(drift * turn)) for turn in (-1, 1, -1, 1, 0, -1, 1, 0)])
        for drift in (0.0, 0.15)
    )
    assert steady.coefficients.machine_log_spread < 0.05 < 0.1 < drifting.coefficients.machine_log_spread


def test_what_does_not_hold_for_the_newest_rounds_is_no_gain(coefficients: Coefficients) -> None:
    found = fitted(coefficients, [*[slower(coefficients, 1.2)] * 4, *[slower(coefficients, 0.9)] * 2])
    assert not found.better
    assert found.score_after > found.score_before


def test_a_correction_is_made_anew_from_the_calibration(coefficients: Coefficients) -> None:
    truths = [slower(coefficients, 1.1)] * 4
    first = fitted(coefficients, truths)
    again = fitted(first.coefficients, truths)
    assert [one.value for one in again.factors] == pytest.approx([one.value for one in first.factors])
    assert again.coefficients.request_s == pytest.approx(first.coefficients.request_s)


def test_a_correction_can_be_taken_back(coefficients: Coefficients) -> None:
    back = uncorrected(fitted(coefficients, [slower(coefficients, 1.1, request=2.0)] * 3).coefficients)
    assert back.correction is None
    assert back.steps == coefficients.steps
    assert back.loading.start_s == pytest.approx(coefficients.loading.start_s)
    assert (back.request_s, back.machine_log_spread) == pytest.approx((coefficients.request_s, coefficients.machine_log_spread))


def test_runs_that_tell_nothing_are_named(coefficients: Coefficients) -> None:
    crowd = plan(4, apart=False)
    gone = past(coefficients, 3, APART)[0]
    gone = replace(gone, run=replace(gone.run, models=dict.fromkeys((SMALL, OTHER), "gone.gguf")))
    runs = [*past(coefficients, 1, crowd), *past(coefficients, 2, APART, status="timeout"), gone, *past(coefficients, 4, APART)]
    with pytest.raises(InputError, match=r"1 rounds of real runs .*spin tell nothing.*failed.*gone.gguf.*at least 2 are needed"):
        fit_live(runs, coefficients, "2026-11-30", lambda label, part: None)


def test_an_estimate_by_hand(coefficients: Coefficients) -> None:
    own = coefficients.model_copy(update={"machine_log_spread": 0.1, "model_log_spread": {"prefill": 0.1, "decode": 0.2}})
    rounds = [{Group("decode", 2): {"a": 0.1 + drift, "b": 0.3 + drift}} for drift in (-0.06745, 0.0, 0.06745)]
    (found,), spread = estimate(rounds, ["chat"] * 3, [], own)
    assert {model: math.log(seen) for model, seen in found.seen.items()} == pytest.approx({"a": 0.1, "b": 0.3})
    drift, half = (2 * 0.1**2 + 2 * 0.1**2) / 4, 0.04 / 2
    common = 0.2 * 0.01 / (0.01 + drift / 3 + (half + half) / 2)
    assert math.log(found.value) == pytest.approx(common)
    assert math.log(found.of["b"]) == pytest.approx((0.3 - common) * half / (half + half + drift / 3))
    assert spread == pytest.approx(math.sqrt(drift + 0.01 * drift / (3 * 0.01 + drift)))


def test_a_model_in_several_scenarios_is_believed_more(coefficients: Coefficients) -> None:
    rounds = [{Group("decode", 2): {"a": 0.1 + 0.2 * (turn % 2)}} for turn in range(4)]
    one, two = (estimate(rounds, asked, [], coefficients)[0][0] for asked in (["chat"] * 4, ["chat", "code"] * 2))
    assert (one.seen["a"], two.seen["a"]) == pytest.approx((math.exp(0.2), math.exp(0.2)))
    assert 0.0 < one.log_of("a") < two.log_of("a") < 0.2


def test_what_was_simulated_with_counts_already(coefficients: Coefficients) -> None:
    group = Group("prefill", 2)
    rounds = [{group: {"a": 0.1 + drift}} for drift in (-0.01, 0.0, 0.02)]
    used = Factor("prefill", 2, math.exp(0.04), {"a": math.exp(0.02)}, {}, 3)
    again = [{group: {"a": one[group]["a"] - 0.06}} for one in rounds]
    first, second = (estimate(seen, ["chat"] * 3, known, coefficients)[0][0] for seen, known in ((rounds, []), (again, [used])))
    assert first.log_of("a") == pytest.approx(second.log_of("a"))


def test_models_that_were_not_run_are_moved_by_what_is_common(coefficients: Coefficients) -> None:
    found = fitted(coefficients, [slower(coefficients, 1.1)] * 6).coefficients
    steps = found.steps[4]
    assert steps.decode_times("a stranger") == steps.decode_factor < steps.decode_times(SMALL)
    assert set(found.loading.factor_of) == {SMALL, OTHER}
    assert found.steps[1].decode_of == found.steps[2].decode_of, "one thread was not run: as with two"
