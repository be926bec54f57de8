"""What a plan can be chosen for: goals, objectives of models, and limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.units import parse_duration


@dataclass(frozen=True, slots=True)
class Goal:
    """One thing to be made small or large.

    Attributes:
        name: as it is asked for.
        metric: of ``planning.outcome.Outcome.metrics``.
        larger: whether more is better.
        meaning: for people.
    """

    name: str
    metric: str
    meaning: str
    larger: bool = False

    def worth(self, value: float) -> float:
        """A value as a number of which less is better."""
        return -value if self.larger else value


GOALS: dict[str, Goal] = {
    goal.name: goal
    for goal in (
        Goal("makespan", "makespan_s", "last finish − first arrival"),
        Goal("throughput", "throughput_tokens_per_s", "output tokens ÷ makespan", larger=True),
        Goal("latency", "latency_mean_s", "whole request, mean"),
        Goal("latency-p95", "latency_p95_s", "whole request, 95th percentile"),
        Goal("ttft", "ttft_mean_s", "time to the first token, mean"),
        Goal("ttft-p95", "ttft_p95_s", "time to the first token, 95th percentile"),
        Goal("memory", "memory_bytes", "largest memory of all servers together"),
        Goal("energy", "energy_j", "energy of the machine over the makespan"),
    )
}


def goal_of(name: str) -> Goal:
    """The goal of this name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in GOALS:
        raise UnknownNameError("goal", name, GOALS)
    return GOALS[name]


TIMES = ("ttft", "itl", "e2e")
STATISTICS = ("mean", "p50", "p90", "p95", "p99")


@dataclass(frozen=True, slots=True)
class Objective:
    """A limit on a time of requests.

    Attributes:
        model: whose requests; empty for all.
        time: one of ``TIMES``: to the first token, between tokens, whole request.
        statistic: one of ``STATISTICS``, over requests.
        limit_s: largest allowed value [s].
    """

    model: str
    time: str
    statistic: str
    limit_s: float

    def __str__(self) -> str:
        where = f"{self.model}: " if self.model else ""
        return f"{where}{self.time}_{self.statistic} ≤ {self.limit_s:g} s"


def parse_objective(text: str, models: Sequence[str]) -> Objective:
    """Read ``MODEL:ttft_p95=2s``, or ``ttft_p95=2s`` for the requests of all models.

    Args:
        text: as given.
        models: those that there are.

    Raises:
        InputError: another form, an unknown metric or no duration; ``UnknownNameError`` for an unknown model.
    """
    left, equals, limit = text.rpartition("=")
    model, _, metric = left.strip().rpartition(":")
    time, _, statistic = metric.strip().lower().partition("_")
    time = "e2e" if time == "latency" else time
    if not equals or time not in TIMES or statistic not in STATISTICS:
        raise InputError(
            f"objective {text[:80]!r}: write MODEL:METRIC=LIMIT, as chat:ttft_p95=2s; METRIC is one of {', '.join(TIMES)}, an "
            f"underscore and one of {', '.join(STATISTICS)}; without MODEL: it holds for all requests"
        )
    if model and model not in models:
        raise UnknownNameError("model of an objective", model, models)
    limit_s = parse_duration(limit.strip())
    if limit_s <= 0:
        raise InputError(f"objective {text[:80]!r}: the limit must be more than 0 seconds")
    return Objective(model, time, statistic, limit_s)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a plan must keep to.

    Attributes:
        memory_bytes: of all servers together, in main memory and on a GPU [bytes].
        cores: threads that may work at the same time [1].
        objectives: limits on times.
        resident: models that must stay loaded from their first load to the end.
        deadlines_frac: least part of the requests with a deadline that must meet it [1].
    """

    memory_bytes: float
    cores: int
    objectives: tuple[Objective, ...] = ()
    resident: tuple[str, ...] = ()
    deadlines_frac: float = 0.0
