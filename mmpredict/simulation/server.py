"""A llama-server by its own rules (llama.cpp ``tools/server/server-context.cpp`` and ``server-queue.cpp``, commit 0c1e57098).

- A request takes an idle slot, or waits in a first-in-first-out queue for one: the slot whose cache holds the longest beginning
  of its prompt, if that is more than a tenth of it, else the one used longest ago.
- Every step evaluates one token of each decoding slot and then prompt tokens, slots in order of their number, greedily until
  the batch is full. Requests that arrive during a step are seen at its end.
- The first token of a request is sampled by the last step of its prompt.

A server that had nothing to do begins with a slower batch: caches have been used by others meanwhile (``StepPrices.rested_s``).
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable
from typing import Any

import simpy

from mmpredict.cost.prices import plain_passes
from mmpredict.cost.server_cost import ServerCost
from mmpredict.simulation.decoding import Decoding
from mmpredict.simulation.job import Job
from mmpredict.simulation.machine import Activity, Machine
from mmpredict.simulation.passes import Split, equal_passes
from mmpredict.simulation.rewind import Rewind
from mmpredict.simulation.slots import EVERYWHERE, Slots


class LlamaServer:
    """One loaded instance that serves requests.

    Args:
        env: SimPy environment.
        machine: where it runs.
        cost: what its steps cost alone, and what they ask of the machine.
        slots: sequences at a time [1].
        batch_tokens: largest batch [tokens].
        split: how its batches are divided into passes.
        finished: called with every job that has its last token.
        stored_cells, rewind: see ``Slots``.
    """

    def __init__(
        self,
        env: simpy.Environment,
        machine: Machine,
        cost: ServerCost,
        slots: int,
        batch_tokens: int,
        split: Split,
        finished: Callable[[Job], None],
        stored_cells: float = 0.0,
        rewind: Rewind = EVERYWHERE,
    ) -> None:
        self._env = env
        self._machine = machine
        self._cost = cost
        self._prices = cost.prices
        self._batch_tokens = batch_tokens
        self._split = split
        self._finished = finished
        self._slots = Slots(slots, stored_cells, rewind)
        self._queue: deque[Job] = deque()
        self._prompts: list[tuple[int, Job]] = []  # by number of the slot
        self._decoding = Decoding(cost.prices, split)
        self._run: Activity | None = None
        self._run_steps = 0
        self._pieces: list[tuple[Job, int]] = []
        self._idle, self._idle_since_s = True, env.now
        self._rested_s = 0.0
        self.worked_s = 0.0
        """Work done so far, alone on the machine [s]."""

    def submit(self, job: Job, wake_s: float = 0.0) -> None:
        """A request comes in; a server that is idle begins ``wake_s`` later [s]."""
        self._queue.append(job)
        if self._idle:
            self._idle = False  # others that come until it begins share its first batch
            self._env.timeout(wake_s).callbacks.append(self._wake)
        elif self._run is not None and self._run_steps > 1 and self._slots.idle:
            self._shorten()

    def _wake(self, _: Any) -> None:
        self._rested_s = self._prices.rested_s(self._env.now - self._idle_since_s)
        self._step()

    def _step(self) -> None:
        """Begin the next stretch of work, if there is any."""
        while self._queue and self._slots.idle:
            job = self._queue.popleft()
            self._slots.take(job)
            insort(self._prompts, (job.row.slot, job))
        if self._prompts:
            self._begin_batch()
        elif self._decoding.count:
            self._begin_run()
        else:
            self._idle, self._idle_since_s = True, self._env.now

    def _begin_batch(self) -> None:
        decoding, prices = self._decoding, self._prices
        room = self._batch_tokens - decoding.count
        sampled = total = decoding.count
        solo_s = decoding.seen_in_batch_s() if total else self._rested_s
        self._rested_s = 0.0
        taken: list[tuple[Job, int]] = []
        for _, job in self._prompts:
            if room <= 0:
                break
            row = job.row
            left = row.prompt_tokens - job.prefilled
            tokens = left if left < room else room
            room -= tokens
            total += tokens
            taken.append((job, tokens))
            if row.prefill_start_s != row.prefill_start_s:  # not begun
                row.prefill_start_s = self._env.now
                job.solo_s = self.worked_s
                solo_s += prices.begun_s
            solo_s += prices.piece_s(job.prefilled, tokens)
            sampled += tokens == left
        passes = 1
        if total <= prices.ubatch_tokens and self._split == "simple":
            solo_s += prices.batch_pass_s(total, sampled)
        else:
            parts = self._parts(taken, total)
            passes = len(parts)
            solo_s += prices.passes_s(parts, sampled)
        if prices.masked_batch_s and self._split == "simple":
            solo_s += prices.masked_batch_s * self._masked(taken, total)
        self._pieces = taken
        self._machine.start(self._cost.demand("prefill", solo_s, passes, sampled or 1), self._end_batch)

    def _masked(self, taken: list[tuple[Job, int]], total: int) -> float:
        """Cells of other sequences that the tokens of a batch pass over, summed over the tokens."""
        decoding = self._decoding
        own = decoding.cells + decoding.count
        pool, seen = own + self._slots.idle_cells, own
        for job, tokens in taken:
            pool += tokens
            seen += tokens * (job.prefilled + tokens)
        for _, job in self._prompts:
            pool += job.prefilled
        return total * pool - seen

    def _parts(self, taken: list[tuple[Job, int]], total: int) -> list[int]:
        """Tokens of the passes of a batch."""
        if self._split == "simple":
            return plain_passes(total, self._prices.ubatch_tokens)
        of_slots = dict.fromkeys(self._decoding.slots, 1) | {job.row.slot: tokens for job, tokens in taken}
        return equal_passes(of_slots, self._prices.ubatch_tokens, self._split == "sequential")

    def _end_batch(self, activity: Activity) -> None:
        self.worked_s += activity.demand.solo_s
        decoding = self._decoding
        if decoding.count:
            decoding.steps += 1
        ended = decoding.finished() if decoding.count else []
        now_s = self._env.now
        for job, tokens in self._pieces:
            job.prefilled += tokens
            row = job.row
            if not row.prompt_tokens - job.prefilled:
                self._prompts.remove((row.slot, job))
                row.first_token_s = now_s
                row.prefill_slowdown = _ratio(now_s - row.prefill_start_s, self.worked_s - job.solo_s)
                job.solo_s = self.worked_s
                if row.output_tokens > 1:
                    decoding.add(job, row.output_tokens - 1)
                else:
                    ended.append(job)
        if len(ended) > 1:
            ended.sort(key=_slot)
        for job in ended:
            self._release(job)
        self._step()

    def _begin_run(self) -> None:
        self._decoding.beside(self._slots.idle_cells)
        steps = self._decoding.steps_left
        self._run_steps = steps
        self._run = self._machine.start(
            self._cost.demand("decode", self._decoding.run_s(steps), steps, self._decoding.count), self._end_run
        )

    def _end_run(self, activity: Activity) -> None:
        self.worked_s += activity.target_s
        self._run = None
        decoding = self._decoding
        decoding.steps += self._run_steps
        for job in decoding.finished():
            self._release(job)
        self._step()

    def _shorten(self) -> None:
        """End the run after the step that is under way, so that a new request is seen there."""
        run = self._run
        assert run is not None
        steps = self._decoding.steps_within(self._machine.progress_s(run), self._run_steps)
        if steps < self._run_steps:
            self._run_steps = steps
            self._machine.end_at(run, self._decoding.run_s(steps))

    def _release(self, job: Job) -> None:
        row = job.row
        row.finish_s = self._env.now
        row.decode_slowdown = _ratio(row.finish_s - row.first_token_s, self.worked_s - job.solo_s)
        self._slots.release(job, self._env.now)
        self._finished(job)


def _slot(job: Job) -> int:
    return job.row.slot


def _ratio(taken_s: float, alone_s: float) -> float:
    return taken_s / alone_s if alone_s > 0.0 else 1.0
