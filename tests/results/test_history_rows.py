"""Errors over time, and what counts as a change, by hand."""

from __future__ import annotations

import math

import pytest

from mmpredict.results.history import Check, Figure, PastCheck, changes, past_errors


def past(
    number: int,
    measured: float,
    day: int = 1,
    subject: str = "s",
    machine: str = "m",
    engine: str = "e",
    metric: str = "makespan_s",
) -> PastCheck:
    """A check of two runs around ``measured``, predicted to take 1 s between 0.9 and 1.1 s."""
    check = Check(f"2026-11-{day:02d}T08:00:00+00:00", "scenario", "chat", "d", machine, engine, "2026-10-01", "0")
    values = (0.99 * measured, 1.01 * measured)
    return PastCheck(number, check, tuple(Figure(subject, turn, metric, 1.0, 0.9, 1.1, one) for turn, one in enumerate(values)))


def test_errors_by_run_and_by_day() -> None:
    checks = [past(2, 1.25, day=2), past(1, 1.0), past(3, 0.8, day=2)]
    by_run = past_errors(checks)
    assert [row.when for row in by_run] == ["2026-11-01 08:00:00 #1", "2026-11-02 08:00:00 #2", "2026-11-02 08:00:00 #3"]
    assert by_run[0].errors.inside_frac == 1.0
    assert by_run[1].errors.bias_frac == pytest.approx(-0.2, abs=0.01)
    first, second = past_errors(checks, "day")
    assert (first.errors.compared, second.errors.compared) == (2, 4)
    assert second.errors.median_absolute_frac == pytest.approx(0.22, abs=0.02)


def test_predictions_without_bounds_have_no_coverage() -> None:
    check = past(1, 1.0).check
    figures = (Figure("process", 0, "process_bytes", 1e9, math.nan, math.nan, 1.1e9),)
    (row,) = past_errors([PastCheck(1, check, figures)])
    assert math.isnan(row.errors.inside_frac)
    assert row.to_dict()["inside_frac"] is None


@pytest.mark.parametrize(("newest", "changed"), [(1.0, False), (1.08, False), (0.93, False), (1.3, True), (0.7, True)])
def test_the_newest_is_held_against_older_ones(newest: float, changed: bool) -> None:
    checks = [past(number, 1.0 + 0.01 * (number % 3), day=number) for number in range(1, 7)]
    found = changes([*checks, past(7, newest, day=7)])
    assert bool(found) is changed
    if changed:
        assert found[0].ratio == pytest.approx(newest / 1.01, rel=0.02)
        assert (found[0].older, found[0].since[:10]) == (6, "2026-11-07")


def test_a_machine_that_always_varied_has_not_changed() -> None:
    checks = [past(number, value, day=number) for number, value in enumerate((1.0, 1.4, 0.8, 1.2, 0.7, 1.35), 1)]
    assert changes(checks) == []


def test_other_questions_machines_and_metrics_are_no_older_ones() -> None:
    slow = past(2, 2.0, day=2)
    assert changes([past(1, 1.0, subject="other"), slow]) == []
    assert changes([past(1, 1.0, machine="other"), slow]) == []
    assert changes([past(1, 1.0, metric="ttft_p50_s"), slow]) == []
    assert changes([slow]) == []
    assert [one.ratio for one in changes([past(1, 1.0), slow])] == pytest.approx([2.0])


def test_a_change_names_the_builds() -> None:
    (change,) = changes([past(1, 1.0, engine="build 1"), past(2, 1.5, day=2, engine="build 2")])
    assert change.engines == ("build 1", "build 2")
    assert change.to_dict()["engines"] == ["build 1", "build 2"]
