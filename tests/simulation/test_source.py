"""Requests come at their time, or after those that they wait for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import simpy
from test_queues import MEAN_STEPS, STEP_S, SameSteps
from test_server import FAIR, Cost

from mmpredict.errors import InputError
from mmpredict.results.columns import RequestRow
from mmpredict.simulation.job import Job
from mmpredict.simulation.machine import Machine
from mmpredict.simulation.server import LlamaServer
from mmpredict.simulation.source import Source
from mmpredict.workload.request import Request


def arrivals(requests: list[Request], takes_s: float = 2.0) -> dict[str, float]:
    """When requests come if each takes some time, whatever others do."""
    env = simpy.Environment()
    found: dict[str, float] = {}

    def arrive(request: Request, arrival_s: float) -> None:
        assert arrival_s == env.now
        found[request.id] = arrival_s
        env.timeout(takes_s).callbacks.append(lambda _: source.finished(request.id))

    source = Source(env, requests, arrive, follow=True)
    env.run()
    assert source.arrived == len(requests) and not source.waiting
    return found


def test_requests_come_at_their_time() -> None:
    assert arrivals([Request("a", "m", 1, 1, 0.5), Request("b", "m", 1, 1, 0.5), Request("c", "m", 1, 1, 7.0)]) == {
        "a": 0.5,
        "b": 0.5,
        "c": 7.0,
    }


def test_a_request_comes_its_delay_after_the_last_of_those_it_waits_for() -> None:
    first = [Request("a", "m", 1, 1, 0.0), Request("b", "m", 1, 1, 1.0)]
    assert arrivals([*first, Request("c", "m", 1, 1, 1.0, after=("a", "b"), delay_s=4.0)])["c"] == 3.0 + 4.0
    assert arrivals([*first, Request("c", "m", 1, 1, 9.0, after=("a",), delay_s=4.0)])["c"] == 9.0, "and not before its time"
    assert arrivals([*first, Request("c", "m", 1, 1, 5.0, after=("a",), delay_s=10.0)])["c"] == 12.0, "although it is read late"


def test_a_stream_that_says_nothing_follows_nothing() -> None:
    env = simpy.Environment()
    Source(env, [Request("a", "m", 1, 1), Request("b", "m", 1, 1, after=("a",))], lambda request, arrival_s: None, follow=False)
    with pytest.raises(InputError, match="'b' waits for others"):
        env.run()


def test_users_who_think_are_the_machines_of_the_repairman() -> None:
    # N users, exponential thinking of mean Z, one slot, exponential service of mean S: the throughput has a closed form.
    users, think_s, rounds = 6, 4.0, 3000
    mean_s = MEAN_STEPS * STEP_S
    ratio = mean_s / think_s
    weights = [math.factorial(users) / math.factorial(users - n) * ratio**n for n in range(users + 1)]
    expected_per_s = (1 - weights[0] / sum(weights)) / mean_s
    random = np.random.default_rng(5)
    thinks = random.exponential(think_s, (rounds, users))
    steps = np.maximum(1, np.round(random.exponential(MEAN_STEPS, (rounds, users)))).astype(int)
    requests = [
        Request(
            f"{user}.{turn}",
            "m",
            1,
            int(steps[turn, user]),
            after=(f"{user}.{turn - 1}",) if turn else (),
            delay_s=float(thinks[turn, user]) if turn else 0.0,
        )
        for turn in range(rounds)
        for user in range(users)
    ]
    env = simpy.Environment()
    rows: list[RequestRow] = []

    def done(job: Job) -> None:
        rows.append(job.row)
        source.finished(job.row.request)

    server = LlamaServer(env, Machine(env, FAIR), Cost(SameSteps()), 1, 1_000_000, "simple", done)
    source = Source(
        env,
        requests,
        lambda request, arrival_s: server.submit(Job(RequestRow(request.id, "m", "m", arrival_s, 1, request.output_tokens))),
        follow=True,
    )
    env.run()
    per_s = len(rows) / max(row.finish_s for row in rows)
    print(f"repairman: {per_s:.4f} requests/s, by the closed form {expected_per_s:.4f}")
    assert per_s == pytest.approx(expected_per_s, rel=0.03)
