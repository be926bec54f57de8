"""What ``mmpredict validate scenarios`` runs: random scenarios by every strategy, one server under load, models loaded again."""

from __future__ import annotations

import random
from collections.abc import Sequence

from mmpredict.cost.coefficients import Coefficients
from mmpredict.simulation.dispatch import assign, check_context, check_order
from mmpredict.simulation.residency import check_memory
from mmpredict.validation.random_scenarios import BEYOND_CORES, pattern_of, random_scenario
from mmpredict.validation.serving import RELOAD, SINGLE, ServingCase, serving_cases, serving_specs

RANDOM = "random scenarios"
BEYOND = "beyond the cores"
JUDGED = (RANDOM, SINGLE, RELOAD)
"""Groups whose errors decide; what is beyond the cores is shown by itself."""

COUNT, QUICK_COUNT = 20, 2
REPEATS, QUICK_REPEATS = 2, 1
SLOTS = 4
"""Of the one server under load."""

METRICS = (
    "makespan_s",
    "e2e_p50_s",
    "e2e_mean_s",
    "ttft_p50_s",
    "ttft_mean_s",
    "throughput_tokens_per_s",
    "memory_peak_bytes",
)


def scenario_cases(own: Coefficients, seed: int, count: int) -> list[ServingCase]:
    """Cases of ``count`` random scenarios, one per scenario and strategy; each scenario by a name of its own.

    Args:
        own: the machine's coefficients, for its cores.
        seed: of the scenarios.
        count: how many [1].
    """
    cases = []
    for number in range(count):
        scenario = random_scenario(seed, number)
        workload, specs = scenario.workload(), scenario.specs()
        name = f"{seed}.{number:02d} {len(specs)} models, {pattern_of(number)}"
        for plan in scenario.plans(own.cores):
            group = BEYOND if plan.strategy in BEYOND_CORES else RANDOM
            cases.append(ServingCase(group, name, plan, workload, specs, METRICS))
    return cases


def known_cases(own: Coefficients) -> list[ServingCase]:
    """Those of ``validate serving`` with one server of ``SLOTS`` slots at each load, and with models that are loaded again."""
    found = []
    for case in serving_cases(own, serving_specs()):
        if case.group == RELOAD:
            found.append(ServingCase(case.group, case.name, case.plan, case.workload, case.specs, (*METRICS, "load_wait_s")))
        elif case.group == SINGLE and case.plan.instances[0].slots == SLOTS:
            found.append(ServingCase(case.group, case.name, case.plan, case.workload, case.specs, METRICS))
    return found


def check_cases(cases: Sequence[ServingCase], memory_bytes: float) -> None:
    """Make sure that all can run, before the first one does.

    Raises:
        InputError: requests do not fit into a context, or wait for what comes after them.
        DoesNotFitError: a plan needs more memory than there is.
    """
    for case in cases:
        instance_of = assign(case.plan, case.workload)
        check_context(case.plan, case.workload, instance_of)
        check_order(case.plan, case.workload, instance_of)
        check_memory(case.plan, case.specs, memory_bytes)


def rounds(cases: int, repeats: int, seed: int) -> list[tuple[int, int]]:
    """The order of all runs: (number of the case, round), each round all cases in an order of its own.

    Drift of the machine then meets all cases alike.
    """
    found: list[tuple[int, int]] = []
    for turn in range(repeats):
        order = list(range(cases))
        random.Random(f"rounds {seed} {turn}").shuffle(order)
        found.extend((number, turn) for number in order)
    return found
