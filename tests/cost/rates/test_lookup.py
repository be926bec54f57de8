"""Compiled decode steps: the same times as the terms they are made of, one by one, many at once, and many in a row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from invented_rates import RATES, SPECS

from mmpredict.cost.rates.lookup import StepTable
from mmpredict.cost.rates.step_terms import Conditions, decode_terms
from mmpredict.models.spec import ModelSpec

CONDITIONS = [Conditions(), Conditions(key_type="q8_0", value_type="q4_0", early=True, share=0.4)]
TABLES = {(spec.name, how): StepTable(spec, RATES, how) for spec in SPECS for how in CONDITIONS}
WINDOW = 1024  # of gemma3-4b
MOST_SEQUENCES, DEEPEST = 256, 131_072

specs, conditions = st.sampled_from(SPECS), st.sampled_from(CONDITIONS)
sequences = st.integers(1, MOST_SEQUENCES)
near_the_window = st.floats(WINDOW - 3, WINDOW + 3) | st.integers(WINDOW - 3, WINDOW + 3)
depths = st.integers(0, DEEPEST) | st.floats(0, DEEPEST) | near_the_window
lengths = st.integers(1, 4000) | st.floats(0.5, 4000)


def expected_s(spec: ModelSpec, how: Conditions, several: int, depth: float, steps: float = 1) -> float:
    return RATES.seconds(decode_terms(spec, several, depth, steps, how))


def test_the_windowed_model_has_the_window_that_depths_are_drawn_around() -> None:
    window = SPECS[1].shape.window
    assert window is not None and window.tokens == WINDOW and not all(window.local)


@given(specs, conditions, sequences, depths)
def test_one_step(spec: ModelSpec, how: Conditions, several: int, depth: float) -> None:
    assert TABLES[spec.name, how].step_s(several, depth) == pytest.approx(expected_s(spec, how, several, depth), rel=1e-9)


@given(specs, conditions, sequences, depths, lengths)
def test_steps_in_a_row(spec: ModelSpec, how: Conditions, several: int, depth: float, steps: float) -> None:
    found = TABLES[spec.name, how].segment_s(several, depth, steps)
    assert found == pytest.approx(expected_s(spec, how, several, depth, steps), rel=1e-9)


@given(specs, conditions, sequences, st.integers(0, 5000), st.integers(1, 60))
def test_a_row_is_the_sum_of_its_steps(spec: ModelSpec, how: Conditions, several: int, depth: int, steps: int) -> None:
    table = TABLES[spec.name, how]
    single = sum(table.step_s(several, depth + done) for done in range(steps))
    assert table.segment_s(several, depth, steps) == pytest.approx(single, rel=1e-9)


@given(specs, conditions, st.lists(st.tuples(sequences, depths), max_size=20))
def test_many_steps_at_once(spec: ModelSpec, how: Conditions, asked: list[tuple[int, float]]) -> None:
    several = np.array([one for one, _ in asked], dtype=np.int64)
    found = TABLES[spec.name, how].steps_s(several, np.array([depth for _, depth in asked], dtype=np.float64))
    assert found == pytest.approx([expected_s(spec, how, one, depth) for one, depth in asked], rel=1e-9)


def test_whole_depths_of_a_narrow_type_do_not_overflow() -> None:
    several, deep = np.array([MOST_SEQUENCES, 1], dtype=np.int32), np.array([DEEPEST, 0], dtype=np.int32)
    found = StepTable(SPECS[0], RATES).steps_s(several, deep)
    wanted = [expected_s(SPECS[0], Conditions(), *one) for one in ((MOST_SEQUENCES, DEEPEST), (1, 0))]
    assert found == pytest.approx(wanted, rel=1e-9)


@given(specs, sequences, st.integers(0, DEEPEST - 1))
def test_deeper_or_more_never_costs_less(spec: ModelSpec, several: int, depth: int) -> None:
    table = TABLES[spec.name, CONDITIONS[0]]
    assert table.step_s(several, depth + 1) >= table.step_s(several, depth)
