"""Sequences that decode in lock step, a token each per step: what a run of such steps takes, in closed form."""

from __future__ import annotations

import math
from heapq import heappop, heappush

from mmpredict.cost.piece import cells_seen
from mmpredict.cost.prices import StepPrices
from mmpredict.simulation.job import Job
from mmpredict.simulation.passes import Split, equal_passes


class Decoding:
    """The decoding sequences of one server.

    Depths are kept relative to the steps made, so that a step changes one number, however many sequences there are. Without
    windows what attention sees depends on the sum of the depths alone.

    Args:
        prices: of the server's steps.
        split: how batches are divided into passes.
    """

    def __init__(self, prices: StepPrices, split: Split = "simple") -> None:
        self._prices = prices
        self._split = split
        self._windowed = any(math.isfinite(limit) for limit in prices.limits)
        self._cell_s = sum(prices.decode_cell_s)
        self._batch_cell_s = sum(prices.batch_cell_s)
        self._all_s = 0.0  # per cell of all sequences together
        self._ends: list[tuple[int, int, Job]] = []
        self._base_sum = 0
        self._pass_s = 0.0
        self._others = 0
        self._masked_s = prices.masked_decode_s if split == "simple" else 0.0
        self.count = 0
        self.steps = 0

    @property
    def cells(self) -> int:
        """Cells of the sequences [tokens]."""
        return self._base_sum + self.count * self.steps

    def beside(self, others: int) -> None:
        """``others`` cells of the same cache belong to slots that do not decode [tokens]."""
        if others != self._others and self._masked_s:
            self._others = others
            self._reprice()

    @property
    def slots(self) -> list[int]:
        """Slots of the sequences, in their order."""
        return sorted(slot for _, slot, _ in self._ends)

    @property
    def steps_left(self) -> int:
        """Steps until the first sequence has all its tokens [1]."""
        return self._ends[0][0] - self.steps

    def add(self, job: Job, tokens_left: int) -> None:
        """A sequence whose prompt is done and whose first token is sampled begins; it has 1 or more tokens to come."""
        job.base = job.row.prompt_tokens - self.steps
        job.ends_at = self.steps + tokens_left
        heappush(self._ends, (job.ends_at, job.row.slot, job))
        self._base_sum += job.base
        self.count += 1
        self._reprice()

    def finished(self) -> list[Job]:
        """Take out the sequences that have all their tokens, in order of their slots."""
        ends, done = self._ends, []
        while ends and ends[0][0] <= self.steps:
            job = heappop(ends)[2]
            self._base_sum -= job.base
            done.append(job)
        if done:
            self.count -= len(done)
            self._reprice()
        return done

    def run_s(self, steps: int) -> float:
        """What the next ``steps`` steps take alone on the machine [s]."""
        cells = self.cells + self.count * (steps + 1) / 2  # in the mean of the steps
        if not self._windowed:
            return steps * (self._pass_s + self._all_s * cells)
        seen_s = steps * self._all_s * cells
        for limit, price in zip(self._prices.limits, self._prices.decode_cell_s, strict=True):
            seen_s += price * sum(cells_seen(job.base + self.steps, steps, limit) for _, _, job in self._ends)
        return steps * self._pass_s + seen_s

    def steps_within(self, work_s: float, steps: int) -> int:
        """Smallest number of steps, at least 1 and at most ``steps``, that take ``work_s`` or longer."""
        low, high = 1, steps
        if not self._windowed:  # a quadratic has a root: the answer is it or a neighbour, should rounding have it so
            square = self._all_s * self.count / 2
            linear = self._pass_s + self._all_s * self.cells + square
            root = 2 * work_s / (linear + math.sqrt(linear * linear + 4 * square * work_s)) if work_s > 0 else 0.0
            low, high = max(1, min(steps, int(root) - 1)), min(steps, int(root) + 2)
        while low < high:
            middle = (low + high) // 2
            if self.run_s(middle) < work_s:
                low = middle + 1
            else:
                high = middle
        return low

    def seen_in_batch_s(self) -> float:
        """What attention of a token of each costs in a batch with prompts [s]."""
        if not self._windowed:
            return self._batch_cell_s * (self._base_sum + self.count * (self.steps + 1))
        return sum(
            price * min(job.base + self.steps + 1, limit)
            for limit, price in zip(self._prices.limits, self._prices.batch_cell_s, strict=True)
            for _, _, job in self._ends
        )

    def _reprice(self) -> None:
        # Of all cells of the cache a token passes over those that are not its own: n · (others + Σ depths) − Σ depths.
        masked_s = self._masked_s * (self.count - 1)
        self._all_s = masked_s if self._windowed else self._cell_s + masked_s
        if not self.count:
            self._pass_s = 0.0
        elif self._split != "sequential":
            self._pass_s = self._prices.decode_pass_s(self.count) + self._masked_s * self.count * self._others
        else:
            passes = equal_passes(dict.fromkeys(self.slots, 1), self._prices.ubatch_tokens, True)
            self._pass_s = sum(map(self._prices.decode_pass_s, passes))
