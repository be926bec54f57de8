"""What is taken of a trace, and what of it is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.workload.assignment import Assignment
from mmpredict.workload.source import Source

MAX_SPEED = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceOptions:
    """A choice of a trace.

    Attributes:
        speed: the trace's time runs so much faster; times between arrivals, and times to think, are divided by it [1].
        start_s, stop_s: only what came in [start, stop), in the trace's own time [s].
        limit: at most so many requests [1].
        names: model in the trace → model to ask; one that is not in it is an error.
        models: instead, models by weight: drawn for every request, or every session if the trace has any.

    Raises:
        InputError: a value is out of range, or both ``names`` and ``models`` are given.
    """

    speed: float = 1.0
    start_s: float = 0.0
    stop_s: float | None = None
    limit: int | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    models: Assignment | None = None

    def __post_init__(self) -> None:
        if not 1 / MAX_SPEED <= self.speed <= MAX_SPEED:
            raise InputError(f"speed is {self.speed}; it must be between {1 / MAX_SPEED:g} and {MAX_SPEED:g}")
        if not 0.0 <= self.start_s < float("inf"):
            raise InputError(f"trace_start_s is {self.start_s}; it must be 0 or more seconds")
        if self.stop_s is not None and not self.stop_s > self.start_s:
            raise InputError(f"trace_stop_s is {self.stop_s}; it must be more than trace_start_s ({self.start_s})")
        if self.limit is not None and self.limit < 1:
            raise InputError(f"requests is {self.limit}; it must be 1 or more")
        if self.names and self.models:
            raise InputError("names and models cannot both be given: either the trace's names decide who is asked, or weights do")

    def asked(self, source: Source) -> Asked:
        """Who is asked, from the first request on."""
        return Asked(self, source)


class Asked:
    """The models of a trace's requests, one after another."""

    def __init__(self, options: TraceOptions, source: Source) -> None:
        self._names, self._models, self._seed = options.names, options.models, source.seed
        self._draws: Iterator[str] | None = options.models.draws(source.rng("models")) if options.models else None

    def model(self, name: str, session: str) -> str:
        """The model of the next request, which the trace calls so.

        Raises:
            UnknownNameError: ``names`` does not have it.
            InputError: the trace does not say it, and no weights are given.
        """
        if self._models is not None and self._draws is not None:
            return self._models.of(self._seed, session) if session else next(self._draws)
        if self._names:
            if name not in self._names:
                raise UnknownNameError("model of the trace", name, self._names, "(all of them must be in names)")
            return self._names[name]
        if not name:
            raise InputError("this trace does not say which model was asked; give model, or models with weights")
        return name
