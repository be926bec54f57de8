"""The questions a person asks, as functions: what will happen, what does happen, how far apart are the two."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

from mmpredict.advising import FINALISTS, Advice, Effort, advise_on, task_on
from mmpredict.answers import Forecast, Validation
from mmpredict.cost.coefficients import Coefficients
from mmpredict.costing import Costing, RatedCosting, costing_of
from mmpredict.errors import DoesNotFitError, InputError
from mmpredict.forecasting import Forecaster, usable_bytes
from mmpredict.hardware.detect import THIS_MACHINE
from mmpredict.hardware.library import find_profile
from mmpredict.hardware.profile import HardwareProfile
from mmpredict.planning.search import recommend as best_of
from mmpredict.results.compare import compare
from mmpredict.results.prediction import Prediction
from mmpredict.results.records import Records
from mmpredict.scenario import Scenario, read_scenario
from mmpredict.simulation.dispatch import assign, check_context
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.residency import check_memory
from mmpredict.strategy.on_gpu import different_on_gpu
from mmpredict.strategy.table import AUTO
from mmpredict.validation.executed import Executed

if TYPE_CHECKING:
    from mmpredict.live.journal import Journal
    from mmpredict.results.sweep import Sweep

Progress = Callable[[str, float], None]
"""(what is happening, fraction done)."""

Keep = Callable[[Executed, Prediction], None]
"""Told of each real run as soon as it is done."""


def forecast(
    scenario: Scenario | str | os.PathLike[str],
    draws: int | None = None,
    seed: int = 0,
    coefficients: Coefficients | None = None,
    progress: Progress | None = None,
    now_s: float | None = None,
) -> Forecast:
    """Predict every strategy of a scenario and recommend one.

    A machine's own calibration answers where there is one, otherwise the best published rates for it do.

    Args:
        scenario: a scenario, or the path of its file.
        draws: simulations behind the intervals, 1 or more; 200 when not given, fewer for thousands of requests [1].
        seed: of the draws.
        coefficients: instead of the stored ones of the scenario's machine.
        progress: told which strategy is simulated.
        now_s: when the runs are (Unix time), a recent calibration being surer of them; any hour when not given [s].

    Raises:
        InputError: the scenario cannot be used, or the machine's profile says too little.
        DoesNotFitError: no strategy fits the machine.
        NotCalibratedError: the scenario is for this machine, of which nothing is known.
    """
    if draws is not None and draws < 1:
        raise InputError(f"draws is {draws}; it must be 1 or more")
    question = _scenario(scenario)
    profile = _profile_of(question)
    plans, left_out = _plans(question, profile, coefficients), dict[str, str]()
    costing = _costing(question, coefficients, now_s)
    forecaster = Forecaster(question, profile, costing, draws, seed)
    if isinstance(costing, RatedCosting) and costing.machine.machine.device is not None:
        plans, left_out = different_on_gpu(plans, costing.machine.machine.name)
    found: list[Prediction] = []
    infeasible: dict[str, str] = {}
    for number, plan in enumerate(plans):
        if progress is not None:
            progress(plan.strategy, number / len(plans))
        try:
            found.append(forecaster.predict(plan))
        except DoesNotFitError as error:
            infeasible[plan.strategy] = str(error)
    if not found:
        raise DoesNotFitError("; ".join(infeasible.values()))
    feasible = {plan.strategy: plan for plan in plans if plan.strategy not in infeasible}
    return Forecast(question, feasible, tuple(found), infeasible, best_of(found), left_out)


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
    plans = _plans(question, profile)
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

    Where a model ended answers before they were as long as asked for, the runs are held against a prediction for as many tokens as
    came; it says so among its warnings, and ``forecast`` keeps the first one.

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
    now_s = time()
    expected = forecast(question, draws, seed, coefficients, now_s=now_s)
    predictions = {prediction.strategy: prediction for prediction in expected.predictions}
    forecaster = Forecaster(question, profile, _costing(question, coefficients, now_s), draws, seed)

    def held(strategy: str, *runs: Records) -> Prediction:
        return forecaster.of_answers(predictions[strategy], expected.plans[strategy], runs)

    def done(run: Executed) -> None:
        if keep is not None:
            keep(run, held(run.plan.strategy, run.records))

    plans = list(expected.plans.values())
    measured = _execute_plans(question, plans, profile, log_directory, limit_s, progress, remark, repeats=repeats, done=done)
    return Validation(expected, tuple(compare(held(name, *measured[name]), *measured[name]) for name in predictions))


def recommend(
    scenario: Scenario | str | os.PathLike[str],
    goal: str | None = None,
    *,
    max_memory: str | float | None = None,
    max_cores: int | None = None,
    objectives: Sequence[str] | None = None,
    resident: Sequence[str] | None = None,
    deadlines_met: float | None = None,
    quantizations: Sequence[str] | None = None,
    families: Sequence[str] | None = None,
    thorough: bool | None = None,
    finalists: int = FINALISTS,
    draws: int | None = None,
    seed: int = 0,
    prune: bool = True,
    workers: int | None = None,
    sensitivity: bool = True,
    coefficients: Coefficients | None = None,
    progress: Progress | None = None,
) -> Advice:
    """Find the best way of running a scenario's models, whatever strategies it names.

    ``max_memory`` (bytes, or a size: ``5GiB``), ``max_cores``, ``objectives`` (``chat:ttft_p95=2s``), ``resident``,
    ``deadlines_met``, ``quantizations``, ``families`` and ``thorough`` are the keys of ``RecommendSection``; what is not given is
    taken from the scenario's ``[recommend]`` table. ``finalists`` to ``sensitivity`` are described in ``Effort``.

    Args:
        scenario: a scenario, or the path of its file.
        goal: ``makespan``, ``throughput``, ``latency``, ``latency-p95``, ``ttft``, ``ttft-p95``, ``memory`` or ``energy``.
        coefficients: instead of the stored ones of the scenario's machine.
        progress: told how far it is.

    Raises:
        InputError: the scenario, a goal, a limit or an objective cannot be used, or the machine's profile says too little.
        DoesNotFitError: no plan keeps the limits.
        NotCalibratedError: the scenario is for this machine, of which nothing is known.
    """
    question = _scenario(scenario)
    given = {
        "goal": goal,
        "max_memory": max_memory,
        "max_cores": max_cores,
        "objectives": objectives,
        "resident": resident,
        "deadlines_met": deadlines_met,
        "quantizations": quantizations,
        "families": families,
        "thorough": thorough,
    }
    return advise_on(
        question,
        _costing(question, coefficients),
        {name: value for name, value in given.items() if value is not None},
        Effort(finalists, draws, seed, prune, workers, sensitivity),
        progress,
    )


def sweep(
    scenario: Scenario | str | os.PathLike[str],
    key: str,
    values: Sequence[float | str],
    *,
    draws: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    coefficients: Coefficients | None = None,
    progress: Progress | None = None,
) -> Sweep:
    """Simulate a scenario's strategies while one of its keys takes several values: a load curve, and its knee.

    Where the scenario names neither strategies nor ``[serving]``, the plan is the one that is recommended at the first value.

    Args:
        scenario: a scenario, or the path of its file.
        key: path of the key (``load[0].rate_per_s``, ``server.slots``, ``hardware``), or ``users`` for those of all closed loads.
        values: of the key.
        draws: simulations behind the bounds; 10 when not given, 0 for none [1].
        seed: of the draws.
        workers: processes; one per core where that is worth it when not given.
        coefficients: instead of the stored ones of the scenario's machine.
        progress: told how far it is.

    Raises:
        InputError: the scenario, the key or a value cannot be used.
        NotCalibratedError: the scenario is for this machine, of which nothing is known.
    """
    from mmpredict.scenario.sweep_key import with_value
    from mmpredict.sweeping import Setting, sweep_over, with_options

    if not values:
        raise InputError("there is no value to sweep over; give at least one")
    if draws is not None and draws < 0:
        raise InputError(f"draws is {draws}; it must be 0 or more")
    question = _scenario(scenario)
    settings: list[Setting] = []
    best: Plan | None = None
    for value in values:
        changed = with_value(question, key, value)
        profile = _profile_of(changed)
        if question.serving is None and "strategies" not in question.model_fields_set:
            best = best or recommend(changed, sensitivity=False, finalists=1, draws=1, coefficients=coefficients).plan
            plans = [with_options(best, changed)]
        else:
            plans = _plans(changed, profile, coefficients)
        settings.append(Setting(value, changed, _costing(changed, coefficients), tuple(plans)))
    return sweep_over(key, settings, draws, seed, workers, progress)


def _plans(question: Scenario, profile: HardwareProfile, coefficients: Coefficients | None = None) -> list[Plan]:
    """The plans of a scenario's strategies, the recommended one last."""
    named = question.model_copy(update={"strategies": tuple(name for name in question.strategies if name != AUTO)})
    plans = (named if AUTO in question.strategies else question).plans(
        profile.cpu.cores, lambda: task_on(question, _costing(question, coefficients))
    )
    if AUTO in question.strategies:
        best = recommend(question, sensitivity=False, finalists=1, draws=1, coefficients=coefficients).plan
        plans.append(Plan(AUTO, best.instances, best.stages, best.serving))
    return plans


def _costing(question: Scenario, coefficients: Coefficients | None = None, now_s: float | None = None) -> Costing:
    return costing_of(_profile_of(question), coefficients, now_s, question.engine.kind)


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
        check_memory(plan, specs, _room(profile))
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
            plan, workload, specs, _room(profile), logs, question.cold, limit_s or DEFAULT_LIMIT_S, report, engine, journal
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
    return _profile_of(question)


def _profile_of(question: Scenario) -> HardwareProfile:
    """The machine of a scenario; of this one's processors the embedded engine uses the CPU alone."""
    return find_profile(question.hardware, gpus=question.engine.kind != "embedded")


def _room(profile: HardwareProfile) -> float:
    """What servers may use together, wherever their layers come to lie [bytes]."""
    card = 0.0 if profile.gpu is None or profile.is_unified else profile.usable_of(profile.gpu).value
    return usable_bytes(profile) + card
