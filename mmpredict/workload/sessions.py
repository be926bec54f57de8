"""Conversations: every turn sends again what was said before, and finds its beginning in a cache."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmpredict.errors import InputError
from mmpredict.workload.assignment import Assignment
from mmpredict.workload.distributions import Distribution, draws
from mmpredict.workload.interleave import interleave
from mmpredict.workload.lengths import Lengths
from mmpredict.workload.request import MAX_TOKENS, Request
from mmpredict.workload.retention import Everything, Retention, Segment, Turn, common_tokens, total_tokens
from mmpredict.workload.source import Source, Starts

if TYPE_CHECKING:
    import numpy as np

MAX_TURNS = 10_000
SUMMARY_WISH_TOKENS = 32
"""Length of the sentence that asks for a summary."""


@dataclass(frozen=True, slots=True)
class _Draws:
    models: Iterator[str]
    system: Iterator[int]
    user: Iterator[int]
    outputs: Iterator[int]
    turns: Iterator[int]
    think_s: Iterator[float]
    retention: np.random.Generator


@dataclass(frozen=True, slots=True)
class Sessions:
    """Conversations of many people.

    Attributes:
        source: what their requests have in common.
        starts: when conversations begin.
        models: whom they ask; one model for all of a conversation.
        system: length of what stands before the first turn; may be 0.
        user: length of what a person says in a turn.
        outputs: lengths of answers.
        turns: number of turns.
        think: from an answer to the next turn [s].
        retention: what is sent again.
        limit_tokens: a conversation ends before a turn whose prompt and answer would be longer [tokens].

    Raises:
        InputError: a turn may have no token, or there may be no turn.
    """

    source: Source
    starts: Starts
    models: Assignment
    system: Lengths
    user: Lengths
    outputs: Lengths
    turns: Lengths
    think: Distribution
    retention: Retention = Everything()  # noqa: RUF009  # it is frozen
    limit_tokens: int = MAX_TOKENS

    def __post_init__(self) -> None:
        if self.user.low < 1:
            raise InputError(f"user_tokens may be {self.user.low}; a turn needs at least 1 token")
        if self.turns.low < 1 or self.turns.high > MAX_TURNS:
            raise InputError(f"turns may be between {self.turns.low} and {self.turns.high}; between 1 and {MAX_TURNS} are allowed")
        if not 1 <= self.limit_tokens <= MAX_TOKENS:
            raise InputError(f"limit_tokens is {self.limit_tokens}; it must be between 1 and {MAX_TOKENS}")

    def stream(self) -> Iterator[Request]:
        """Requests, called ``<name>.<conversation>.<turn>`` (a summary: with an ``s``); every call gives the same.

        Each waits for the one before it; its ``arrival_s`` is the earliest time at which it can come, and the requests are in order
        of that.
        """
        source = self.source
        drawn = _Draws(
            self.models.draws(source.rng("models")),
            self.system.draws(source.rng("system")),
            self.user.draws(source.rng("user")),
            self.outputs.draws(source.rng("outputs")),
            self.turns.draws(source.rng("turns")),
            draws(self.think, source.rng("think")),
            source.rng("retention"),
        )
        starts_s = self.starts.times_s(source)
        return interleave((start_s, self._session(number, start_s, drawn)) for number, start_s in enumerate(starts_s, start=1))

    def _session(self, number: int, start_s: float, drawn: _Draws) -> Iterator[Request]:
        texts = itertools.count()
        talk = _Talk(self.source, f"{self.source.name}.{number}", next(drawn.models), start_s)
        system: Turn = ((next(texts), next(drawn.system)),)
        turns: Sequence[Turn] = ()
        for turn in range(1, next(drawn.turns) + 1):
            user = (next(texts), next(drawn.user))
            delay_s = next(drawn.think_s) if turn > 1 else 0.0
            kept = self.retention.kept(turns, total_tokens((*system, user)), drawn.retention)
            turns = kept.turns
            if kept.old:
                wish, summary = (next(texts), SUMMARY_WISH_TOKENS), (next(texts), self.retention.summary_tokens)
                prompt = [*system, *_segments(kept.old), wish]
                if total_tokens((*prompt, summary)) > self.limit_tokens:
                    return
                yield talk.request(f"{turn}s", prompt, summary, delay_s)
                delay_s = 0.0
                turns = [(summary,), *turns]
            answer = (next(texts), next(drawn.outputs))
            prompt = [*system, *_segments(turns), user]
            if total_tokens((*prompt, answer)) > self.limit_tokens:
                return
            yield talk.request(str(turn), prompt, answer, delay_s)
            turns = [*turns, (user, answer)]


class _Talk:
    """A conversation so far: what its last request left in a cache, and what the next one waits for."""

    __slots__ = ("_after", "_cached", "_earliest_s", "_model", "_name", "_source")

    def __init__(self, source: Source, name: str, model: str, start_s: float) -> None:
        self._source, self._name, self._model = source, name, model
        self._earliest_s = start_s
        self._cached: list[Segment] = []
        self._after: tuple[str, ...] = ()

    def request(self, label: str, prompt: list[Segment], answer: Segment, delay_s: float) -> Request:
        """The next request."""
        self._earliest_s += delay_s
        made = Request(
            f"{self._name}.{label}",
            self._model,
            total_tokens(prompt),
            answer[1],
            self._earliest_s,
            self._source.priority,
            self._name,
            common_tokens(self._cached, prompt),
            self._after,
            delay_s,
            self._source.deadline_s,
        )
        self._cached = [*prompt, answer]
        self._after = (made.id,)
        return made


def _segments(turns: Sequence[Turn]) -> Iterator[Segment]:
    return itertools.chain.from_iterable(turns)
