"""Goals and objectives are read as they are written; mistakes are named."""

from __future__ import annotations

import pytest

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.planning.goals import GOALS, Objective, goal_of, parse_objective

MODELS = ("chat", "qwen2.5:0.5b")


@pytest.mark.parametrize(
    ("text", "objective"),
    [
        ("chat:ttft_p95=2s", Objective("chat", "ttft", "p95", 2.0)),
        ("qwen2.5:0.5b:e2e_mean=500ms", Objective("qwen2.5:0.5b", "e2e", "mean", 0.5)),
        ("latency_p50 = 1m", Objective("", "e2e", "p50", 60.0)),
        ("itl_p99=80ms", Objective("", "itl", "p99", 0.08)),
    ],
)
def test_objectives(text: str, objective: Objective) -> None:
    assert parse_objective(text, MODELS) == objective


@pytest.mark.parametrize("text", ["chat:ttft_p95", "ttft=2s", "ttft_p42=2s", "speed_p95=2s", "", "=", "chat:=2s"])
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="write MODEL:METRIC=LIMIT, as chat:ttft_p95=2s"):
        parse_objective(text, MODELS)


def test_unknown_models_and_limits_are_named() -> None:
    with pytest.raises(UnknownNameError, match="unknown model of an objective 'chatt'; did you mean chat"):
        parse_objective("chatt:ttft_p95=2s", MODELS)
    with pytest.raises(InputError, match="'fast' is no duration"):
        parse_objective("ttft_p95=fast", MODELS)
    with pytest.raises(InputError, match="more than 0 seconds"):
        parse_objective("ttft_p95=-1s", MODELS)


def test_goals_know_what_is_better() -> None:
    assert goal_of("throughput").worth(5.0) < goal_of("throughput").worth(4.0)
    assert all(goal.worth(1.0) < goal.worth(2.0) for goal in GOALS.values() if not goal.larger)
    with pytest.raises(UnknownNameError, match="did you mean makespan"):
        goal_of("makespam")
