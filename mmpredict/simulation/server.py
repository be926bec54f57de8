"""A llama-server with a unified KV cache, by its own rules (llama.cpp ``tools/server/server-context.cpp``).

- A request takes the idle slot that was used longest ago, or waits in a first-in-first-out queue for one.
- Every step evaluates one token of each decoding slot and then prompt tokens, slots in order of their number, greedily until
  the batch is full. Requests that arrive during a step are seen at its end.
- The first token of a request is sampled by the last step of its prompt.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import simpy

from mmpredict.cost.chain import InstanceCost
from mmpredict.cost.contention import Demand, Phase
from mmpredict.cost.step import PromptPiece
from mmpredict.results.columns import RequestRow
from mmpredict.simulation.machine import Activity, Machine


@dataclass(slots=True)
class Slot:
    """One sequence of a server."""

    number: int
    used_s: float = -1.0
    job: Job | None = None


@dataclass(slots=True, eq=False)
class Job:
    """A request inside a server."""

    row: RequestRow
    finished: Any
    prefilled: int = 0
    generated: int = 0

    @property
    def depth(self) -> int:
        """Cells of its sequence [tokens]."""
        return self.prefilled + max(0, self.generated - 1)

    @property
    def prompt_left(self) -> int:
        """Prompt tokens not yet evaluated [tokens]."""
        return self.row.prompt_tokens - self.prefilled


class LlamaServer:
    """One loaded instance that serves requests.

    Args:
        env: SimPy environment.
        machine: where it runs.
        cost: what its steps cost alone.
        slots: sequences at a time [1].
        batch_tokens: largest batch [tokens].
        stacked: whether its threads fall onto one core in company.
    """

    def __init__(
        self, env: simpy.Environment, machine: Machine, cost: InstanceCost, slots: int, batch_tokens: int, stacked: bool
    ) -> None:
        self._env = env
        self._machine = machine
        self._cost = cost
        self._batch_tokens = batch_tokens
        self._stacked = stacked
        self._slots = [Slot(number) for number in range(slots)]
        self._queue: deque[Job] = deque()
        self._arrival = env.event()
        self._decoding: tuple[Activity, list[Job], int] | None = None
        env.process(self._serve())

    def submit(self, row: RequestRow) -> Any:
        """Hand a request in; returns an event that fires when its last token is out. Fills the row's times."""
        job = Job(row, self._env.event())
        self._queue.append(job)
        if not self._arrival.triggered:
            self._arrival.succeed()
        if self._decoding is not None and any(slot.job is None for slot in self._slots):
            self._shorten_decoding(*self._decoding)
        return job.finished

    def _serve(self) -> Any:
        while True:
            self._admit()
            jobs = [slot.job for slot in self._slots if slot.job is not None]
            if not jobs:
                self._arrival = self._env.event()
                yield self._arrival
            elif any(job.prompt_left for job in jobs):
                yield from self._prefill_step(jobs)
            else:
                yield from self._decode_run(jobs)

    def _admit(self) -> None:
        idle = [slot for slot in self._slots if slot.job is None]
        while self._queue and idle:
            # llama-server takes the last of equally old slots
            slot = min(idle, key=lambda candidate: (candidate.used_s, -candidate.number))
            idle.remove(slot)
            slot.job = self._queue.popleft()
            slot.job.row.slot = slot.number

    def _prefill_step(self, jobs: list[Job]) -> Any:
        decoding = [job for job in jobs if not job.prompt_left]
        room = self._batch_tokens - len(decoding)
        pieces: list[tuple[Job, PromptPiece]] = []
        for job in jobs:
            tokens = min(room, job.prompt_left)
            if tokens > 0:
                pieces.append((job, PromptPiece(job.prefilled, tokens, tokens == job.prompt_left)))
                room -= tokens
                if job.prefilled == 0:
                    job.row.prefill_start_s = self._env.now
        solo_s = self._cost.batch_s([job.depth for job in decoding], [piece for _, piece in pieces])
        total = len(decoding) + sum(piece.tokens for _, piece in pieces)
        activity = self._machine.start(self._demand("prefill", solo_s, self._cost.passes(total)))
        yield activity.done
        for job, piece in pieces:
            job.prefilled += piece.tokens
            if piece.last:
                job.row.first_token_s = self._env.now
                job.generated = 1
        for job in decoding:
            job.generated += 1
        self._release(jobs)

    def _decode_run(self, jobs: list[Job]) -> Any:
        steps = min(job.row.output_tokens - job.generated for job in jobs)
        solo_s = self._cost.decode_s([job.depth for job in jobs], steps)
        activity = self._machine.start(self._demand("decode", solo_s, steps))
        self._decoding = (activity, jobs, steps)
        yield activity.done
        done_steps = self._decoding[2]
        self._decoding = None
        for job in jobs:
            job.generated += done_steps
        self._release(jobs)

    def _shorten_decoding(self, activity: Activity, jobs: list[Job], steps: int) -> None:
        """End the run after the step that is under way, so that a new request is seen there."""
        done_s = self._machine.progress_s(activity)
        depths = [job.depth for job in jobs]
        low, high = 0, steps  # smallest number of steps whose work is not yet exceeded
        while low < high:
            middle = (low + high) // 2
            if self._cost.decode_s(depths, middle) < done_s:
                low = middle + 1
            else:
                high = middle
        ending = max(1, low)
        if ending < steps:
            self._decoding = (activity, jobs, ending)
            self._machine.end_at(activity, self._cost.decode_s(depths, ending))

    def _release(self, jobs: list[Job]) -> None:
        for slot in self._slots:
            job = slot.job
            if job is not None and job in jobs and job.generated >= job.row.output_tokens:
                job.row.finish_s = self._env.now
                slot.job = None
                slot.used_s = self._env.now
                job.finished.succeed()

    def _demand(self, phase: Phase, solo_s: float, passes: int) -> Demand:
        layers = float(passes * self._cost.spec.shape.n_trunk_layers)
        return Demand(phase, self._cost.threads, self._cost.yielding, solo_s, layers, self._stacked)
