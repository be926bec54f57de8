"""``recommend``: from a scenario to a search over plans, and its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mmpredict.costing import Costing
from mmpredict.errors import InputError, UnknownNameError
from mmpredict.hardware.profile import HardwareProfile
from mmpredict.models.spec import ModelSpec
from mmpredict.planning.advice import Asked, advise
from mmpredict.planning.energy import power_of, require_power
from mmpredict.planning.explore import Progress
from mmpredict.planning.goals import Limits, goal_of, parse_objective
from mmpredict.planning.ground import Ground
from mmpredict.planning.space import USUAL, Space, candidates
from mmpredict.planning.task import task_of
from mmpredict.results.display import Shown
from mmpredict.results.ranked_plan import RankedPlan, Ranking
from mmpredict.saving import make_directory, save
from mmpredict.scenario import Scenario
from mmpredict.scenario.recommend_section import RecommendSection
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.serving import StagesServing
from mmpredict.simulation.site import site_of
from mmpredict.sizing.quants import requantized
from mmpredict.strategy.task import Task
from mmpredict.units import parse_bytes

SCHEMA_VERSION = 1
FINALISTS = 3
"""Plans that get intervals, if nobody says otherwise."""
MOST_DRAWS, LEAST_DRAWS = 20, 10
WORTH_REQUESTS = 20_000
"""Simulated requests behind the intervals of a plan, if nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done for the answer.

    Attributes:
        finalists: plans that get intervals [1].
        draws: simulations behind them; when not given 20, fewer for thousands of requests [1].
        seed: of the draws.
        prune: whether plans that cannot be among the best are left out.
        workers: processes; when not given one per core, where that is worth it.
        sensitivity: whether to find out what would change the answer.

    Raises:
        InputError: a number below 1.
    """

    finalists: int = FINALISTS
    draws: int | None = None
    seed: int = 0
    prune: bool = True
    workers: int | None = None
    sensitivity: bool = True

    def __post_init__(self) -> None:
        for name, value in (("finalists", self.finalists), ("draws", self.draws), ("workers", self.workers)):
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}; it must be 1 or more")


@dataclass(frozen=True, slots=True)
class Advice:
    """Which plan is best, and why.

    Attributes:
        scenario: the question.
        asked: what a plan was to be chosen for, and what it had to keep to.
        ranking: plans in order.
        plans: name → plan, of those in the ranking.
    """

    scenario: Scenario
    asked: RecommendSection
    ranking: Ranking
    plans: dict[str, Plan]

    @property
    def best(self) -> RankedPlan:
        """The first plan of the ranking, with its numbers."""
        return self.ranking.best

    @property
    def plan(self) -> Plan:
        """The first plan of the ranking."""
        return self.plans[self.best.name]

    def specs_of(self, plan: RankedPlan) -> dict[str, ModelSpec]:
        """The models of a plan, quantized as it says."""
        quantization = plan.knobs.get("quantization", "")
        specs = self.scenario.specs()
        return {name: requantized(spec, quantization) if quantization else spec for name, spec in specs.items()}

    def plot(self) -> Shown:
        """Plans by what was asked for and by memory (``Ranking.plot``)."""
        return self.ranking.plot()

    def _repr_html_(self) -> str:
        return self.ranking._repr_html_()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; of plans that were only simulated once, no details."""
        detailed = [one.name for one in self.ranking.ranked if one.draws]
        return {
            "schema_version": SCHEMA_VERSION,
            "scenario": self.scenario.model_dump(mode="json"),
            "asked": self.asked.model_dump(mode="json"),
            "ranking": self.ranking.to_dict(),
            "plans": {name: self.plans[name].to_dict() for name in detailed},
        }


def advise_on(
    question: Scenario, costing: Costing, given: Mapping[str, Any], effort: Effort, progress: Progress | None = None
) -> Advice:
    """Search; see ``api.recommend``.

    Args:
        question: the scenario.
        costing: what is known of its machine.
        given: keys of ``RecommendSection`` that go before the scenario's.
        effort: how much is done.
        progress: told how far it is.
    """
    asked = _asked(question.recommend, given)
    goal = goal_of(asked.goal)
    space = Space(asked.families or USUAL, asked.thorough, asked.resident, asked.max_cores)
    ground = ground_of(question, costing, asked)
    task = task_of(ground, question.models(), question.options(), costing.gpu_layers(ground.specs[""]))
    serving = None if isinstance(question.serving, StagesServing) else question.serving
    plans = candidates(space, task, serving)
    everything = [replace(plan, quantization=name) for name in ground.specs for plan in plans]
    requests = len(ground.workload.requests)
    draws = effort.draws or max(LEAST_DRAWS, min(MOST_DRAWS, WORTH_REQUESTS // requests))
    how = Asked(effort.finalists, draws, effort.seed, effort.prune, effort.workers, effort.sensitivity)
    ranking, chosen = advise(ground, everything, goal, how, progress)
    return Advice(question, asked, ranking, chosen)


def export(advice: Advice, name: str, directory: Path, plan: int | None = None) -> tuple[RankedPlan, list[Path]]:
    """Write the configuration that runs a plan of a recommendation: the plan, and the files written.

    Args:
        advice: from ``recommend``.
        name: ``llama-server``, ``llama-swap`` or ``ollama``.
        directory: where to; created if needed.
        plan: its place in the ranking, 1 for the best; when not given, the first that the program can run.

    Raises:
        InputError: no such plan, or the program cannot do what it says; ``UnknownNameError`` for another name.
        StorageError: a file could not be written.
    """
    ranked = advice.ranking.ranked
    if plan is not None and not 1 <= plan <= len(ranked):
        raise InputError(f"plan {plan} is not in the ranking of {len(ranked)}")
    chosen, files = _runnable(advice, name, ranked if plan is None else ranked[plan - 1 : plan])
    make_directory(directory)
    written = [save(text.encode(), directory / file) for file, text in files.items()]
    for path in written:
        if path.suffix == ".sh":
            path.chmod(0o755)
    return chosen, written


def _runnable(advice: Advice, name: str, ranked: Sequence[RankedPlan]) -> tuple[RankedPlan, dict[str, str]]:
    """The first plan that a program can run, and its files; the first one's error if it can run none."""
    from mmpredict.planning.export import exported

    problem: InputError | None = None
    for one in ranked:
        try:
            return one, exported(advice.plans[one.name], advice.specs_of(one), name)
        except UnknownNameError:
            raise
        except InputError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def task_on(question: Scenario, costing: Costing) -> Task:
    """What strategies that look before they plan are told of a scenario."""
    ground = ground_of(question, costing, question.recommend)
    return task_of(ground, question.models(), question.options(), costing.gpu_layers(ground.specs[""]))


def _asked(section: RecommendSection, given: Mapping[str, Any]) -> RecommendSection:
    lists = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    try:
        return RecommendSection.model_validate({**section.model_dump(), **lists})
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"recommend: {'.'.join(map(str, first['loc']))} is {first['input']!r}: {first['msg']}") from error


def ground_of(
    question: Scenario,
    costing: Costing,
    asked: RecommendSection,
) -> Ground:
    """What a search over plans has to go by.

    Args:
        question: models and requests.
        costing: what is known of the machine.
        asked: limits and objectives.

    Raises:
        InputError: a model, an objective or a limit cannot be used.
    """
    profile: HardwareProfile = costing.profile
    models, specs = question.models(), question.specs()
    by_type: dict[str, Mapping[str, ModelSpec]] = {"": specs}
    for quantization in asked.quantizations:
        by_type[quantization] = {name: replace(requantized(spec, quantization), path=None) for name, spec in specs.items()}
    for model in asked.resident:
        if model not in models:
            raise UnknownNameError("resident model", model, models)
    host = profile.cpu_memory.usable_bytes.value
    gpu = profile.gpu if costing.gpu_layers(specs) and not profile.is_unified else None
    usable = host + (profile.usable_of(gpu).value if gpu is not None else 0.0)
    allowed = usable if asked.max_memory is None else min(usable, _bytes(asked.max_memory, usable))
    limits = Limits(
        memory_bytes=allowed,
        cores=min(profile.cpu.cores, asked.max_cores or profile.cpu.cores),
        objectives=tuple(parse_objective(text, models) for text in asked.objectives),
        resident=asked.resident,
        deadlines_frac=asked.deadlines_met,
    )
    if asked.deadlines_met and not any(request.deadline_s for request in question.workload().requests):
        raise InputError("deadlines_met asks for deadlines that are met, but no request has one; give deadline_s")
    return Ground(
        workload=question.workload(),
        specs=by_type,
        costing=costing,
        limits=limits,
        capacity_bytes=profile.cpu_memory.capacity_bytes.value,
        sites={on: site_of(profile, min(host, allowed), on_gpu=on) for on in (False, True)},
        cold=question.cold,
        power=require_power(profile) if asked.goal == "energy" else power_of(profile),
    )


def _bytes(size: str | float, whole: float) -> float:
    found = parse_bytes(size, whole) if isinstance(size, str) else float(size)
    if not 0 < found < float("inf"):
        raise InputError(f"max_memory is {size}; it must be more than 0 bytes")
    return found
