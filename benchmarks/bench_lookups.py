"""How long it takes to look up the time of a decode step: one, and a million at once of any number of sequences and depth.

Run with ``make bench``. Both are of a model with windows, the kind with most to compute, after its table has been made.
"""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from mmpredict.cost.library import rates_path, shipped_rates_directory
from mmpredict.cost.rates.lookup import StepTable
from mmpredict.cost.rates.rates import Rates, read_rates
from mmpredict.models.catalog import catalog_spec

LONGEST_S, LONGEST_MILLION_S = 5e-6, 2.0
MILLION, MOST_SEQUENCES, DEEPEST = 1_000_000, 256, 131_072
SPEC = catalog_spec("gemma3-4b", "Q4_K_M")


@pytest.fixture(scope="module")
def rates() -> Rates:
    return read_rates(rates_path(shipped_rates_directory(), "rtx-3090", "", "cuda", "gpu"))


def test_table(benchmark: BenchmarkFixture, rates: Rates) -> None:
    table = benchmark(StepTable, SPEC, rates)
    assert table.step_s(1, 0) > 0


def test_one_look_up(benchmark: BenchmarkFixture, rates: Rates) -> None:
    table = StepTable(SPEC, rates)
    table.step_s(8, 0)
    assert benchmark(table.step_s, 8, 4096.0) > 0
    assert benchmark.stats["median"] < LONGEST_S


def test_many_steps_in_a_row(benchmark: BenchmarkFixture, rates: Rates) -> None:
    table = StepTable(SPEC, rates)
    table.step_s(8, 0)
    assert benchmark(table.segment_s, 8, 512.0, 1024.0) > 0
    assert benchmark.stats["median"] < LONGEST_S


def test_a_million_look_ups(benchmark: BenchmarkFixture, rates: Rates) -> None:
    table, random = StepTable(SPEC, rates), np.random.default_rng(0)
    sequences = random.integers(1, MOST_SEQUENCES + 1, MILLION)
    depths = random.integers(0, DEEPEST + 1, MILLION)
    found = benchmark(table.steps_s, sequences, depths)
    assert found.shape == (MILLION,) and found.min() > 0
    assert benchmark.stats["max"] < LONGEST_MILLION_S
