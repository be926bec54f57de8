"""Measuring servers in company: two at once, within the cores and beyond them, and one whose threads share too few cores."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from mmpredict.calibrate.bench import Bench, Phase, together
from mmpredict.calibrate.measurement import Measurement
from mmpredict.calibrate.protocol import Protocol
from mmpredict.live.server_process import ServerProcess
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import YIELDING_SPINCOUNT, InstancePlan

PHASES: tuple[Phase, ...] = ("prefill", "decode")
WITHIN = "within"
"""Set-up in which every thread has a core of its own."""
GIVE_UP_S = 20.0  # a stacked server needs seconds per token
STACKED_STEPS = 3


@dataclass(frozen=True, slots=True)
class SetUp:
    """Name in the measurements, threads and waiting rule of both servers of a pair, and what they do at the same time."""

    name: str
    threads: int
    spincount: int | None
    episodes: int
    together: Sequence[tuple[Phase, Phase]] = tuple((phase, phase) for phase in PHASES)


def set_ups(cores: int, protocol: Protocol) -> list[SetUp]:
    """The pairs to measure on a machine; with one core there is no server of several threads, and no such pair."""
    if cores < 2:
        return []
    return [
        SetUp(WITHIN, cores // 2, None, protocol.within_episodes, tuple(itertools.product(PHASES, PHASES))),
        SetUp("yielding", cores, YIELDING_SPINCOUNT, protocol.yielding_episodes),
        SetUp("spinning", cores, None, protocol.spinning_episodes),
    ]


Start = Callable[[InstancePlan], ServerProcess]


def measure_company(
    pair: Sequence[ModelSpec], set_up: SetUp, start: Start, alone_s: float, company_s: float
) -> Iterator[Measurement]:
    """Speed of both servers in company relative to alone, in the phases of the set-up; every episode with fresh servers."""
    alone: dict[tuple[str, Phase], float] = {}
    for episode in range(set_up.episodes):
        with ExitStack() as stack:
            benches = []
            for spec in pair:
                server = stack.enter_context(start(InstancePlan(spec.name, spec.name, set_up.threads, set_up.spincount)))
                benches.append(stack.enter_context(closing(Bench(server.url, spec.shape.n_vocab, seed=1000 * episode))))
            for phases in set_up.together:
                for spec, bench, phase in zip(pair, benches, phases, strict=True):
                    if (spec.name, phase) not in alone:
                        bench.speed(phase, 0.2)
                        alone[spec.name, phase] = bench.speed(phase, alone_s)
                speeds = together([_watch(bench, phase, company_s) for bench, phase in zip(benches, phases, strict=True)])
                for spec, speed, phase, beside in zip(pair, speeds, phases, reversed(phases), strict=True):
                    values: dict[str, float | int | str] = {
                        "set_up": set_up.name,
                        "phase": phase,
                        "beside": beside,
                        "episode": episode,
                        "total_threads": set_up.threads * len(pair),
                        "alone_tokens_per_s": alone[spec.name, phase],
                        "speed_frac": speed / alone[spec.name, phase],
                    }
                    yield Measurement("company", spec.name, set_up.threads, set_up.spincount, values)


def _watch(bench: Bench, phase: Phase, duration_s: float) -> Callable[[], float]:
    return lambda: bench.speed(phase, duration_s, GIVE_UP_S)


def measure_stacked(spec: ModelSpec, cores: int, start: Start) -> Iterator[Measurement]:
    """Decode of a spinning server before and after its threads are confined to half of the cores.

    The confinement comes after the start: GNU OpenMP counts the cores it may use once, and would otherwise yield.
    """
    if cores < 2 or not hasattr(os, "sched_setaffinity") or not Path("/proc/self/task").is_dir():
        return
    with start(InstancePlan(spec.name, spec.name, cores)) as server, closing(Bench(server.url, spec.shape.n_vocab)) as bench:
        bench.speed("decode", 0.2)
        alone = bench.speed("decode", 0.5)
        allowed = sorted(os.sched_getaffinity(0))[: cores // 2]
        for task in Path(f"/proc/{server.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), allowed)
        run = bench.decode(1, 1, STACKED_STEPS)
    if run.steps:
        values: dict[str, float | int | str] = {"steps": run.steps, "duration_s": run.duration_s, "solo_s": run.steps / alone}
        yield Measurement("stacked", spec.name, cores, None, values)
