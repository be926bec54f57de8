"""How servers slow each other on one GPU: the law of ``cost.sharing`` held against runs on an H200, and its one fitted number.

Every client of ``calibration/runs/h200/several-models.jsonl`` is simulated as it was: decoding without a pause, or prompts of 2,048
tokens one after another, each after the time that a request takes besides. Times alone are those of the same file, so that only
the law is tested. Run with ``python benchmarks/shared_gpu.py``; ``--fit`` shows other efficiencies.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import simpy

from mmpredict.cost.contention import Contention, Demand
from mmpredict.cost.draw import GPU_EFFICIENCY, SLICE
from mmpredict.cost.library import rates_path, shipped_rates_directory
from mmpredict.cost.rates.rates import read_rates
from mmpredict.cost.sharing import MachineSharing
from mmpredict.models.catalog import catalog_spec
from mmpredict.simulation.machine import Machine

RUNS = Path(__file__).resolve().parent.parent / "calibration" / "runs" / "h200" / "several-models.jsonl"
PROMPT_TOKENS, PASSES = 2048, 4
SIMULATED_S = 20.0
RATES = read_rates(rates_path(shipped_rates_directory(), "h200", "", "cuda", "gpu")).logs
SAMPLE_S, REQUEST_S = math.exp(RATES["sample_s"]), math.exp(RATES["request_s"])
FREE_CORES = Contention(16, 1.0, 1.0, 1.0, 1.0, 0.0)

Client = tuple[str, str]
"""(model, ``decode`` or ``prefill``)."""


def read() -> tuple[dict[Client, float], list[tuple[list[Client], list[float]]]]:
    """Mean times alone, and those of every company [s]."""
    rows = [json.loads(line) for line in RUNS.read_text("utf-8").splitlines()]
    alone = {(row["model"], row["phase"]): _mean_s(row) for row in rows if row["kind"] == "alone"}
    company = []
    for row in rows:
        found = [row["a"], row["b"]] if row["kind"] == "pair" else row["r"] if row["kind"] == "three" else []
        if found:
            clients = [(model, one["phase"]) for model, one in zip(row["models"], found, strict=True)]
            company.append((clients, [_mean_s(one) for one in found]))
    return alone, company


def simulated(clients: Sequence[Client], alone: dict[Client, float], sharing: MachineSharing) -> list[float]:
    """Mean time of a step or prompt of each client [s]."""
    env = simpy.Environment()
    machine = Machine(env, sharing, log=False)
    done, ended_s = [0] * len(clients), [0.0] * len(clients)

    def loop(number: int) -> None:
        demand, pause_s = _demand(clients[number], alone)

        def start(_: Any = None) -> None:
            machine.start(demand, end)

        def end(_: Any) -> None:
            done[number] += 1
            ended_s[number] = env.now
            env.timeout(pause_s).callbacks.append(start)

        start()

    for number in range(len(clients)):
        loop(number)
    env.run(until=SIMULATED_S)
    return [last / count for last, count in zip(ended_s, done, strict=True)]


def _demand(client: Client, alone: dict[Client, float]) -> tuple[Demand, float]:
    """What one step or prompt asks of the machine, and the pause after it [s]."""
    model, phase = client
    alone_s = alone[client]
    if phase == "prefill":
        work_s = alone_s - REQUEST_S
        return Demand("prefill", 1, True, work_s, 1.0, False, 1.0, work_s / PASSES), REQUEST_S
    sampling = SAMPLE_S * catalog_spec(*model.split("@")).shape.n_vocab / alone_s
    return Demand("decode", 1, True, alone_s, 1.0, False, 1.0 - sampling, alone_s), 0.0


def _mean_s(row: dict[str, Any]) -> float:
    return (1 if row["phase"] == "decode" else PROMPT_TOKENS) / float(row["rate"])


def _errors(efficiency: float, alone: dict[Client, float], company: list[tuple[list[Client], list[float]]]) -> list[float]:
    sharing = MachineSharing(FREE_CORES, SLICE.value, efficiency, unified=False)
    return [
        predicted / measured - 1
        for clients, times in company
        for predicted, measured in zip(simulated(clients, alone, sharing), times, strict=True)
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true", help="errors of other efficiencies")
    arguments = parser.parse_args()
    alone, company = read()
    if arguments.fit:
        for percent in range(84, 101, 2):
            logs = [math.log1p(error) for error in _errors(percent / 100, alone, company)]
            root = math.sqrt(statistics.fmean(log * log for log in logs))
            print(f"efficiency {percent / 100:.2f}: median {statistics.median(map(abs, logs)):.3f}, root mean square {root:.3f}")
        return
    sharing = MachineSharing(FREE_CORES, SLICE.value, GPU_EFFICIENCY.value, unified=False)
    print("| servers | alone, ms | together, ms | predicted, ms | error |\n|---|---|---|---|---|")
    for clients, times in company:
        predicted = simulated(clients, alone, sharing)
        names = " + ".join(f"{model.split('@')[0]} {phase}" for model, phase in clients)
        cells = [_list(alone[client] for client in clients), _list(times), _list(predicted)]
        errors = ", ".join(f"{100 * (one / two - 1):+.0f} %" for one, two in zip(predicted, times, strict=True))
        print(f"| {names} | {' | '.join(cells)} | {errors} |")
    found = _errors(GPU_EFFICIENCY.value, alone, company)
    print(f"\nmedian absolute error {100 * statistics.median(map(abs, found)):.1f} % of {len(found)} times")


def _list(seconds: Any) -> str:
    return ", ".join(f"{1e3 * one:.3g}" for one in seconds)


if __name__ == "__main__":
    main()
