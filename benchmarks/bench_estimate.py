"""How long an estimate takes: from Python once everything is loaded, and from the shell, start of the interpreter included.

Run with ``make bench``. The shell's figure is the best of several starts: what else the machine does only ever adds to it.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import time

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from mmpredict.results.estimate import Estimate
from mmpredict.sizing.estimate import estimate

MODEL = "qwen2.5:7b"
LONGEST_S, LONGEST_SHELL_S = 0.001, 0.3
STARTS = 15
COMMAND = [sys.executable, "-c", "from mmpredict.cli.main import run; run()", "estimate", MODEL, "--ctx", "8k"]


@pytest.mark.parametrize("hardware", ["this-machine", "rtx-4090", "ms-s1-max"])
def test_from_python(benchmark: BenchmarkFixture, hardware: str) -> None:
    found: Estimate = benchmark(lambda: estimate(MODEL, hardware, context_tokens=8192))
    assert found.fits
    assert benchmark.stats["median"] < LONGEST_S


def test_from_python_with_a_context_never_asked_for(benchmark: BenchmarkFixture) -> None:
    contexts = itertools.count(4096, 256)
    benchmark.pedantic(lambda: estimate(MODEL, "rtx-4090", context_tokens=next(contexts)), rounds=100, warmup_rounds=1)


def test_with_advice(benchmark: BenchmarkFixture) -> None:
    contexts = itertools.count(65_536, 256)
    benchmark.pedantic(
        lambda: estimate(MODEL, "jetson-orin-nano", context_tokens=next(contexts), advice=True), rounds=20, warmup_rounds=1
    )


@pytest.mark.parametrize("hardware", ["this-machine", "rtx-4090"])
def test_from_the_shell(benchmark: BenchmarkFixture, hardware: str) -> None:
    def start() -> float:
        begin_s = time.perf_counter()
        subprocess.run([*COMMAND, "--hardware", hardware], check=True, capture_output=True)
        return time.perf_counter() - begin_s

    benchmark.pedantic(start, rounds=STARTS, warmup_rounds=1)
    assert benchmark.stats["min"] < LONGEST_SHELL_S
