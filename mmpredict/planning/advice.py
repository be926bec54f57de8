"""The whole answer: plans in order with intervals, how sure the order is, what binds, and what would change it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmpredict.errors import DoesNotFitError, InputError
from mmpredict.planning.candidate import Candidate
from mmpredict.planning.changes import arrives_over_time, other_memory, slower_arrivals, slower_machine
from mmpredict.planning.evaluate import Evaluator, broken, is_better
from mmpredict.planning.explain import binding
from mmpredict.planning.explore import Found, Progress, Search, drawn, search
from mmpredict.planning.goals import Goal
from mmpredict.planning.ground import Ground
from mmpredict.planning.outcome import Outcome
from mmpredict.results.prediction import Interval, interval_of
from mmpredict.results.ranked_plan import (
    FrontPoint,
    InfeasiblePlan,
    ObjectiveReached,
    RankedPlan,
    Ranking,
    Sensitivity,
)
from mmpredict.simulation.plan import Plan

CHANGE = 0.2
"""How much something is changed to see whether the answer changes with it [1]."""
RIVALS = 4
"""Plans that are looked at again where something changes: the best of as many families."""
MEMORIES = 8
"""Plans that are looked at again with other memory: the best with less of it, those that were too large with more."""


@dataclass(frozen=True)
class Asked:
    """How thoroughly to answer.

    Attributes:
        finalists: plans that get intervals [1].
        draws: simulations behind them [1].
        seed: of the draws.
        prune: whether plans that cannot be among the best are left out.
        workers: processes; None where it decides by itself.
        sensitivity: whether to find out what would change the answer.
    """

    finalists: int
    draws: int
    seed: int = 0
    prune: bool = True
    workers: int | None = None
    sensitivity: bool = True


def advise(
    ground: Ground, candidates: Sequence[Candidate], goal: Goal, asked: Asked, progress: Progress | None = None
) -> tuple[Ranking, dict[str, Plan]]:
    """Find the best plans, and explain.

    Args:
        ground: the question.
        candidates: plans, each with a name of its own.
        goal: what is made small or large.
        asked: how thoroughly.
        progress: told how far it is.

    Returns:
        The ranking, and its plans by name.

    Raises:
        DoesNotFitError: no plan keeps the limits; the message says why.
    """
    found = search(ground, candidates, goal, max(asked.finalists, RIVALS), asked.prune, asked.workers, progress)
    if not found.ranked or math.isnan(found.ranked[0].outcome.metrics[goal.metric]):
        raise DoesNotFitError(_nothing(found))
    evaluator = Evaluator(ground)
    finalists = found.ranked[: asked.finalists]
    if progress is not None:
        progress("intervals", 0.0)
    luck = drawn(ground, [one.candidate for one in finalists], evaluator, asked.draws, asked.seed, asked.workers)
    rows = sorted(zip(finalists, luck, strict=True), key=lambda row: goal.worth(_interval(goal.metric, *row).value))
    rows += [(one, []) for one in found.ranked[asked.finalists :]]
    front = _front(found.ranked, goal)
    on_front = {point.name for point in front}
    ranked: list[RankedPlan] = []
    for number, (one, outcomes_drawn) in enumerate(rows):
        row = _row(one, outcomes_drawn, goal, ground)
        first = ranked[0] if ranked else row
        bound = None
        if outcomes_drawn:
            bound = binding(evaluator.run(one.candidate), not evaluator.source(one.candidate).on_cpu)
        ranked.append(
            replace(
                row,
                rank=number + 1,
                worse_frac=_worse_frac(row, first, goal) if number else 0.0,
                probability=_probability(first.draws, row.draws, goal) if number else math.nan,
                on_front=row.name in on_front,
                binding=bound,
            )
        )
    best = rows[0][0].candidate
    source, specs = evaluator.source(best), ground.specs[best.quantization]
    several = any(len(stage.instances) > 1 for stage in best.plan.stages)
    ranking = Ranking(
        goal=goal.name,
        metric=goal.metric,
        larger=goal.larger,
        ranked=tuple(ranked),
        infeasible=tuple(InfeasiblePlan(one.name, one.plan.strategy, reason) for one, reason in found.infeasible),
        front=front,
        sensitivity=tuple(_sensitivity(ground, found, goal, best.name)) if asked.sensitivity else (),
        looked_at=found.looked_at,
        simulated=found.simulated,
        drawn=asked.draws,
        provenance=source.provenance,
        warnings=source.doubts([specs[name] for name in sorted(specs)], several),
    )
    return ranking, {one.candidate.name: one.candidate.plan for one in found.ranked}


def _nothing(found: Search) -> str:
    if not found.infeasible:
        raise InputError("there is no plan to look at; allow more families of plans")
    reasons = dict.fromkeys(f"{one.name}: {reason}" for one, reason in found.infeasible)
    more = f"; and {len(reasons) - 5} more" if len(reasons) > 5 else ""
    return f"none of {found.looked_at} plans keeps the limits. {'; '.join(list(reasons)[:5])}{more}"


def _row(one: Found, luck: Sequence[Outcome], goal: Goal, ground: Ground) -> RankedPlan:
    """A plan by itself."""
    objectives = tuple(
        ObjectiveReached(
            str(objective),
            objective.limit_s,
            one.outcome.objectives_s[place],
            sum(outcome.objectives_s[place] <= objective.limit_s for outcome in luck) / len(luck) if luck else math.nan,
        )
        for place, objective in enumerate(ground.limits.objectives)
    )
    candidate = one.candidate
    return RankedPlan(
        rank=0,
        name=candidate.name,
        strategy=candidate.plan.strategy,
        knobs={**candidate.knobs, **({"quantization": candidate.quantization} if candidate.quantization else {})},
        once=one.outcome.metrics[goal.metric],
        goal=_interval(goal.metric, one, luck),
        metrics={name: _interval(name, one, luck) for name in one.outcome.metrics},
        deadlines_frac=one.outcome.deadlines_frac,
        objectives=objectives,
        draws=tuple(outcome.metrics[goal.metric] for outcome in luck),
    )


def _interval(metric: str, one: Found, luck: Sequence[Outcome]) -> Interval:
    """Median and bounds over the draws; the value at the median coefficients alone where nothing was drawn."""
    return interval_of(np.array([outcome.metrics[metric] for outcome in luck]), once=one.outcome.metrics[metric])


def _worse_frac(row: RankedPlan, first: RankedPlan, goal: Goal) -> float:
    value, best = (row.goal.value, first.goal.value) if row.draws else (row.once, first.once)
    if not value or not best:
        return 0.0
    return (best / value if goal.larger else value / best) - 1.0


def _probability(best: Sequence[float], other: Sequence[float], goal: Goal) -> float:
    """Share of the draws in which the best is better; a draw in which they are equal, or both without a value, counts half."""
    if not best or not other:
        return math.nan
    pairs = [tuple(math.inf if math.isnan(one) else goal.worth(one) for one in pair) for pair in zip(best, other, strict=True)]
    return sum(1.0 if one < two else 0.5 if one == two else 0.0 for one, two in pairs) / len(pairs)


def _front(ranked: Sequence[Found], goal: Goal) -> tuple[FrontPoint, ...]:
    """Plans that no other one beats in goal and memory together, the least memory first."""
    points: list[FrontPoint] = []
    least = math.inf
    for one in ranked:  # best first: each further one must need less memory
        value, memory = one.outcome.metrics[goal.metric], one.outcome.metrics["memory_bytes"]
        if memory < least and not math.isnan(value):
            least = memory
            points.append(FrontPoint(one.candidate.name, value, memory))
    return tuple(reversed(points))


def _sensitivity(ground: Ground, found: Search, goal: Goal, best: str) -> list[Sensitivity]:
    """What would change the answer: a fifth more or less of what matters, among the best plans of each family.

    All are simulated once, at the median; the answer stays the same with the plan that is the best so, or the best over the draws.
    """
    rivals: dict[str, Candidate] = {}
    for one in found.ranked:
        rivals.setdefault(one.candidate.plan.strategy, one.candidate)
    now = frozenset([found.ranked[0].candidate.name, best])
    looked_at = list(rivals.values())[:RIVALS]
    more, less = 1 + CHANGE, 1 - CHANGE
    changes = [
        ("loads longer", more, slower_machine(ground, loads=more)),
        ("loads shorter", less, slower_machine(ground, loads=less)),
        ("machine slower", more, slower_machine(ground, steps=more)),
        ("machine faster", less, slower_machine(ground, steps=less)),
    ]
    if arrives_over_time(ground):
        changes += [("requests further apart", more, slower_arrivals(ground, more))]
        changes += [("requests closer together", less, slower_arrivals(ground, less))]
    rows = [_changed(what, factor, other, looked_at, now, goal) for what, factor, other in changes]
    on_front = {point.name for point in _front(found.ranked, goal)}  # it holds the best plan of every limit of memory
    leaner = [one.candidate for place, one in enumerate(found.ranked) if place < MEMORIES or one.candidate.name in on_front]
    rows.append(_changed("less memory", less, other_memory(ground, less), leaner, now, goal))
    if found.too_large:
        rows.append(_changed("more memory", more, other_memory(ground, more), [*looked_at, *found.too_large[:MEMORIES]], now, goal))
    return rows


def _changed(
    what: str, factor: float, ground: Ground, candidates: Sequence[Candidate], now: frozenset[str], goal: Goal
) -> Sensitivity:
    evaluator = Evaluator(ground)
    best, value = None, math.nan
    for candidate in candidates:
        try:
            outcome = evaluator.outcome(candidate)
        except (DoesNotFitError, InputError):
            continue
        reached = outcome.metrics[goal.metric]
        if not broken(outcome, ground) and (best is None or is_better(reached, value, goal)):
            best, value = candidate, reached
    name = best.name if best is not None else ""
    return Sensitivity(what, factor, name, value, name not in now)
