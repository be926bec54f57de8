"""How long a prediction takes: three models, six requests, one simulation; and the same with 200 draws.

Run with ``make bench``. Quote ratios between rows of one run, not seconds of a machine.
"""

from __future__ import annotations

from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from mmpredict.api import forecast
from mmpredict.cost.chain import CostModel
from mmpredict.cost.coefficients import read_coefficients
from mmpredict.demo import demo_scenario
from mmpredict.simulation.run import simulate

COEFFICIENTS = min((Path(__file__).parent.parent / "calibration" / "coefficients").glob("*/xllamacpp-*.json"))
MEMORY_BYTES = 16 * 1024**3


def test_one_simulation(benchmark: BenchmarkFixture) -> None:
    scenario = demo_scenario()
    coefficients = read_coefficients(COEFFICIENTS)
    plan, workload, specs = scenario.plans(coefficients.cores)[1], scenario.workload(), scenario.specs()
    records = benchmark(lambda: simulate(plan, workload, specs, CostModel(coefficients), MEMORY_BYTES))
    assert len(records.requests) == len(workload.requests)


def test_five_strategies_with_200_draws(benchmark: BenchmarkFixture) -> None:
    coefficients = read_coefficients(COEFFICIENTS)
    found = benchmark.pedantic(forecast, args=(demo_scenario(), 200, 0, coefficients), rounds=3)
    assert len(found.predictions) == 5
