"""People who ask, wait for the answer, think, and ask again: there are never more requests than people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mmpredict.errors import InputError
from mmpredict.workload.assignment import Assignment
from mmpredict.workload.distributions import Distribution, draws
from mmpredict.workload.interleave import interleave
from mmpredict.workload.lengths import Lengths
from mmpredict.workload.request import Request
from mmpredict.workload.source import MAX_COUNT, MAX_DURATION_S, Source

MAX_USERS = 1_000_000


@dataclass(frozen=True, slots=True)
class _Draws:
    models: Iterator[str]
    prompts: Iterator[int]
    outputs: Iterator[int]
    think_s: Iterator[float]


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """A number of users.

    Attributes:
        source: what their requests have in common.
        users: how many there are [1].
        requests_per_user: what each of them asks, one after another [1].
        models: whom they ask.
        prompts: lengths of prompts.
        outputs: lengths of answers.
        think: from an answer to the same user's next request [s].
        ramp_s: the users begin evenly within so long a time; 0: all at once [s].

    Raises:
        InputError: a number is out of range.
    """

    source: Source
    users: int
    requests_per_user: int
    models: Assignment
    prompts: Lengths
    outputs: Lengths
    think: Distribution
    ramp_s: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.users <= MAX_USERS:
            raise InputError(f"users is {self.users}; it must be between 1 and {MAX_USERS}")
        if not 1 <= self.requests_per_user <= MAX_COUNT:
            raise InputError(f"requests_per_user is {self.requests_per_user}; it must be between 1 and {MAX_COUNT}")
        if not 0.0 <= self.ramp_s <= MAX_DURATION_S:
            raise InputError(f"ramp_s is {self.ramp_s}; it must be between 0 and {MAX_DURATION_S:g} seconds")

    def stream(self) -> Iterator[Request]:
        """Requests, called ``<name>.<user>.<number>``; every call gives the same.

        Each waits for the one before it (``after``, ``delay_s``); its ``arrival_s`` is the earliest time at which it can come, and
        the requests are in order of that.
        """
        source = self.source
        drawn = _Draws(
            self.models.draws(source.rng("models")),
            self.prompts.draws(source.rng("prompts")),
            self.outputs.draws(source.rng("outputs")),
            draws(self.think, source.rng("think")),
        )
        starts_s = (source.start_s + self.ramp_s * user / self.users for user in range(self.users))
        return interleave((start_s, self._requests(user, start_s, drawn)) for user, start_s in enumerate(starts_s, start=1))

    def _requests(self, user: int, start_s: float, drawn: _Draws) -> Iterator[Request]:
        source = self.source
        earliest_s, think_s = start_s, 0.0
        after: tuple[str, ...] = ()
        for number in range(1, self.requests_per_user + 1):
            request = Request(
                f"{source.name}.{user}.{number}",
                next(drawn.models),
                next(drawn.prompts),
                next(drawn.outputs),
                earliest_s,
                source.priority,
                after=after,
                delay_s=think_s,
                deadline_s=source.deadline_s,
            )
            yield request
            think_s = next(drawn.think_s)
            earliest_s += think_s
            after = (request.id,)
