"""How long a recommendation takes: three models and the usual plans; and a search over a thousand plans.

Run with ``make bench``, or ``python benchmarks/bench_recommend.py`` for one line each, the shell's included. Quote ratios between
rows of one run, not seconds of a machine.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from mmpredict.advising import Advice
from mmpredict.api import recommend
from mmpredict.cost.coefficients import read_coefficients
from mmpredict.demo import demo_scenario
from mmpredict.planning.space import FAMILIES
from mmpredict.scenario import RequestSection, Scenario

COEFFICIENTS = min((Path(__file__).parent.parent / "calibration" / "coefficients").glob("*/xllamacpp-*.json"))
MODELS = (
    "synthetic:qwen2.5-0.5b@q8_0",
    "synthetic:smollm2-360m@q4_0",
    "synthetic:gemma3-270m@q4_k",
    "synthetic:smollm2-135m@q8_0",
)
SHELL = """
hardware = "jetson-orin-nano-super"
"""


def three_models() -> Advice:
    """The demonstration's six requests, and the plans that are looked at by default."""
    return recommend(demo_scenario(), coefficients=read_coefficients(COEFFICIENTS))


def many_plans() -> Advice:
    """Four models, every family, every setting, three quantizations: more than a thousand plans of twelve requests."""
    requests = tuple(
        RequestSection(model=MODELS[number % 4], prompt_tokens=100 + 40 * number, output_tokens=20 + 5 * number)
        for number in range(12)
    )
    return recommend(
        Scenario(requests=requests),
        families=FAMILIES,
        thorough=True,
        quantizations=["Q8_0", "Q4_0"],
        coefficients=read_coefficients(COEFFICIENTS),
    )


def test_three_models(benchmark: BenchmarkFixture) -> None:
    found = benchmark(three_models)
    assert found.ranking.looked_at > 15 and found.best.draws


def test_a_thousand_plans(benchmark: BenchmarkFixture) -> None:
    found = benchmark.pedantic(many_plans, rounds=1)
    assert found.ranking.looked_at > 1000


def from_the_shell_s() -> float:
    """``mmpredict recommend`` in a process of its own, for a machine that was not calibrated [s]."""
    sections = "".join(
        f'[[requests]]\nmodel = "{one.model}"\nprompt_tokens = {one.prompt_tokens}\noutput_tokens = {one.output_tokens}\n'
        for one in demo_scenario().requests
    )
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "scenario.toml"
        path.write_text(SHELL + sections)
        start_s = time.perf_counter()
        command = [sys.executable, "-c", "from mmpredict.cli.main import run; run()", "recommend", str(path)]
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - start_s


def main() -> None:
    """Print a line per question."""
    three_models()
    for name, ask in (("three models", three_models), ("a thousand plans", many_plans)):
        times_s = []
        for _ in range(5 if ask is three_models else 1):
            start_s = time.perf_counter()
            ranking = ask().ranking
            times_s.append(time.perf_counter() - start_s)
        print(f"{name}: {min(times_s):.3f} s, {ranking.looked_at} plans looked at, {ranking.simulated} simulated")
    print(f"three models from the shell: {min(from_the_shell_s() for _ in range(3)):.2f} s")


if __name__ == "__main__":
    main()
