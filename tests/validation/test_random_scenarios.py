"""Random scenarios: the same for the same seed, all kinds among any twenty, within what is promised of them."""

from __future__ import annotations

import math

import pytest

from mmpredict.cost.chain import CostModel
from mmpredict.cost.coefficients import Coefficients
from mmpredict.models.resolve import resolve
from mmpredict.models.synthetic import SYNTHESISABLE, parse_name
from mmpredict.simulation.run import simulate
from mmpredict.validation import random_scenarios
from mmpredict.validation.random_scenarios import BEYOND_CORES, MODELS, PATTERNS, pattern_of, random_scenario
from mmpredict.validation.scenario_cases import BEYOND, RANDOM, check_cases, known_cases, rounds, scenario_cases
from mmpredict.validation.serving import RELOAD, SINGLE

COUNT = 20
MOST_DISK_BYTES = 3e9


@pytest.fixture
def every_type(coefficients: Coefficients) -> Coefficients:
    """Coefficients that know every type of the models."""
    steps = {}
    for threads, step in coefficients.steps.items():
        others = dict.fromkeys(("q5_0", "q6_k", "f16"), step.kernels["q8_0"])
        steps[threads] = step.model_copy(update={"kernels": {**step.kernels, **others}})
    return coefficients.model_copy(update={"steps": steps})


def test_a_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    first, again, other = ([random_scenario(seed, number).model_dump_json() for number in range(COUNT)] for seed in (3, 3, 4))
    assert first == again
    assert all(one != two for one, two in zip(first, other, strict=True))
    assert len(set(first)) == COUNT
    workloads = [random_scenario(3, 5).workload() for _ in range(2)]
    assert workloads[0] == workloads[1]


def test_models_are_small_unseen_and_can_be_written() -> None:
    specs = [resolve(name) for name in MODELS]
    assert all(30e6 < spec.parameters < 500e6 for spec in specs)
    assert sum(spec.file_bytes for spec in specs) < MOST_DISK_BYTES
    for name in MODELS:
        shape, kind = parse_name(name)
        assert not shape.startswith("probe-")
        assert kind.name in SYNTHESISABLE


@pytest.mark.parametrize("seed", [0, 7])
def test_twenty_in_a_row_hold_every_pattern_and_number_of_models(seed: int) -> None:
    scenarios = [random_scenario(seed, number) for number in range(COUNT)]
    assert {len(one.models()) for one in scenarios} == {2, 3, 4, 5}
    assert {pattern_of(number) for number in range(COUNT)} == set(PATTERNS)
    kinds = {load.kind for one in scenarios for load in one.load}
    assert kinds == {"bursts", "poisson", "gamma", "closed", "sessions"}
    beyond = [name for one in scenarios for name in one.strategies if name in BEYOND_CORES]
    assert set(beyond) == set(BEYOND_CORES)
    for one in scenarios:
        assert len(one.strategies) >= 3
        assert len({name.partition("@")[0] for name in one.models()}) == len(one.models()), "one shape twice"


@pytest.mark.parametrize("seed", [0, 7])
def test_requests_are_as_long_as_promised_and_every_model_is_asked(seed: int) -> None:
    for number in range(COUNT):
        scenario = random_scenario(seed, number)
        requests = scenario.workload().requests
        assert {request.model for request in requests} == set(scenario.models())
        assert all(16 <= request.prompt_tokens <= 300 for request in requests)
        assert all(4 <= request.output_tokens <= 48 for request in requests)
        passed = sum(
            resolve(one.model).parameters * (one.prompt_tokens + random_scenarios.OUTPUT_WORTH * one.output_tokens)
            for one in requests
        )
        assert passed < 3 * random_scenarios.WORK, "a few seconds, not a minute"


def test_all_cases_can_run_and_are_simulated(every_type: Coefficients) -> None:
    cases = scenario_cases(every_type, 0, COUNT)
    check_cases(cases, 8e9)
    assert {case.group for case in cases} == {RANDOM, BEYOND}
    assert len({(case.name, case.plan.strategy) for case in cases}) == len(cases)
    for case in cases:
        assert (case.group == BEYOND) == (case.plan.strategy in BEYOND_CORES)
        records = simulate(case.plan, case.workload, case.specs, CostModel(every_type), math.inf)
        assert {row.status for row in records.requests} == {"ok"}


def test_known_cases_are_one_server_at_three_loads_and_two_reloads(every_type: Coefficients) -> None:
    cases = known_cases(every_type)
    assert [case.group for case in cases] == [SINGLE] * 3 + [RELOAD] * 2


def test_every_round_runs_every_case_once_in_an_order_of_its_own() -> None:
    order = rounds(12, 3, seed=1)
    turns = [[number for number, turn in order if turn == one] for one in range(3)]
    assert [turn for _, turn in order] == sorted(turn for _, turn in order)
    assert all(sorted(one) == list(range(12)) for one in turns)
    assert len({tuple(one) for one in turns}) == 3
    assert order == rounds(12, 3, seed=1) != rounds(12, 3, seed=2)
