"""The slots of one llama-server: which idle one a request takes, and what its cache still holds."""

from __future__ import annotations

from bisect import insort

from mmpredict.simulation.job import Job
from mmpredict.simulation.rewind import Rewind

SIMILARITY = 0.1
"""Part of a prompt that a slot's cache must hold for its sake to be chosen (``--slot-prompt-similarity``)."""

STORED_SIMILARITY = 0.25
"""Part of a prompt that a stored conversation must hold to be loaded."""

EVERYWHERE = Rewind()
"""Caches that hold every token can be cut off anywhere."""


class Slots:
    """Slots of a server.

    Args:
        count: how many [1].
        stored_cells: cells of overwritten conversations that main memory keeps (``--cache-ram``); copies to and fro take no time
            here, which is little beside evaluating the same tokens [tokens].
        rewind: what the cache lets the server go back to; servers with checkpoints can go back to some points more, which is not
            modelled.
    """

    def __init__(self, count: int, stored_cells: float = 0.0, rewind: Rewind = EVERYWHERE) -> None:
        self._stored_cells = stored_cells
        self._rewind = rewind
        self._stored: dict[str, int] = {}  # session → cells, the oldest first
        # Used longest ago first; of equally old ones llama-server takes the last.
        self.idle: list[tuple[float, int]] = [(-1.0, -number) for number in reversed(range(count))]
        self._used_s = [-1.0] * count
        self._cells = [0] * count  # after the last request [tokens]
        self._sessions = [""] * count  # whose they are, where it is the conversation's last state
        self.idle_cells = 0
        """Cells that idle slots still hold [tokens]."""
        self._slot_of: dict[str, int] = {}  # session → slot that holds it

    def take(self, job: Job) -> None:
        """Put a job into an idle slot, and take from the slot's cache what is there."""
        number = self._similar(job) if job.session else None
        if number is None:
            number = -self.idle.pop(0)[1]
        else:
            self.idle.remove((self._used_s[number], -number))
        self.idle_cells -= self._cells[number]
        session, cells = self._sessions[number], self._cells[number]
        if session and session == job.session:
            job.prefilled = job.row.cached_tokens = self._reusable(job, cells)
        elif session:
            del self._slot_of[session]
            if cells <= self._stored_cells:
                self._stored[session] = cells
        if job.session and job.session in self._stored:
            reused = self._reusable(job, self._stored[job.session])
            # what is stored must hold a quarter of the prompt, and more of it than the slot does
            if reused >= STORED_SIMILARITY * job.row.prompt_tokens and reused > job.prefilled:
                del self._stored[job.session]
                job.prefilled = job.row.cached_tokens = reused
        while self._stored and sum(self._stored.values()) > self._stored_cells:
            del self._stored[next(iter(self._stored))]
        self._sessions[number] = ""
        job.row.slot = number

    def release(self, job: Job, now_s: float) -> None:
        """A job has its last token; its cells stay until another request takes the slot."""
        number = job.row.slot
        self._used_s[number] = now_s
        self._cells[number] = job.row.prompt_tokens + job.row.output_tokens - 1
        self.idle_cells += self._cells[number]
        insort(self.idle, (now_s, -number))
        if job.session:
            elsewhere = self._slot_of.get(job.session, number)
            if elsewhere != number:
                self._sessions[elsewhere] = ""  # an older state of the conversation
            self._sessions[number] = job.session
            self._slot_of[job.session] = number

    def _similar(self, job: Job) -> int | None:
        """The idle slot that holds enough of the prompt's beginning."""
        number = self._slot_of.get(job.session)
        if number is None or (self._used_s[number], -number) not in self.idle:
            return None
        return number if min(job.shared_tokens, self._cells[number]) > SIMILARITY * job.row.prompt_tokens else None

    def _reusable(self, job: Job, cells: int) -> int:
        """Prompt tokens that need no evaluation; the last one always does [tokens]."""
        return self._rewind.reusable(min(job.shared_tokens, cells, job.row.prompt_tokens - 1), cells)
