"""A knee is found where a curve bends, and nowhere else."""

from __future__ import annotations

import pytest

from mmpredict.planning.knee import knee_of


def test_a_corner_is_the_knee() -> None:
    loads = [float(load) for load in range(11)]
    place, strength = knee_of(loads, [1.0] * 8 + [10.0, 20.0, 30.0]) or (None, 0.0)
    assert (place, strength) == (7, pytest.approx(0.7))


def test_the_knee_of_a_hyperbola() -> None:
    loads = [number / 20 for number in range(20)]
    place, _ = knee_of(loads, [1 / (1 - load) for load in loads]) or (None, 0.0)
    assert place is not None and 0.7 < loads[place] < 0.9, "M/M/1: delay 1/(1 − ρ)"


@pytest.mark.parametrize(
    "values",
    [[1.0, 2.0, 3.0, 4.0, 5.0], [3.0] * 5, [1.0, 4.0, 6.0, 7.0, 7.5], [1.0, 9.0]],
    ids=["straight", "flat", "levelling off", "too few"],
)
def test_no_knee(values: list[float]) -> None:
    assert knee_of([float(number) for number in range(len(values))], values) is None
