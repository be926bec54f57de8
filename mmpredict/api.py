"""The questions a person asks, as functions: what will happen, what does happen, how far apart are the two."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmpredict.cost.chain import CalibratedSource
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.library import load_coefficients
from mmpredict.cost.server_cost import CostSource
from mmpredict.errors import DoesNotFitError, EngineMissingError, InputError, NotCalibratedError
from mmpredict.hardware.detect import THIS_MACHINE
from mmpredict.hardware.library import find_profile
from mmpredict.hardware.profile import HardwareProfile
from mmpredict.live.embedded import engine_build
from mmpredict.models.spec import ModelSpec
from mmpredict.recommend.search import Recommendation, recommend
from mmpredict.results.compare import PlanComparison, compare, median_absolute_error, metric_errors, regret, request_errors
from mmpredict.results.display import Answer
from mmpredict.results.outcome import Choice, Outcome
from mmpredict.results.prediction import Prediction
from mmpredict.results.records import Records
from mmpredict.scenario import Scenario, read_scenario
from mmpredict.simulation.dispatch import assign, check_context
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.repeat import predict_plan
from mmpredict.simulation.residency import check_memory
from mmpredict.simulation.site import site_of
from mmpredict.simulation.variants import variants
from mmpredict.sizing.costs import PlannedServer, UncalibratedMachine
from mmpredict.strategy.on_gpu import different_on_gpu
from mmpredict.validation.executed import Executed
from mmpredict.workload.request import Workload

if TYPE_CHECKING:
    from mmpredict.live.journal import Journal

SCHEMA_VERSION = 1

Progress = Callable[[str, float], None]
"""(what is happening, fraction done)."""

Keep = Callable[[Executed, Prediction], None]
"""Told of each real run as soon as it is done."""


@dataclass(frozen=True, slots=True)
class Forecast(Answer):
    """What every strategy of a scenario will come to.

    Attributes:
        scenario: the question.
        plans: strategy → plan, of those that fit.
        predictions: one per plan, in the scenario's order.
        infeasible: strategy → why it does not fit.
        recommendation: the best.
        left_out: strategy → why it is not looked at: it is the same as another one on this machine.
    """

    scenario: Scenario
    plans: dict[str, Plan]
    predictions: tuple[Prediction, ...]
    infeasible: dict[str, str]
    recommendation: Recommendation
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def choice(self) -> Choice:
        """The recommendation as tables, pictures and pages know it."""
        best = self.recommendation
        return Choice(best.strategy, best.runner_up, best.margin_frac, best.probability)

    def outcome(self) -> Outcome:
        """What tables, pictures and pages show of it."""
        return Outcome(self.scenario.hardware, self.predictions, {}, self.choice, self.infeasible)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "scenario": self.scenario.model_dump(mode="json"),
            "recommendation": self.recommendation.to_dict(),
            "infeasible": self.infeasible,
            "left_out": self.left_out,
            "plans": {name: plan.to_dict() for name, plan in self.plans.items()},
            "predictions": {prediction.strategy: prediction.to_dict() for prediction in self.predictions},
        }


@dataclass(frozen=True, slots=True)
class Validation(Answer):
    """A forecast held against real runs.

    Attributes:
        forecast: what was predicted.
        comparisons: per plan, predicted and measured, with a comparison of every metric and of every request.
        median_error_frac: median over plans of the absolute error of the makespan [1].
        regret_frac: measured makespan of the recommended plan ÷ best measured makespan − 1 [1].
    """

    forecast: Forecast
    comparisons: tuple[PlanComparison, ...]
    median_error_frac: float = field(init=False)
    regret_frac: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "median_error_frac", median_absolute_error(self.comparisons))
        object.__setattr__(self, "regret_frac", regret(self.forecast.recommendation.strategy, self.comparisons))

    def outcome(self) -> Outcome:
        """What tables, pictures and pages show of it."""
        return replace(self.forecast.outcome(), measured={one.strategy: one.runs for one in self.comparisons})

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "scenario": self.forecast.scenario.model_dump(mode="json"),
            "recommendation": self.forecast.recommendation.to_dict(),
            "infeasible": self.forecast.infeasible,
            "plans": {name: plan.to_dict() for name, plan in self.forecast.plans.items()},
            "makespan_median_absolute_error_frac": _number(self.median_error_frac),
            "regret_frac": _number(self.regret_frac),
            "errors": {name: errors.to_dict() for name, errors in metric_errors(self.comparisons).items()},
            "request_errors": {name: errors.to_dict() for name, errors in request_errors(self.comparisons).items()},
            "strategies": {comparison.strategy: comparison.to_dict() for comparison in self.comparisons},
        }


def forecast(
    scenario: Scenario | str | os.PathLike[str],
    draws: int | None = None,
    seed: int = 0,
    coefficients: Coefficients | None = None,
    progress: Progress | None = None,
) -> Forecast:
    """Predict every strategy of a scenario and recommend one.

    A machine's own calibration answers where there is one, otherwise the best published rates for it do.

    Args:
        scenario: a scenario, or the path of its file.
        draws: simulations behind the intervals, 1 or more; 200 when not given, fewer for thousands of requests [1].
        seed: of the draws.
        coefficients: instead of the stored ones of the scenario's machine.
        progress: told which strategy is simulated.

    Raises:
        InputError: the scenario cannot be used, or the machine's profile says too little.
        DoesNotFitError: no strategy fits the machine.
        NotCalibratedError: the scenario is for this machine, of which nothing is known.
    """
    if draws is not None and draws < 1:
        raise InputError(f"draws is {draws}; it must be 1 or more")
    question = _scenario(scenario)
    profile = find_profile(question.hardware)
    specs, workload, plans = question.specs(), question.workload(), question.plans(profile.cpu.cores)
    # What is free changes from moment to moment and decides what fits; the records name what there is.
    capacity = profile.cpu_memory.capacity_bytes.value
    machine = None if coefficients is not None else uncalibrated(profile)
    left_out: dict[str, str] = {}
    if machine is not None and machine.machine.device is not None:
        plans, left_out = different_on_gpu(plans, machine.machine.name)
    found: list[Prediction] = []
    infeasible: dict[str, str] = {}
    for number, plan in enumerate(plans):
        if progress is not None:
            progress(plan.strategy, number / len(plans))
        try:
            if machine is not None:
                source: CostSource = machine.source(companies(plan, specs, workload), check=not plan.on_demand)
            else:
                check_memory(plan, specs, _usable(profile))
                source = CalibratedSource(coefficients or load_coefficients(profile, engine_build()))
            site = site_of(profile, _usable(profile), on_gpu=not source.on_cpu)
            found.append(predict_plan(plan, workload, specs, source, _usable(profile), draws, seed, question.cold, capacity, site))
        except DoesNotFitError as error:
            infeasible[plan.strategy] = str(error)
    if not found:
        raise DoesNotFitError("; ".join(infeasible.values()))
    feasible = {plan.strategy: plan for plan in plans if plan.strategy not in infeasible}
    return Forecast(question, feasible, tuple(found), infeasible, recommend(found), left_out)


def predict(scenario: Scenario | str | os.PathLike[str], draws: int | None = None, seed: int = 0) -> dict[str, Prediction]:
    """Predict every strategy of a scenario that fits: strategy → prediction (errors as ``forecast``)."""
    return {prediction.strategy: prediction for prediction in forecast(scenario, draws, seed).predictions}


def execute(
    scenario: Scenario | str | os.PathLike[str],
    log_directory: Path,
    limit_s: float | None = None,
    progress: Progress | None = None,
    remark: Callable[[str], None] | None = None,
    journal_path: Path | None = None,
) -> dict[str, Records]:
    """Run every strategy of a scenario on real servers: strategy → measured records.

    Args:
        scenario: a scenario, or the path of its file.
        log_directory: where the servers' logs go; created if needed.
        limit_s: requests of one plan that are not done after this time are given up and recorded as such [s].
        progress: told what happens.
        remark: told in what the servers differ from the plan, and what they do not tell.
        journal_path: file that gets every row as soon as it exists (see ``live.journal``); it is begun anew.

    Raises:
        InputError: the scenario cannot be used, or its hardware is not this machine.
        EngineError: the engine cannot be used; what becomes of single servers and requests is in the records.
        StorageError: a log or the journal cannot be written.
    """
    from mmpredict.live.journal import Journal

    question = _scenario(scenario)
    profile = _this_machine(question)
    plans = question.plans(profile.cpu.cores)
    with Journal(journal_path) if journal_path is not None else nullcontext() as journal:
        measured = _execute_plans(question, plans, profile, log_directory, limit_s, progress, remark, journal)
    return {strategy: records for strategy, (records,) in measured.items()}


def validate(
    scenario: Scenario | str | os.PathLike[str],
    log_directory: Path,
    draws: int | None = None,
    seed: int = 0,
    limit_s: float | None = None,
    progress: Progress | None = None,
    coefficients: Coefficients | None = None,
    remark: Callable[[str], None] | None = None,
    repeats: int = 1,
    keep: Keep | None = None,
) -> Validation:
    """Predict every strategy of a scenario, then run it, and compare (arguments and errors as ``forecast``, ``execute``).

    Args:
        scenario, log_directory, draws, seed, limit_s, progress, coefficients: see ``forecast`` and ``execute``.
        repeats: real runs of each strategy, 1 or more, in rounds over all strategies, so that drift meets them alike [1].
        keep: given each run as soon as it is done, so that an interruption loses none.
    """
    if repeats < 1:
        raise InputError(f"repeats is {repeats}; it must be 1 or more")
    question = _scenario(scenario)
    profile = _this_machine(question)
    if question.recovery.active:
        raise InputError("a prediction is held against what servers do by themselves: leave [recovery] out of what is validated")
    expected = forecast(question, draws, seed, coefficients)
    predictions = {prediction.strategy: prediction for prediction in expected.predictions}

    def done(run: Executed) -> None:
        if keep is not None:
            keep(run, predictions[run.plan.strategy])

    plans = list(expected.plans.values())
    measured = _execute_plans(question, plans, profile, log_directory, limit_s, progress, remark, repeats=repeats, done=done)
    return Validation(expected, tuple(compare(prediction, *measured[name]) for name, prediction in predictions.items()))


def uncalibrated(profile: HardwareProfile) -> UncalibratedMachine | None:
    """A machine by its rates; None where a calibration of its own answers.

    Raises:
        NotCalibratedError: there is neither.
        InputError: the profile says too little.
    """
    try:
        load_coefficients(profile, engine_build())
    except (NotCalibratedError, EngineMissingError) as error:
        try:
            return UncalibratedMachine(profile)
        except NotCalibratedError:
            raise error from None  # it says how to calibrate
        except InputError as unknown:
            raise InputError(f"{unknown}; and {error}") from None
    return None


def companies(plan: Plan, specs: Mapping[str, ModelSpec], workload: Workload) -> list[list[PlannedServer]]:
    """The servers that are placed together: those of each stage; each alone where they are loaded on demand."""
    stages = (
        [[one] for one in variants(plan, specs, workload)]
        if plan.on_demand
        else [[plan.instance(name) for name in stage.instances] for stage in plan.stages]
    )
    return [[PlannedServer(specs[one.model], one.threads, one.cache) for one in stage] for stage in stages]


def _execute_plans(
    question: Scenario,
    plans: list[Plan],
    profile: HardwareProfile,
    log_directory: Path,
    limit_s: float | None,
    progress: Progress | None,
    remark: Callable[[str], None] | None,
    journal: Journal | None = None,
    repeats: int = 1,
    done: Callable[[Executed], None] | None = None,
) -> dict[str, list[Records]]:
    """Strategy → records of each of its runs; every second round goes the other way, so that steady drift meets all alike."""
    from mmpredict.live.choice import EngineChoice, engine_of
    from mmpredict.live.execute import DEFAULT_LIMIT_S, execute_plan

    engine = engine_of(EngineChoice(**question.engine.model_dump()))
    workload, specs = question.workload(), question.specs()
    for plan in plans:  # all of them, before the first one runs for minutes
        check_context(plan, workload, assign(plan, workload))
        check_memory(plan, specs, _usable(profile))
    order = [(turn, plan) for turn in range(repeats) for plan in (plans[::-1] if turn % 2 else plans)]
    models, base = {name: spec.name for name, spec in specs.items()}, str(question.base or "")
    measured: dict[str, list[Records]] = {plan.strategy: [] for plan in plans}
    for number, (turn, plan) in enumerate(order):
        label = f"{plan.strategy}, round {turn + 1}" if repeats > 1 else plan.strategy

        def report(what: str, fraction: float, number: int = number, label: str = label) -> None:
            if progress is not None:
                progress(f"{label}: {what}", (number + fraction) / len(order))

        logs = log_directory / f"round-{turn + 1}" if repeats > 1 else log_directory
        records = execute_plan(
            plan, workload, specs, _usable(profile), logs, question.cold, limit_s or DEFAULT_LIMIT_S, report, engine, journal
        )
        measured[plan.strategy].append(records)
        if done is not None:
            done(Executed(plan, workload, models, records, turn, question.cold, base))
    if remark is not None:
        for note in dict.fromkeys(engine.notes):
            remark(note)
    return measured


def _scenario(scenario: Scenario | str | os.PathLike[str]) -> Scenario:
    return scenario if isinstance(scenario, Scenario) else read_scenario(Path(scenario))


def _this_machine(question: Scenario) -> HardwareProfile:
    if question.hardware != THIS_MACHINE:
        raise InputError(
            f"a scenario for {question.hardware!r} can be predicted but not executed here; set hardware = {THIS_MACHINE!r}"
        )
    return find_profile(THIS_MACHINE)


def _usable(profile: HardwareProfile) -> float:
    return profile.cpu_memory.usable_bytes.value


def _number(value: float) -> float | None:
    return value if value == value else None
