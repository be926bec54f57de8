"""The search: every plan is looked at, those that may be among the best are simulated, and the best of them drawn again and again.

1. Plans that break a limit that needs no simulation, memory first, are left out.
2. The others are simulated once, at the median, in the order of their best cases. A plan whose best case is worse than what the
   ``keep`` best of the others reach, and which some other plan beats in goal and memory together, cannot change the answer.
3. The best are simulated with drawn coefficients; all plans share each draw's luck (common random numbers).

What is simulated goes in chunks whose sizes are given, so that the answer does not depend on how many processes work.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from mmpredict.cost.draw import Draw
from mmpredict.planning.candidate import Candidate
from mmpredict.planning.evaluate import Evaluator, Look, broken
from mmpredict.planning.goals import Goal
from mmpredict.planning.ground import Ground
from mmpredict.planning.outcome import Outcome
from mmpredict.simulation.repeat import PARALLEL_REQUESTS

CHUNK, MOST_CHUNK = 16, 32
"""Plans that are simulated before the next are chosen: at first, and then."""
PART = 4
"""Plans that one process simulates at a time, and keeps what they have in common."""
Progress = Callable[[str, float], None]
"""(what is happening, fraction done)."""


@dataclass(frozen=True)
class Found:
    """A plan that was simulated.

    Attributes:
        candidate: the plan.
        outcome: at the median.
        order: place among all candidates, which decides between equals.
        broken: which limit it breaks; empty if it keeps all.
    """

    candidate: Candidate
    outcome: Outcome
    order: int
    broken: str = ""


@dataclass(frozen=True)
class Search:
    """What a search came to.

    Attributes:
        ranked: plans that keep all limits, best first.
        infeasible: (plan, reason), in the order of the candidates.
        too_large: plans that break the limit of memory alone, with the bounds of what they could reach.
        looked_at: plans in all [1].
        simulated: those that were simulated; of the others, what breaks no limit cannot be among the best [1].
    """

    ranked: tuple[Found, ...]
    infeasible: tuple[tuple[Candidate, str], ...]
    too_large: tuple[Candidate, ...]
    looked_at: int
    simulated: int


def search(
    ground: Ground,
    candidates: Sequence[Candidate],
    goal: Goal,
    keep: int = 5,
    prune: bool = True,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Search:
    """Find the best plans.

    Args:
        ground: the question.
        candidates: plans, each with a name of its own.
        goal: what is made small or large.
        keep: how many of the best must be right [1].
        prune: whether plans that cannot be among the best are left out.
        workers: processes; by default one per core where that is worth starting them, in the backend that joblib is set to.
        progress: told how far it is.
    """
    looker = Evaluator(ground)
    looks = [looker.look(candidate) for candidate in candidates]
    infeasible = {number: look.reason for number, look in enumerate(looks) if look.reason}
    idle_w = ground.power.idle_w if ground.power else 0.0

    def bound(number: int) -> float:
        best = looks[number].best
        return goal.worth(best.value(goal, looks[number].memory_bytes, idle_w)) if best is not None else -math.inf

    waiting = sorted((number for number in range(len(candidates)) if number not in infeasible), key=lambda n: (bound(n), n))
    total, found = len(waiting), list[Found]()
    rated: list[Found] = []
    size = CHUNK
    while waiting:
        chunk, waiting = waiting[:size], waiting[size:]
        size = MOST_CHUNK
        if progress is not None:
            progress(f"{len(candidates)} plans", 1.0 - (len(waiting) + len(chunk)) / total)
        for number, outcome in zip(chunk, outcomes(ground, [candidates[n] for n in chunk], looker, workers), strict=True):
            one = Found(candidates[number], outcome, number, broken(outcome, ground))
            found.append(one)
            if one.broken:
                infeasible[number] = one.broken
        rated = sorted((one for one in found if not one.broken), key=lambda one: _rank(one, goal))
        if prune:
            waiting = [number for number in waiting if _may_matter(bound(number), looks[number], rated, goal, keep)]
    return Search(
        ranked=tuple(_distinct(rated, goal)),
        infeasible=tuple((candidates[number], infeasible[number]) for number in sorted(infeasible)),
        too_large=tuple(candidates[number] for number, look in enumerate(looks) if look.too_large and look.best is not None),
        looked_at=len(candidates),
        simulated=len(found),
    )


def outcomes(ground: Ground, candidates: Sequence[Candidate], evaluator: Evaluator, workers: int | None) -> list[Outcome]:
    """Simulate plans at the median, in their order."""
    requests = len(candidates) * len(ground.workload.requests)
    if not in_parallel(requests, workers):
        return [evaluator.outcome(candidate) for candidate in candidates]
    parts = [candidates[start : start + PART] for start in range(0, len(candidates), PART)]
    return [one for part in spread(_medians, [(ground, part) for part in parts], workers) for one in part]


def drawn(
    ground: Ground, candidates: Sequence[Candidate], evaluator: Evaluator, draws: int, seed: int, workers: int | None = None
) -> list[list[Outcome]]:
    """Simulate plans with drawn coefficients: plan → outcome of every draw, the same luck for all plans."""
    requests = draws * len(candidates) * len(ground.workload.requests)
    if not in_parallel(requests, workers):
        by_draw = [_with_luck(evaluator, candidates, Draw(seed, number)) for number in range(draws)]
    else:
        parts = [range(start, min(start + PART, draws)) for start in range(0, draws, PART)]
        tasks = [(ground, candidates, seed, part) for part in parts]
        by_draw = [row for part in spread(_draws, tasks, workers) for row in part]
    return [[row[place] for row in by_draw] for place in range(len(candidates))]


_Result = TypeVar("_Result")


def spread(work: Callable[..., _Result], tasks: Iterable[tuple[Any, ...]], workers: int | None) -> list[_Result]:
    """Do tasks in several processes, or wherever joblib's backend is set to; results in their order."""
    from joblib import Parallel, delayed

    return list(Parallel(n_jobs=workers or -1)(delayed(work)(*task) for task in tasks))


def in_parallel(requests: int, workers: int | None) -> bool:
    """Whether so many simulated requests go to several processes: as asked for, else where starting them is worth it."""
    return requests >= PARALLEL_REQUESTS if workers is None else workers > 1


def _medians(ground: Ground, candidates: Sequence[Candidate]) -> list[Outcome]:
    evaluator = Evaluator(ground)
    return [evaluator.outcome(candidate) for candidate in candidates]


def _draws(ground: Ground, candidates: Sequence[Candidate], seed: int, numbers: Iterable[int]) -> list[list[Outcome]]:
    evaluator = Evaluator(ground)
    return [_with_luck(evaluator, candidates, Draw(seed, number)) for number in numbers]


def _with_luck(evaluator: Evaluator, candidates: Sequence[Candidate], draw: Draw) -> list[Outcome]:
    return [evaluator.outcome(candidate, draw) for candidate in candidates]


def _rank(one: Found, goal: Goal) -> tuple[bool, float, float, int]:
    value = one.outcome.metrics[goal.metric]
    return math.isnan(value), _rounded(goal.worth(value)), _rounded(one.outcome.metrics["memory_bytes"]), one.order


def _rounded(value: float) -> float:
    """Values that differ by rounding alone, made equal."""
    return value if math.isnan(value) or not value else round(value, 9 - math.ceil(math.log10(abs(value))))


def _may_matter(bound: float, look: Look, rated: Sequence[Found], goal: Goal, keep: int) -> bool:
    """Whether a plan could be among the best, or on the front of goal and memory."""
    if len(rated) < keep:
        return True
    worths = [goal.worth(one.outcome.metrics[goal.metric]) for one in rated]
    if bound <= worths[keep - 1]:
        return True
    return not any(
        worth <= bound and one.outcome.metrics["memory_bytes"] <= look.memory_bytes
        for worth, one in zip(worths, rated, strict=True)
    )


def _distinct(ranked: Sequence[Found], goal: Goal) -> Iterable[Found]:
    """Without plans of a family that come to the same as one before them."""
    seen: set[tuple[str, str, float, float]] = set()
    for one in ranked:
        _, worth, memory, _ = _rank(one, goal)
        key = (one.candidate.plan.strategy, one.candidate.quantization, worth, memory)
        if key not in seen:
            seen.add(key)
            yield one
