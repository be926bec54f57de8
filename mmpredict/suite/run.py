"""Running a suite: every test simulated on a machine, and on this one for real what can be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import time

import numpy as np

from mmpredict.api import Keep
from mmpredict.calibrated import own_coefficients
from mmpredict.cost.draw import Draw
from mmpredict.costing import RatedCosting, costing_of
from mmpredict.errors import DoesNotFitError, InputError
from mmpredict.hardware.detect import THIS_MACHINE
from mmpredict.hardware.library import find_profile
from mmpredict.hardware.profile import HardwareProfile
from mmpredict.live.embedded import require_engine
from mmpredict.live.execute import execute_plan
from mmpredict.models.resolve import GGUF_SUFFIX, SYNTHETIC, resolve
from mmpredict.models.spec import ModelSpec
from mmpredict.results.prediction import Interval, Prediction
from mmpredict.results.records import Records
from mmpredict.results.suite import Judgement, SuiteResult, SuiteTestResult, VariantResult
from mmpredict.saving import make_directory
from mmpredict.scenario import Scenario
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.repeat import predict_plan, usual_draws
from mmpredict.simulation.run import simulate
from mmpredict.simulation.site import site_of
from mmpredict.suite.capacity import capacity
from mmpredict.suite.definition import Criterion, RunVariant, Suite, SuiteTest, Variant
from mmpredict.suite.library import find_suite
from mmpredict.suite.measures import binds, measure
from mmpredict.validation.executed import Executed
from mmpredict.workload.request import Workload

SHOWN = ("makespan_s", "ttft_p50_s", "e2e_p50_s", "e2e_p95_s", "throughput_tokens_per_s", "memory_peak_bytes")
"""Measures of every run, besides those that criteria ask for."""
PARALLEL, DIVIDED = "parallel", "parallel-divided"
NOTHING = Interval(math.nan, math.nan, math.nan)

Progress = Callable[[str, float], None]
"""(what is happening, fraction done)."""


@dataclass(frozen=True, slots=True)
class SuiteOptions:
    """How a suite is run.

    Attributes:
        hardware: machine instead of the suite's; empty for the suite's.
        only: ids of tests; none for all.
        draws: simulations behind the intervals; None for the usual number [1].
        seed: of the draws.
        live: whether to run on this machine what can be run: servers in stages, models as stand-ins of random weights.
        limit_s: after which the requests of a real run are given up [s].
    """

    hardware: str = ""
    only: tuple[str, ...] = ()
    draws: int | None = None
    seed: int = 0
    live: bool = False
    limit_s: float = 600.0


def run_suite(name: str, options: SuiteOptions, log_directory: Path, progress: Progress, keep: Keep | None = None) -> SuiteResult:
    """Simulate a suite, and run what can be run where that is asked for.

    Args:
        name: of the suite.
        options: how.
        log_directory: where servers log.
        progress: told what happens.
        keep: given each real run, and what was predicted of it, as soon as it is done.

    Raises:
        UnknownNameError: no such suite, test or machine.
        InputError: a live run is asked for on another machine than this one.
        NotCalibratedError: nothing is known of the machine.
        EngineError: a server could not be started.
    """
    suite = find_suite(name)
    if options.live and options.hardware != THIS_MACHINE:
        raise InputError(f"servers run on this machine only: --live goes with --hardware {THIS_MACHINE}")
    tests = _chosen(suite, options.only)
    run = _Run(suite, options, log_directory, keep)
    found = []
    for place, test in enumerate(tests):
        progress(f"{test.id} {test.title}", place / len(tests))
        found.append(run.test(test))
    progress("done", 1.0)
    return SuiteResult(name, suite.document, run.profile.name, options.live, tuple(found), tuple(dict.fromkeys(run.provenance)))


def _chosen(suite: Suite, only: Iterable[str]) -> list[SuiteTest]:
    by_id = {test.id.lower(): test for test in suite.tests}
    wanted = [one.lower() for one in only]
    if unknown := [one for one in wanted if one not in by_id]:
        raise InputError(f"unknown test {unknown[0]!r}; there are {', '.join(test.id for test in suite.tests)}")
    return [test for key, test in by_id.items() if not wanted or key in wanted]


class _Run:
    """The machine, and what all tests share."""

    def __init__(self, suite: Suite, options: SuiteOptions, log_directory: Path, keep: Keep | None) -> None:
        self.options, self.log_directory, self.keep = options, log_directory, keep
        self.hardware = options.hardware or suite.hardware
        self.profile: HardwareProfile = find_profile(self.hardware)
        self.budget_bytes = suite.budget_bytes if self.hardware == suite.hardware else None
        self.provenance: list[str] = []
        if options.live:
            require_engine()
            own_coefficients(self.profile)  # a real run on the CPU is held against its own calibration
        self.costing = costing_of(self.profile, now_s=time() if options.live else None)

    def test(self, test: SuiteTest) -> SuiteTestResult:
        """All variants and criteria of a test."""
        variants = {}
        for variant in test.variants:
            names = [one.measure for one in test.criteria if variant.name in (one.variant, one.at_most_of)]
            variants[variant.name] = self._variant(variant, names)
        judgements = tuple(_judged(one, variants) for one in test.criteria)
        return SuiteTestResult(
            test.id, test.phase, test.title, test.asks, test.stated, test.note, tuple(variants.values()), judgements
        )

    def _variant(self, variant: Variant, names: Iterable[str]) -> VariantResult:
        if not isinstance(variant, RunVariant):
            return capacity(variant, self.hardware, self.budget_bytes)
        scenario = variant.scenario
        plan = self._plan(scenario)
        specs, workload = self._specs(scenario), scenario.workload()
        wanted = tuple(dict.fromkeys((*names, *SHOWN)))
        try:
            found, prediction = self._predicted(variant.name, scenario, plan, specs, workload, wanted)
        except DoesNotFitError as error:
            return VariantResult(variant.name, binds="memory", why_not=str(error))
        if self.options.live and not plan.on_demand:
            records = self._executed(scenario, plan, specs, workload)
            found = replace(found, measured={one: measure(records, one) for one in wanted})
            if self.keep is not None:
                models = {name: spec.name for name, spec in specs.items()}
                self.keep(Executed(plan, workload, models, records, cold=scenario.cold), prediction)
        return found

    def _plan(self, scenario: Scenario) -> Plan:
        """The scenario's one plan; servers that would spin for the same cores of a CPU have these divided among them."""
        costing = self.costing
        on_cpu = not isinstance(costing, RatedCosting) or costing.machine.machine.device is None
        if on_cpu and scenario.strategies == (PARALLEL,):
            scenario = scenario.model_copy(update={"strategies": (DIVIDED,)})
        (plan,) = scenario.plans(self.profile.cpu.cores)
        return plan

    def _specs(self, scenario: Scenario) -> dict[str, ModelSpec]:
        """The models; for a real run those without a file as stand-ins of random weights."""
        named = scenario.models()
        stand_in = (lambda name: name if name.endswith(GGUF_SUFFIX) else f"{SYNTHETIC}{name}") if self.options.live else str
        return {name: resolve(stand_in(name)) for name in named}

    def _predicted(
        self,
        name: str,
        scenario: Scenario,
        plan: Plan,
        specs: Mapping[str, ModelSpec],
        workload: Workload,
        wanted: Iterable[str],
    ) -> tuple[VariantResult, Prediction]:
        """Median of all measures and their 80 % intervals over what is uncertain; and the prediction as others have it, whose
        intervals are needed where a run is kept."""
        usable = self.profile.cpu_memory.usable_bytes.value
        capacity_bytes = self.profile.cpu_memory.capacity_bytes.value
        source = self.costing.source(plan, specs, workload)
        site = site_of(self.profile, usable, on_gpu=not source.on_cpu)
        seed, draws = self.options.seed, self.options.draws or usual_draws(len(workload.requests))
        kept = draws if self.options.live and self.keep is not None else 1
        checked = predict_plan(plan, workload, specs, source, usable, kept, seed, scenario.cold, capacity_bytes, site)
        drawn = [
            simulate(plan, workload, specs, source.costs(Draw(seed, number)), capacity_bytes, scenario.cold, site)
            for number in range(draws)
        ]
        numbers = {one: tuple(measure(records, one) for records in drawn) for one in wanted}
        values = {one: _interval(found) for one, found in numbers.items()}
        self.provenance.extend(checked.provenance)
        return VariantResult(name, values, binds(checked.records), warnings=checked.warnings, draws=numbers), checked

    def _executed(self, scenario: Scenario, plan: Plan, specs: Mapping[str, ModelSpec], workload: Workload) -> Records:
        usable = self.profile.cpu_memory.usable_bytes.value
        logs = make_directory(self.log_directory)
        return execute_plan(plan, workload, specs, usable, logs, scenario.cold, self.options.limit_s)


def _judged(criterion: Criterion, variants: Mapping[str, VariantResult]) -> Judgement:
    own, name = variants[criterion.variant], criterion.measure
    predicted, measured = own.values.get(name, NOTHING), own.measured.get(name, math.nan)
    if criterion.at_most_of:
        other = variants[criterion.at_most_of]
        bound = other.measured.get(name, other.values.get(name, NOTHING).value)
        pairs = zip(own.draws.get(name, ()), other.draws.get(name, ()), strict=False)
        excess = _interval([mine - yours for mine, yours in pairs])
    else:
        stated = criterion.at_least if criterion.at_most is None else criterion.at_most
        bound = math.nan if stated is None else stated
        excess = Interval(predicted.value - bound, predicted.low - bound, predicted.high - bound)
    least = criterion.at_least is not None
    return Judgement(criterion.variant, name, least, bound, criterion.at_most_of, criterion.whose, predicted, measured, excess)


def _interval(values: Sequence[float]) -> Interval:
    """Median and central 80 %; ``nan`` where nothing is known, or not in every draw."""
    if not values:
        return NOTHING
    low, middle, high = (float(value) for value in np.quantile(values, [0.1, 0.5, 0.9]))
    return Interval(middle, low, high)
