"""Queues whose waits have closed forms: a server whose steps take the same whatever is in them is a queue with many tills."""

from __future__ import annotations

import math

import numpy as np
import pytest
import simpy
from test_server import FAIR, Cost

from mmpredict.cost.prices import StepPrices
from mmpredict.results.columns import RequestRow
from mmpredict.simulation.job import Job
from mmpredict.simulation.machine import Machine
from mmpredict.simulation.server import LlamaServer

STEP_S = 0.001
MEAN_STEPS = 1000
CUSTOMERS = 20_000


class SameSteps(StepPrices):
    """Every step takes a millisecond."""

    def __init__(self) -> None:
        super().__init__(1_000_000)

    def piece_s(self, start: int, tokens: int) -> float:
        return 0.0

    def _price_decode_pass(self, sequences: int) -> float:
        return STEP_S

    def _price_batch_pass(self, tokens: int, sampled: int) -> float:
        return STEP_S


def erlang_c(tills: int, load: float) -> float:
    """Probability that a customer of an M/M/c queue waits; ``load`` of each till."""
    offered = tills * load
    busy = offered**tills / math.factorial(tills) / (1 - load)
    return busy / (sum(offered**n / math.factorial(n) for n in range(tills)) + busy)


@pytest.mark.parametrize(("slots", "load"), [(1, 0.5), (1, 0.8), (2, 0.7), (4, 0.8), (8, 0.9)])
def test_slots_are_the_tills_of_an_m_m_c_queue(slots: int, load: float) -> None:
    random = np.random.default_rng(slots)
    mean_s = MEAN_STEPS * STEP_S
    arrivals = np.cumsum(random.exponential(mean_s / (slots * load), CUSTOMERS))
    steps = np.maximum(1, np.round(random.exponential(MEAN_STEPS, CUSTOMERS))).astype(int)
    env = simpy.Environment()
    rows: list[RequestRow] = []
    server = LlamaServer(env, Machine(env, FAIR), Cost(SameSteps()), slots, 1_000_000, "simple", lambda job: rows.append(job.row))
    for number, (arrival_s, count) in enumerate(zip(arrivals, steps, strict=True)):
        row = RequestRow(str(number), "m", "m", float(arrival_s), 1, int(count))
        env.timeout(float(arrival_s)).callbacks.append(lambda _, row=row: server.submit(Job(row)))  # type: ignore[misc]
    env.run()
    waits = np.array([row.prefill_start_s - row.arrival_s for row in rows])
    spans = np.array([row.finish_s - row.prefill_start_s for row in rows])
    # Served alone or together, a request takes its own steps.
    assert spans == pytest.approx(STEP_S * np.array([row.output_tokens for row in rows]), rel=1e-6)
    expected_s = erlang_c(slots, load) * mean_s / (slots * (1 - load))
    # A request waits for the end of the step under way, half a millisecond; the rest is luck, by batch means.
    means = waits.reshape(20, -1).mean(axis=1)
    error_s = float(means.std(ddof=1)) / math.sqrt(len(means))
    print(
        f"M/M/{slots} at {load:.0%}: mean wait {waits.mean():.3f} s, by Erlang {expected_s:.3f} s, standard error {error_s:.3f} s"
    )
    assert abs(waits.mean() - STEP_S / 2 - expected_s) < 4 * error_s + STEP_S
