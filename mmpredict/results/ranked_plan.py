"""Plans put in order, and why: what a recommendation consists of, as plain data."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from mmpredict.results.display import Shown, show
from mmpredict.results.plain import plain_fields
from mmpredict.results.prediction import Interval


@dataclass(frozen=True, slots=True)
class Binding:
    """What keeps a plan from being better.

    Attributes:
        resource: one of ``cores``, ``GPU time``, ``memory bandwidth``, ``compute``, ``load time``, ``arrivals``.
        shares: what the machine did → part of the time from the first arrival to the last finish: ``load`` (nobody served),
            ``prefill`` and ``decode`` (some server did so; both may hold), ``idle`` [1].
        contention: phase → time taken ÷ time alone on the machine [1].
        sentence: for people.
    """

    resource: str
    shares: dict[str, float]
    contention: dict[str, float]
    sentence: str


@dataclass(frozen=True, slots=True)
class ObjectiveReached:
    """A limit on a time of requests, and what a plan reaches.

    Attributes:
        objective: what is asked for, in words.
        limit_s, reached_s: largest allowed and reached value [s].
        probability: share of the draws in which it is met; ``nan`` where the plan was not drawn [1].
    """

    objective: str
    limit_s: float
    reached_s: float
    probability: float


@dataclass(frozen=True, slots=True)
class RankedPlan:
    """One plan of a ranking.

    Attributes:
        rank: 1 for the best.
        name: unique within the ranking.
        strategy: family of plans that it belongs to.
        knobs: what is set → how, in words.
        once: value of what was asked for in one simulation with every coefficient at its median, in the goal's unit; what all plans
            can be compared by.
        goal: median and bounds over simulations with drawn coefficients; ``once`` without bounds where there were none.
        metrics: metric → value and bounds, likewise.
        worse_frac: how much worse than the best plan, 0 for the best; drawn plans by their medians, others by ``once`` [1].
        probability: share of the draws in which the best plan is better than this one; ``nan`` for the best and undrawn ones [1].
        deadlines_frac: part of the requests with a deadline that meet it; ``nan`` where none has one [1].
        objectives: what was asked for, and what it reaches.
        on_front: whether no other plan is better in the goal without needing more memory.
        binding: what keeps it from being better; None where it was not looked at.
        draws: values of the goal in every draw, the same luck for all plans.
    """

    rank: int
    name: str
    strategy: str
    knobs: dict[str, str]
    once: float
    goal: Interval
    metrics: dict[str, Interval]
    worse_frac: float = 0.0
    probability: float = math.nan
    deadlines_frac: float = math.nan
    objectives: tuple[ObjectiveReached, ...] = ()
    on_front: bool = False
    binding: Binding | None = None
    draws: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return plain_fields(self) | {"goal": self.goal.to_dict()}


@dataclass(frozen=True, slots=True)
class InfeasiblePlan:
    """A plan that breaks a limit, and which."""

    name: str
    strategy: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """A plan that no other one beats in the goal and in memory together.

    Attributes:
        name: of the plan.
        goal: value of the goal, in its unit.
        memory_bytes: largest memory of all servers [bytes].
    """

    name: str
    goal: float
    memory_bytes: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The best plan, were something else.

    Attributes:
        change: what is different, in words.
        factor: by how much [1].
        best: name of the best plan then, of those looked at; empty if none keeps the limits.
        goal: its value, in the goal's unit.
        flips: whether that is another plan than now.
    """

    change: str
    factor: float
    best: str
    goal: float
    flips: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return plain_fields(self)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Plans in order, best first, and what is known about the order.

    Attributes:
        goal: name of what was asked for.
        metric: its metric, whose name ends in its unit.
        larger: whether more of it is better.
        ranked: plans that keep all limits.
        infeasible: those that do not.
        front: goal against memory, least memory first.
        sensitivity: what would change the answer.
        looked_at, simulated: plans in all, and those of them that were simulated [1].
        drawn: simulations behind the intervals [1].
        provenance: what the numbers rest on.
        warnings: what the reader should know before trusting them.
    """

    goal: str
    metric: str
    larger: bool
    ranked: tuple[RankedPlan, ...]
    infeasible: tuple[InfeasiblePlan, ...] = ()
    front: tuple[FrontPoint, ...] = ()
    sensitivity: tuple[Sensitivity, ...] = ()
    looked_at: int = 0
    simulated: int = 0
    drawn: int = 0
    provenance: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    @property
    def best(self) -> RankedPlan:
        """The first."""
        return self.ranked[0]

    def plot(self) -> Shown:
        """Plans by what was asked for and by memory, a picture that a notebook shows and ``.save("x.svg")`` writes."""
        return cast("Shown", show("ranking_plot", self))

    def _repr_html_(self) -> str:
        return str(show("ranking_html", self))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "goal": self.goal,
            "metric": self.metric,
            "larger_is_better": self.larger,
            "ranked": [one.to_dict() for one in self.ranked],
            "infeasible": [one.to_dict() for one in self.infeasible],
            "front": [one.to_dict() for one in self.front],
            "sensitivity": [one.to_dict() for one in self.sensitivity],
            "plans_looked_at": self.looked_at,
            "plans_simulated": self.simulated,
            "draws": self.drawn,
            "provenance": list(self.provenance),
            "warnings": list(self.warnings),
        }
