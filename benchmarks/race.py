"""A race against another serving simulator on the same physics: its request list, its table of step times, llama-server's rules.

Run with ``python benchmarks/race.py STEP_TIMES.csv REQUESTS.csv [REQUESTS.csv …]``. The table has ``phase, batch, kv_or_chunk,
kv_before, step_ms``, the lists ``arrived_at, num_prefill_tokens, num_decode_tokens`` and the other simulator's ``ttft_s, e2e_s``.
Printed: requests per second of wall time (best of several runs), peak memory, and both simulators' latencies; theirs follow
other rules (vLLM's), so these need not agree.
"""

from __future__ import annotations

import argparse
import csv
import resource
import time
from bisect import bisect_left
from pathlib import Path

import numpy as np

from mmpredict.cost.contention import Contention, Demand, Phase
from mmpredict.cost.memory import MemoryParts
from mmpredict.cost.prices import StepPrices
from mmpredict.models.catalog import uniform_spec
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.results.request_table import RequestTable
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.simulation.run import simulate_stream
from mmpredict.workload.request import Request

SLOTS = 128
BATCH_TOKENS = 2048
RUNS = 5
SPEC = uniform_spec("llama2-7b", weight_type("f16"))  # only its name counts: prices come from the table


class TablePrices(StepPrices):
    """A table of step times: a price per number of sequences, interpolated, and one per cell.

    Args:
        path: the table.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(BATCH_TOKENS)
        with path.open(newline="") as file:
            rows = [{k: v if k == "phase" else float(v) for k, v in row.items()} for row in csv.DictReader(file)]
        decode = [(r["batch"], r["kv_or_chunk"], r["step_ms"] / 1e3) for r in rows if r["phase"] == "decode"]  # type: ignore[operator]
        prefill = [(r["kv_or_chunk"], r["kv_before"], r["step_ms"] / 1e3) for r in rows if r["phase"] == "prefill"]  # type: ignore[operator]
        cell_s, self._decode_knots = _separate(decode, [batch * kv for batch, kv, _ in decode])
        self._prompt_cell_s, self._prefill_knots = _separate(prefill, [n * before + n * n / 2 for n, before, _ in prefill])
        self.limits, self.decode_cell_s, self.batch_cell_s = (float("inf"),), (cell_s,), (cell_s,)

    def piece_s(self, start: int, tokens: int) -> float:
        return self._prompt_cell_s * (tokens * start + tokens * tokens / 2)

    def _price_decode_pass(self, sequences: int) -> float:
        return _between(self._decode_knots, sequences)

    def _price_batch_pass(self, tokens: int, sampled: int) -> float:
        return _between(self._prefill_knots, tokens)


def _separate(rows: list[tuple[float, float, float]], cells: list[float]) -> tuple[float, list[tuple[float, float]]]:
    """A common price per cell and a time per number of tokens, by least squares of the relative error."""
    numbers = sorted({row[0] for row in rows})
    times = np.array([row[2] for row in rows])
    matrix = np.zeros((len(rows), 1 + len(numbers)))
    matrix[:, 0] = cells
    for position, row in enumerate(rows):
        matrix[position, 1 + numbers.index(row[0])] = 1.0
    found = np.linalg.lstsq(matrix / times[:, None], np.ones(len(rows)), rcond=None)[0]
    errors = np.abs(matrix @ found / times - 1)
    print(f"step table: {len(rows)} rows, error of separate prices: median {np.median(errors):.1%}, largest {errors.max():.1%}")
    return float(found[0]), list(zip(numbers, map(float, found[1:]), strict=True))


def _between(knots: list[tuple[float, float]], number: float) -> float:
    position = min(max(1, bisect_left(knots, (number,))), len(knots) - 1)
    (low, low_s), (high, high_s) = knots[position - 1], knots[position]
    return low_s + (number - low) / (high - low) * (high_s - low_s)


class Server:
    """A server of those prices; it takes no time to load."""

    memory, program_bytes, device_bytes, stacked, unload_s = MemoryParts(), 0.0, 0.0, False, 0.0

    def __init__(self, prices: StepPrices) -> None:
        self.prices = prices

    def load_s(self, cold: bool) -> float:
        return 0.0

    def load_demand(self, solo_s: float, cold: bool) -> Demand:
        return Demand("load", 1, False, solo_s, 0.0, False)

    def demand(self, phase: Phase, solo_s: float, passes: int, sequences: int) -> Demand:
        return Demand(phase, 1, False, solo_s, float(passes), False)


class Machine:
    """A machine that has nothing but that server."""

    sharing = Contention(1, 1.0, 1.0, 1.0, 1.0, 0.0)
    request_s = latency_s = 0.0

    def __init__(self, prices: StepPrices) -> None:
        self._server = Server(prices)

    @staticmethod
    def lateness() -> float:
        return 0.0

    def instance(self, *_: object, **__: object) -> Server:
        return self._server

    def stacked(self, spinning: object) -> set[str]:
        return set()


def race(table: Path, requests: Path) -> None:
    """One list."""
    with requests.open(newline="") as file:
        rows = list(csv.DictReader(file))
    asked = [
        Request(str(number), "m", int(row["num_prefill_tokens"]), int(row["num_decode_tokens"]), float(row["arrived_at"]))
        for number, row in enumerate(rows)
    ]
    largest = SLOTS * max(request.prompt_tokens + request.output_tokens for request in asked)
    instance = InstancePlan("m", "m", 1, context_tokens=largest, slots=SLOTS, batch_tokens=BATCH_TOKENS, ubatch_tokens=BATCH_TOKENS)
    plan = Plan("race", (instance,), (Stage(("m",)),))
    machine = Machine(TablePrices(table))
    walls, found = [], RequestTable()
    for _ in range(RUNS):
        begin = time.perf_counter()
        found = simulate_stream(plan, iter(asked), {"m": SPEC}, machine, 80e9)
        walls.append(time.perf_counter() - begin)
    tokens = int(found.tokens("output_tokens").sum())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{requests.name}: {len(asked)} requests in {min(walls):.3f} s (runs: {', '.join(f'{wall:.3f}' for wall in walls)})")
    print(f"  {len(asked) / min(walls):,.0f} requests/s, {tokens / min(walls):,.0f} output tokens/s, peak memory {peak:.0f} MiB")
    ttft = found.times_s("first_token_s") - found.times_s("arrival_s")
    e2e = found.times_s("finish_s") - found.times_s("arrival_s")
    for name, mine, column in (("TTFT", ttft, "ttft_s"), ("e2e", e2e, "e2e_s")):
        theirs = np.array([float(row[column]) for row in rows])
        print(f"  {name} median {np.median(mine):.3f} s, 95th percentile {np.quantile(mine, 0.95):.3f} s", end="")
        print(f"; theirs {np.median(theirs):.3f} and {np.quantile(theirs, 0.95):.3f} s")


def main() -> None:
    """Race every list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("requests", type=Path, nargs="+")
    given = parser.parse_args()
    for requests in given.requests:
        race(given.table, requests)


if __name__ == "__main__":
    main()
