"""Efficiencies of loads at the same time, from servers that were started at once."""

from __future__ import annotations

import pytest

from mmpredict.calibrate.fit_joint_loads import UNMEASURED_BEYOND, UNMEASURED_WITHIN, load_efficiencies, loads_law, together_s
from mmpredict.calibrate.measurement import ROUND, Measurement

ALONE_S = {"narrow": 0.4, "wide": 0.25}


def rows(within: float, beyond: float, rounds: int = 3, stray: float = 1.0) -> list[Measurement]:
    """Loads alone, two at once and four at once on two cores; the last round takes ``stray`` times as long."""
    made = []
    for number in range(rounds):
        slow = stray if number == rounds - 1 else 1.0
        for model, seconds in ALONE_S.items():
            made.append(Measurement("load", model, 1, None, {"cold": 0, "duration_s": seconds, ROUND: number}))
        law = loads_law(2, within, beyond)
        for servers in (2, 4):
            models = ["narrow", "wide", "narrow", "wide"][:servers]
            for model, seconds in zip(models, together_s([ALONE_S[one] for one in models], law), strict=True):
                values = {"servers": servers, "duration_s": slow * seconds, ROUND: number}
                made.append(Measurement("joint-load", model, 1, None, values))  # type: ignore[arg-type]
    return made


def test_loads_at_once_are_what_contention_makes_of_them() -> None:
    law = loads_law(2, 0.8, 0.5)
    assert together_s([1.0], law) == [1.0], "alone"
    assert together_s([1.0, 1.0], law) == pytest.approx([1.25, 1.25])
    assert together_s([1.0, 2.0], law) == pytest.approx([1.25, 2.25]), "the second is alone at last"
    assert together_s([1.0] * 4, law) == pytest.approx([4.0] * 4)
    assert together_s([2.0, 1.0, 1.0, 1.0], law) == pytest.approx([5.0, 4.0, 4.0, 4.0])


def test_efficiencies_are_recovered() -> None:
    within, beyond = load_efficiencies(rows(0.95, 0.85), cores=2)
    assert (within.value, beyond.value) == (pytest.approx(0.95, abs=1e-6), pytest.approx(0.85, abs=1e-6))
    restless, _ = load_efficiencies(rows(0.95, 0.85, stray=1.3), cores=2)
    assert restless.value < within.value and restless.log_spread > within.log_spread


def test_what_was_not_measured_is_assumed() -> None:
    alone = [row for row in rows(0.9, 0.9) if row.kind == "load"]
    assert load_efficiencies(alone, cores=2) == (UNMEASURED_WITHIN, UNMEASURED_BEYOND)
    halves = [row for row in rows(0.9, 0.9) if row.kind == "load" or row.model == "wide"]
    assert load_efficiencies(halves, cores=2) == (UNMEASURED_WITHIN, UNMEASURED_BEYOND), "an interrupted start tells nothing"


def test_two_loads_on_one_core_are_beyond() -> None:
    within, beyond = load_efficiencies([row for row in rows(0.9, 0.9) if row.values.get("servers") != 4], cores=1)
    assert within == UNMEASURED_WITHIN and beyond != UNMEASURED_BEYOND
