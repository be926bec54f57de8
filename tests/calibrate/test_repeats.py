"""Repeats agree or do not, and rounds of a calibration tell how steady its machine was."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from mmpredict.calibrate.measurement import MASKED_CELLS, ROUND, Measurement
from mmpredict.calibrate.repeats import (
    MINUTES_SPREAD,
    at_mean_pace,
    condition_of,
    drift_spread,
    drifts,
    halfwidth_frac,
    minutes_spread,
    slowing_frac,
    unsettled,
)


def prefill(model: str, tokens: int, number: int, duration_s: float, masked: float = 0.0) -> Measurement:
    return Measurement("prefill", model, 2, None, {"tokens": tokens, "duration_s": duration_s, ROUND: number, MASKED_CELLS: masked})


def test_masked_cells_tell_conditions_apart_by_the_hundred() -> None:
    few, more, many = (condition_of(prefill("m", 8, 0, 1.0, masked)) for masked in (3, 40, 1500))
    assert few == more != many


def test_one_repeat_tells_nothing_and_equal_ones_everything() -> None:
    assert halfwidth_frac([1.0]) == math.inf
    assert halfwidth_frac([2.0, 2.0, 2.0]) == 0.0
    assert halfwidth_frac([1.0, 1.1, 0.9, 1.0]) > halfwidth_frac([1.0, 1.01, 0.99, 1.0]) > 0.0
    assert halfwidth_frac([1.0, 1.01, 0.99, 1.0, 9.0]) < 0.05, "an outlier is one"


def test_servers_with_repeats_too_far_apart_are_measured_again() -> None:
    steady = [prefill("steady", tokens, number, tokens * 0.01) for number in range(3) for tokens in (4, 8, 32)]
    loose = [prefill("loose", tokens, number, tokens * 0.01 * (1 + 0.2 * number)) for number in range(3) for tokens in (4, 8, 32)]
    assert unsettled(steady + loose, 0.02) == {("loose", 2, None)}
    assert unsettled([prefill("once", 4, 0, 1.0)], 0.02) == {("once", 2, None)}


def test_what_all_conditions_of_a_round_share_is_the_machines() -> None:
    rows = [
        prefill("m", tokens, number, tokens * 0.01 * factor)
        for number, factor in enumerate((1.0, 1.1, 0.95))
        for tokens in (4, 8, 32)
    ]
    found = drifts(rows)["m", 2, None]
    assert [found[number] for number in range(3)] == pytest.approx([0.0, math.log(1.1), math.log(0.95)])
    assert slowing_frac(rows) == pytest.approx(-0.05)
    spread = drift_spread(rows)
    changes = [math.log(1.1), math.log(1.1 / 0.95)]
    assert spread == pytest.approx((changes[0] + 0.8 * (changes[1] - changes[0])) / 1.2816 / math.sqrt(2), rel=1e-3)
    assert minutes_spread(rows) == pytest.approx(math.sqrt((2 * spread**2 + MINUTES_SPREAD**2) / 3)), "two changes, and one assumed"


def test_one_round_shows_no_drift() -> None:
    rows = [prefill("m", 4, 0, 1.0)]
    assert drift_spread(rows) is None
    assert minutes_spread(rows) == MINUTES_SPREAD
    assert slowing_frac(rows) == 0.0


def test_what_only_a_quick_round_measured_is_not_taken_for_quick() -> None:
    """Round 1 is a fifth slower than round 0; each model has a pace of its own."""
    slow = {0: 1.0, 1: 1.2, 2: 1.0}
    rows = [
        prefill(model, 32, number, own * slow[number]) for model, own in (("a", 1.0), ("b", 3.0), ("c", 7.0)) for number in slow
    ]
    once = [prefill("once", 32, 0, 5.0), prefill("once", 64, 1, 12.0)]
    steady = at_mean_pace([*rows, *once])
    mean = (1.0 + 1.2 + 1.0) / 3
    assert [row.number("duration_s") for row in steady if row.model == "a"] == pytest.approx([mean] * 3)
    assert [row.number("duration_s") for row in steady if row.model == "once"] == pytest.approx([5.0 * mean, 10.0 * mean])


def test_other_phases_threads_and_rows_keep_their_times() -> None:
    rows = [prefill(model, 32, number, 1.0 + number) for model in "ab" for number in range(2)]
    decode = Measurement("decode", "a", 2, None, {"sequences": 1, "depth": 8, "steps": 10, "duration_s": 4.0, ROUND: 1})
    alone = replace(rows[0], threads=1)
    yielding = replace(rows[1], spincount=1000)
    load = Measurement("load", "a", 2, None, {"cold": 0, "kv_cache_bytes": 0, "duration_s": 9.0, ROUND: 1})
    unnumbered = Measurement("prefill", "a", 2, None, {"tokens": 32, "duration_s": 5.0})
    others = [decode, alone, load, unnumbered]
    assert at_mean_pace([*rows, *others])[len(rows) :] == others
    assert at_mean_pace([*rows, yielding])[-1] != yielding, "a round is as slow for any waiting rule"
