"""Summaries, recommendations and verdicts of many scenarios, by hand."""

from __future__ import annotations

import math

import pytest

from mmpredict.report.scenarios_check import scenarios_check_tables
from mmpredict.results.prediction import Interval
from mmpredict.results.scenarios_check import CheckedChoice, ScenarioRow, choices, misses, near_frac, summaries


def row(
    value: float, measured: float = 1.0, case: str = "a", strategy: str = "sequential", metric: str = "makespan_s"
) -> ScenarioRow:
    runs = 0 if math.isnan(measured) else 2
    return ScenarioRow(
        "g", case, strategy, metric, Interval(value, value * 0.9, value * 1.1), measured, 0.01, runs, 2 - runs, value
    )


def test_a_summary_by_hand() -> None:
    rows = [row(value, case=str(number)) for number, value in enumerate((0.8, 0.98, 1.02, 1.05, 1.3))]
    found = summaries([*rows, row(5.0, math.nan, case="lost")])["makespan_s"]
    assert found.cases == 5
    assert (found.median_frac, found.bias_frac, found.noise_frac) == pytest.approx((0.05, 0.02, 0.01))
    assert found.p90_frac == pytest.approx(0.26)
    assert found.inside_frac == pytest.approx(0.6)


def test_what_is_beyond_its_target_is_said() -> None:
    good = [row(1.01, case=str(number)) for number in range(4)] + [row(1.2, case="off")]
    assert misses(good, []) == [], "0.8 inside, median error 1 %"
    sure = misses(good[:4], [])
    assert len(sure) == 1 and "100% inside" in sure[0], "intervals that hold everything are too wide"
    assert "median error 20.0%, at most 5% is aimed at" in misses([good[4]], [])[0]
    assert misses([row(1.01, metric="load_wait_s")], []) == [], "it has no target"
    assert "in 2 runs a request failed" in misses([*good, row(1.0, math.nan)], [])


def test_recommendations_by_hand() -> None:
    rows = [
        *(row(value, measured, "a", name) for name, value, measured in (("s", 2.0, 2.1), ("b", 1.5, 1.55), ("p", 1.4, 1.5))),
        *(row(value, measured, "b", name) for name, value, measured in (("s", 2.0, 2.0), ("b", 3.0, 1.0), ("p", 4.0, math.nan))),
        row(1.0, 1.0, "alone", "s"),
    ]
    first, second = choices(rows)
    assert (first.recommended, first.best, first.regret_frac, first.in_order) == ("p", "p", 0.0, True)
    assert (second.recommended, second.best, second.regret_frac, second.in_order) == ("s", "b", 1.0, False)
    assert second.to_dict()["measured_s"]["p"] is None
    assert near_frac([first, second]) == 0.5
    said = misses([], [first, second])
    assert said == [
        "recommendations: 50% within 5% of the best, 90% are aimed at",
        "recommendations: mean regret 50.0%, at most 3% is aimed at",
    ]


def test_a_recommendation_that_never_ended_costs_without_end() -> None:
    lost = CheckedChoice("a", {"p": 1.0, "s": 2.0}, {"p": math.inf, "s": 2.0})
    assert math.isinf(lost.regret_frac) and lost.to_dict()["regret_frac"] is None
    assert any("mean regret" in one for one in misses([], [lost]))


def test_tables_hold_what_was_found() -> None:
    from rich.console import Console

    rows = [row(1.1, case="a"), row(0.9, 1.2, "a", "batched"), row(1.0, math.nan, "a", "parallel")]
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(scenarios_check_tables(rows[:2], rows[2:], choices(rows)))
    text = console.export_text()
    assert "beyond the cores" in text and "given up" in text and "+10.0 %" in text
