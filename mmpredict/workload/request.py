"""Requests: what is asked of which model, and when."""

from __future__ import annotations

from dataclasses import dataclass

from mmpredict.errors import InputError

MAX_TOKENS = 10_000_000


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        id: unique within a workload.
        model: name of the model that is asked.
        prompt_tokens: length of the prompt [tokens].
        output_tokens: tokens to generate [tokens].
        arrival_s: when it comes, from the start of the workload [s].

    Raises:
        InputError: a count or a time is out of range.
    """

    id: str
    model: str
    prompt_tokens: int
    output_tokens: int
    arrival_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("prompt_tokens", "output_tokens"):
            tokens = getattr(self, name)
            if not 1 <= tokens <= MAX_TOKENS:
                raise InputError(f"request {self.id!r}: {name} is {tokens}; it must be between 1 and {MAX_TOKENS}")
        if not 0.0 <= self.arrival_s < float("inf"):
            raise InputError(f"request {self.id!r}: arrival_s is {self.arrival_s}; it must be 0 or more seconds")


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests in order of arrival; those that arrive together keep the order in which they were given.

    Raises:
        InputError: no request, or two with the same id.
    """

    requests: tuple[Request, ...]

    def __post_init__(self) -> None:
        if not self.requests:
            raise InputError("the workload holds no request; give at least one [[requests]] entry")
        ids = [request.id for request in self.requests]
        if len(set(ids)) != len(ids):
            twice = next(name for name in ids if ids.count(name) > 1)
            raise InputError(f"two requests are called {twice!r}; ids must be unique")
        object.__setattr__(self, "requests", tuple(sorted(self.requests, key=lambda request: request.arrival_s)))

    @property
    def models(self) -> tuple[str, ...]:
        """Models asked, in order of first arrival."""
        return tuple(dict.fromkeys(request.model for request in self.requests))
