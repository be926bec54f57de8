"""Requests: what is asked of which model, and when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mmpredict.errors import InputError
from mmpredict.workload.order import check_unique, in_possible_order

MAX_TOKENS = 10_000_000
MAX_PRIORITY = 1_000_000
MAX_AFTER = 10_000
_INFINITE = float("inf")


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        id: unique within a workload.
        model: name of the model that is asked.
        prompt_tokens: length of the prompt [tokens].
        output_tokens: tokens to generate [tokens].
        arrival_s: when it comes, from the start of the workload; with ``after``, the earliest time at which it may come [s].
        priority: higher ones first [1].
        session: requests of one session can find what the one before them left in a cache; empty for none.
        shared_tokens: tokens at the beginning of the prompt that equal the beginning of what the session's previous request left
            in a cache, which is its prompt and its answer; fewer than the prompt has [tokens].
        after: ids of the requests that must have finished before this one comes into being.
        delay_s: from the end of the last of ``after`` to this request's arrival, as a person's time to think [s].
        deadline_s: how long after its arrival its answer is still of use; ``None`` for ever [s].
        keep_alive_s: how long its model stays loaded after it, for servers that load on demand; negative for ever, ``None`` when it
            does not say [s].
        context_tokens: context that it asks its model to be loaded with, of such servers; ``None`` when it does not say [tokens].

    Raises:
        InputError: a count or a time is out of range, or a field needs another one that is not given.
    """

    id: str
    model: str
    prompt_tokens: int
    output_tokens: int
    arrival_s: float = 0.0
    priority: int = 0
    session: str = ""
    shared_tokens: int = 0
    after: tuple[str, ...] = ()
    delay_s: float = 0.0
    deadline_s: float | None = None
    keep_alive_s: float | None = None
    context_tokens: int | None = None

    def __post_init__(self) -> None:
        # One expression for what nearly every request passes: a workload makes millions of them.
        if not (
            1 <= self.prompt_tokens <= MAX_TOKENS
            and 1 <= self.output_tokens <= MAX_TOKENS
            and 0.0 <= self.arrival_s < _INFINITE
            and 0 <= self.shared_tokens < self.prompt_tokens
            and -MAX_PRIORITY <= self.priority <= MAX_PRIORITY
            and 0.0 <= self.delay_s < _INFINITE
            and (self.deadline_s is None or 0.0 < self.deadline_s < _INFINITE)
            and (self.keep_alive_s is None or self.keep_alive_s == self.keep_alive_s)
            and (self.context_tokens is None or 1 <= self.context_tokens <= MAX_TOKENS)
            and (self.session or not self.shared_tokens)
            and (self.after or not self.delay_s)
            and len(self.after) <= MAX_AFTER
        ):
            raise InputError(f"request {self.id!r}: {self._problem()}")

    def _problem(self) -> str:
        for name in ("prompt_tokens", "output_tokens"):
            tokens = getattr(self, name)
            if not 1 <= tokens <= MAX_TOKENS:
                return f"{name} is {tokens}; it must be between 1 and {MAX_TOKENS}"
        for name in ("arrival_s", "delay_s"):
            time_s = getattr(self, name)
            if not 0.0 <= time_s < _INFINITE:
                return f"{name} is {time_s}; it must be 0 or more seconds"
        if not 0 <= self.shared_tokens < self.prompt_tokens:
            return f"shared_tokens is {self.shared_tokens}; it must be 0 or more and below prompt_tokens ({self.prompt_tokens})"
        if not -MAX_PRIORITY <= self.priority <= MAX_PRIORITY:
            return f"priority is {self.priority}; it must be between {-MAX_PRIORITY} and {MAX_PRIORITY}"
        if self.deadline_s is not None and not 0.0 < self.deadline_s < _INFINITE:
            return f"deadline_s is {self.deadline_s}; it must be more than 0 seconds, or left out"
        if self.keep_alive_s is not None and self.keep_alive_s != self.keep_alive_s:
            return f"keep_alive_s is {self.keep_alive_s}; it must be a number of seconds, negative for ever"
        if self.context_tokens is not None and not 1 <= self.context_tokens <= MAX_TOKENS:
            return f"context_tokens is {self.context_tokens}; it must be between 1 and {MAX_TOKENS}, or left out"
        if self.shared_tokens and not self.session:
            return f"shared_tokens is {self.shared_tokens}, but nothing is shared without a session; give it one"
        if self.delay_s and not self.after:
            return f"delay_s is {self.delay_s}, but it waits for no other request; name them in after, or set arrival_s"
        return f"after names {len(self.after)} requests; at most {MAX_AFTER}"


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests in order of arrival; those that arrive together keep the order in which they were given.

    A request that waits for others has its ``arrival_s`` raised to the earliest time at which it can come, so that it stands behind
    them.

    Raises:
        InputError: no request, two with the same id, or one that waits for an unknown one or, through others, for itself.
    """

    requests: tuple[Request, ...]

    def __post_init__(self) -> None:
        if not self.requests:
            raise InputError("the workload holds no request; give at least one [[requests]] or [[load]] entry")
        check_unique([request.id for request in self.requests])
        object.__setattr__(self, "requests", in_possible_order(self.requests))

    @property
    def models(self) -> tuple[str, ...]:
        """Models asked, in order of first arrival."""
        return models_of(self.requests)


def models_of(requests: Iterable[Request]) -> tuple[str, ...]:
    """Models asked, in order of first appearance."""
    return tuple(dict.fromkeys(request.model for request in requests))
