"""Draws: a function of seed, number and name, of the spread that was asked for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.draw import Draw, draw_contention

NAMES = ["machine", "prefill of a", "prefill of b", "decode of a", "load of a"]
DRAWS = 2000


@given(st.permutations(NAMES), st.integers(0, 1000), st.integers(0, 1000))
def test_the_order_of_drawing_does_not_matter(order: list[str], seed: int, number: int) -> None:
    first = {name: Draw(seed, number).factor(name, 0.3) for name in NAMES}
    draw = Draw(seed, number)
    assert {name: draw.factor(name, 0.3) for name in order} == first
    assert {name: draw.factor(name, 0.3) for name in order} == first, "asked again"


def test_names_numbers_and_seeds_all_matter() -> None:
    factors = {Draw(seed, number).factor(name, 0.3) for seed in (0, 1) for number in (0, 1, 2) for name in NAMES}
    assert len(factors) == 2 * 3 * len(NAMES)


@given(st.text(), st.floats(0, 5))
def test_the_median_draw_is_exactly_one(name: str, log_spread: float) -> None:
    assert Draw().factor(name, log_spread) == 1.0
    assert Draw(seed=3).factor(name, log_spread) == 1.0


@given(st.integers(0, 1000), st.integers(0, 1000), st.text())
def test_every_second_draw_has_the_opposite_luck(seed: int, pair: int, name: str) -> None:
    one, other = Draw(seed, 2 * pair), Draw(seed, 2 * pair + 1)
    assert one.factor(name, 0.3) * other.factor(name, 0.3) == pytest.approx(1.0)
    assert one.chance(name, 0.5) != other.chance(name, 0.5)


def test_medians_of_few_draws_are_not_off_by_the_luck_of_a_seed() -> None:
    medians = [np.median([Draw(seed, number).factor("machine", 0.1) for number in range(100)]) for seed in range(50)]
    assert medians == pytest.approx([1.0] * 50, abs=0.005)  # independent draws: 0.0125 is one standard error


def test_no_spread_is_no_change() -> None:
    assert Draw(0, 7).factor("machine", 0.0) == 1.0


@pytest.mark.parametrize("log_spread", [0.05, 0.35])
def test_the_spread_is_recovered(log_spread: float) -> None:
    logs = np.log([Draw(5, number).factor("machine", log_spread) for number in range(DRAWS)])
    assert np.std(logs) == pytest.approx(log_spread, rel=4 / math.sqrt(2 * DRAWS))
    assert abs(np.mean(logs)) < 4 * log_spread / math.sqrt(DRAWS)


def test_different_names_are_independent() -> None:
    one, other = (
        np.log([Draw(0, number).factor(name, 1.0) for number in range(DRAWS)]) for name in ("prefill of a", "decode of a")
    )
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / math.sqrt(DRAWS)


@pytest.mark.parametrize("probability", [0.0, 0.2, 0.7, 1.0])
def test_chances_come_true_as_often_as_they_should(probability: float) -> None:
    often = sum(Draw(1, number).chance("stacked", probability) for number in range(DRAWS)) / DRAWS
    assert often == pytest.approx(probability, abs=4 * math.sqrt(probability * (1 - probability) / DRAWS))


def test_the_median_takes_the_likelier_side() -> None:
    assert [Draw().chance("stacked", probability) for probability in (0.0, 0.4, 0.6, 1.0)] == [False, False, True, True]


def test_contention_at_the_median_is_what_was_fitted(coefficients: Coefficients) -> None:
    own, drawn = coefficients.contention, draw_contention(coefficients, Draw())
    assert drawn.cores == coefficients.cores
    assert drawn.within_efficiency == own.within_efficiency.value
    assert drawn.yielding_efficiency == own.yielding_efficiency.value
    assert drawn.spinning_efficiency_prefill == own.spinning_efficiency["prefill"].value
    assert drawn.spinning_efficiency_decode == own.spinning_efficiency["decode"].value
    assert drawn.stacked_layer_s == own.stacked_layer_s.value


def test_drawn_efficiencies_spread_and_stay_possible(coefficients: Coefficients) -> None:
    drawn = [draw_contention(coefficients, Draw(0, number)) for number in range(300)]
    for name in ("within_efficiency", "yielding_efficiency", "spinning_efficiency_prefill", "spinning_efficiency_decode"):
        values = [getattr(contention, name) for contention in drawn]
        assert 0 < min(values) < max(values) <= 1.0
    assert np.std(np.log([contention.spinning_efficiency_decode for contention in drawn])) == pytest.approx(0.35, rel=0.2)
