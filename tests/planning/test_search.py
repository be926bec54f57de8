"""The recommendation is the shortest expected makespan, and says how sure it is."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.errors import InputError
from mmpredict.planning.search import recommend
from mmpredict.results.prediction import Interval, Prediction
from mmpredict.results.records import Records


def prediction(strategy: str, median_s: float, makespans_s: Sequence[float] = ()) -> Prediction:
    interval = Interval(median_s, 0.8 * median_s, 1.2 * median_s)
    return Prediction(strategy, Records("simulated"), {"makespan_s": interval}, len(makespans_s), tuple(makespans_s))


@given(st.lists(st.floats(0.1, 1e6), min_size=1, max_size=6))
def test_the_shortest_comes_first(medians_s: list[float]) -> None:
    found = recommend([prediction(f"plan {number}", median_s) for number, median_s in enumerate(medians_s)])
    best = min(range(len(medians_s)), key=lambda number: medians_s[number])
    assert found.strategy == f"plan {best}", "the first of equals"
    assert [value for _, value in found.ranking] == sorted(medians_s)
    assert found.margin_frac >= 0.0
    if len(medians_s) > 1:
        assert found.runner_up == found.ranking[1][0]
        assert found.margin_frac == pytest.approx(sorted(medians_s)[1] / min(medians_s) - 1)


def test_the_probability_counts_draws_won_against_the_second() -> None:
    best = prediction("a", 2.0, [1.0, 2.0, 3.0, 6.0])
    second = prediction("b", 3.0, [2.0, 3.0, 4.0, 5.0])
    found = recommend([prediction("c", 9.0, [9.0] * 4), second, best])
    assert (found.strategy, found.runner_up, found.probability) == ("a", "b", 0.75)


def test_what_may_become_very_slow_is_not_worth_a_small_gain() -> None:
    """As servers that spin with more threads than cores: most often a little quicker, and sometimes three times as slow."""
    gamble = prediction("gamble", 20.8, [20.7, 20.8, 20.8, 51.2, float("nan")])
    steady = prediction("steady", 21.2, [21.1, 21.2, 21.2, 21.3, 21.2])
    found = recommend([gamble, steady])
    assert (found.strategy, found.runner_up) == ("steady", "gamble")
    assert found.ranking == (("steady", pytest.approx(21.2)), ("gamble", pytest.approx(28.375)))
    assert found.probability == pytest.approx(0.2)


def test_a_single_plan_is_certain() -> None:
    found = recommend([prediction("only", 3.0, [3.0])])
    assert (found.strategy, found.runner_up, found.margin_frac, found.probability) == ("only", "", 0.0, 1.0)


def test_equal_plans_win_no_draw() -> None:
    found = recommend([prediction("a", 2.0, [2.0, 2.0]), prediction("b", 2.0, [2.0, 2.0])])
    assert (found.strategy, found.margin_frac, found.probability) == ("a", 0.0, 0.0)


def test_nothing_to_choose_from_is_an_error() -> None:
    with pytest.raises(InputError, match="nothing to recommend"):
        recommend([])


def test_as_plain_data() -> None:
    data = recommend([prediction("a", 2.0, [1.0]), prediction("b", 3.0, [2.0])]).to_dict()
    assert json.loads(json.dumps(data)) == {
        "strategy": "a",
        "goal": "makespan_s",
        "ranking": [{"strategy": "a", "makespan_s": 1.0}, {"strategy": "b", "makespan_s": 2.0}],
        "runner_up": "b",
        "margin_frac": 1.0,
        "probability": 1.0,
    }


def test_a_plan_that_leaves_requests_unanswered_comes_last_and_is_no_rival() -> None:
    found = recommend([prediction("fails", float("nan"), [float("nan")]), prediction("works", 5.0, [5.0])])
    assert (found.strategy, found.runner_up, found.probability) == ("works", "", 1.0)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["ranking"][1] == {"strategy": "fails", "makespan_s": None}
