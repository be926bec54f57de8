"""How many requests a second the simulator gets through, on one core, and what memory it takes.

Run with ``python benchmarks/simulation_speed.py [--requests N]``: a chat trace (median 500 prompt and 150 output tokens) on one
llama-server of 8 slots near saturation; whether the cost of a request grows with its length or with their number; a prediction
of three models with few requests.
"""

from __future__ import annotations

import argparse
import math
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mmpredict.cost.chain import CostModel
from mmpredict.cost.coefficients import Coefficients, read_coefficients
from mmpredict.models.catalog import uniform_spec
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.results.request_table import RequestTable
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.simulation.run import simulate, simulate_stream
from mmpredict.simulation.serving import OllamaServing
from mmpredict.strategy.table import make_plan
from mmpredict.workload.request import Request, Workload

MODEL = "smollm2-135m"
SLOTS, CONTEXT = 8, 65_536
SHIPPED = Path(__file__).resolve().parent.parent / "calibration" / "coefficients" / "intel-xeon-processor-2-cores"
LOAD = 0.95
STRAY = 0.1  # of requests, those that change the model
BLOCK = 4096


def chat(requests: int, rate_per_s: float, seed: int = 1, output_tokens: int | None = None) -> Iterator[Request]:
    """Poisson arrivals, log-normal lengths; ``output_tokens`` makes all answers equally long."""
    random = np.random.default_rng(seed)
    now_s, number = 0.0, 0
    while number < requests:
        gaps = random.exponential(1 / rate_per_s, BLOCK)
        prompts = np.clip(np.exp(random.normal(math.log(500), 0.7, BLOCK)), 1, 4000).astype(int)
        answers = np.clip(np.exp(random.normal(math.log(150), 0.7, BLOCK)), 1, 2000).astype(int)
        for gap, prompt, answer in zip(gaps.tolist(), prompts.tolist(), answers.tolist(), strict=True):
            if number == requests:
                return
            now_s += gap
            yield Request(str(number), MODEL, prompt, output_tokens or answer, now_s)
            number += 1


def swapping(coefficients: Coefficients, count: int) -> None:
    """Four models by Ollama's rules, of which two fit: people stay with a model for some time, then ask another."""
    names = ("smollm2-135m", "smollm2-360m", "gemma3-270m", "qwen2.5-0.5b")
    specs = {name: uniform_spec(name, weight_type("q8_0")) for name in names}
    servers = tuple(InstancePlan(name, name, 2, context_tokens=8192, slots=1, unified=False) for name in names)
    plan = Plan("ollama", servers, (Stage(names),), OllamaServing(max_loaded_models=2))

    def requests() -> Iterator[Request]:
        random = np.random.default_rng(2)
        now_s, model = 0.0, names[0]
        for number in range(count):
            now_s += float(random.exponential(4.0))
            if random.random() < STRAY:
                model = names[int(random.integers(len(names)))]
            prompt, answer = (int(np.clip(np.exp(random.normal(math.log(size), 0.5)), 1, 2000)) for size in (150, 40))
            yield Request(str(number), model, prompt, answer, now_s)

    asked = list(requests())
    begin = time.perf_counter()
    table = simulate_stream(plan, iter(asked), specs, CostModel(coefficients), 16e9)
    wall = time.perf_counter() - begin
    waited = float((table.times_s("load_wait_s") > 0).mean())
    print(f"Ollama, 4 models of which 2 are loaded: {count / wall:,.0f} requests/s; {waited:.0%} of them waited for a load")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    count = parser.parse_args().requests
    coefficients = read_coefficients(next(SHIPPED.glob("*.json")))
    specs = {MODEL: uniform_spec(MODEL, weight_type("q8_0"))}
    plan = Plan("chat", (InstancePlan(MODEL, MODEL, 2, context_tokens=CONTEXT, slots=SLOTS),), (Stage((MODEL,)),))

    def run(requests: Iterator[Request]) -> tuple[RequestTable, float]:
        begin = time.perf_counter()
        table = simulate_stream(plan, requests, specs, CostModel(coefficients), 16e9)
        return table, time.perf_counter() - begin

    def capacity(**lengths: int) -> float:
        """Requests a second that the server gets through when there is always one waiting."""
        table, _ = run(chat(2000, 1e6, **lengths))
        return 2000 / float(table.times_s("finish_s").max())

    rate = LOAD * capacity()
    print(f"chat on {SLOTS} slots at {LOAD:.0%} of what the server gets through ({rate:.2f} requests/s of simulated time)")
    for number in (count // 10, count):
        table, wall = run(chat(number, rate))
        wait = np.median(table.times_s("prefill_start_s") - table.times_s("arrival_s"))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        speed = f"{wall:7.2f} s, {number / wall:,.0f} requests/s"
        print(f"  {number:>9,} requests: {speed}, peak {peak:.0f} MiB, median wait {wait:.2f} s")

    costs = []
    for tokens in (100, 2000):
        rate = LOAD * capacity(output_tokens=tokens)
        walls = [run(chat(count // 10, rate, output_tokens=tokens))[1] for _ in range(3)]
        costs.append(min(walls) / (count // 10))
        print(f"  answers of {tokens:>5} tokens: {1e6 * costs[-1]:.1f} µs per request")
    print(f"  2,000 tokens cost {costs[1] / costs[0]:.2f} × what 100 do")

    swapping(coefficients, count)
    names = ("smollm2-135m", "smollm2-360m", "qwen2.5-0.5b")
    three = {name: uniform_spec(name, weight_type("q8_0")) for name in names}
    workload = Workload(tuple(Request(f"{name}{n}", name, 96, 24, 0.1 * n) for name in names for n in range(3)))
    for strategy in ("sequential", "parallel-divided"):
        few = make_plan(strategy, names, 2)
        walls = []
        for _ in range(50):
            begin = time.perf_counter()
            simulate(few, workload, three, CostModel(coefficients), 16e9)
            walls.append(time.perf_counter() - begin)
        print(f"three models, nine requests, {strategy}: {1e3 * min(walls):.2f} ms at best, {1e3 * np.median(walls):.2f} ms median")


if __name__ == "__main__":
    main()
