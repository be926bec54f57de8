"""``[[load]]`` entries whose requests are made by a rule."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from mmpredict.errors import InputError
from mmpredict.scenario.arrivals_section import ArrivalsSection, BurstsKeys, ConstantKeys, GammaKeys, PoissonKeys
from mmpredict.scenario.load_section import LoadSection, ModelKeys
from mmpredict.scenario.memory_section import AllKeys, MemorySection
from mmpredict.scenario.quantity_section import Delay, Length, delays_of, lengths_of
from mmpredict.scenario.strict import Strict
from mmpredict.workload.arrivals import Arrivals
from mmpredict.workload.call_graph import Call, CallGraph
from mmpredict.workload.closed_loop import ClosedLoop
from mmpredict.workload.open_loop import OpenLoop
from mmpredict.workload.request import MAX_TOKENS, Request
from mmpredict.workload.sessions import MAX_TURNS, Sessions
from mmpredict.workload.source import Starts


class _OpenSection(LoadSection, ModelKeys):
    """Independent requests."""

    prompt_tokens: Length
    output_tokens: Length
    requests: int | None = None
    duration_s: float | None = None

    @abstractmethod
    def process(self) -> Arrivals:
        """When they come."""

    def stream(self, name: str, base: Path | None) -> Iterator[Request]:
        """Requests in order of arrival."""
        starts = _starts(self.process(), "requests", self.requests, self.duration_s)
        prompts, outputs = lengths_of(self.prompt_tokens, "prompt_tokens"), lengths_of(self.output_tokens, "output_tokens")
        return OpenLoop(self.source(name), starts, self.assignment(), prompts, outputs).stream()

    def asked(self, base: Path | None) -> tuple[str, ...]:
        """Models that may be asked."""
        return self.assignment().models


class ConstantSection(ConstantKeys, _OpenSection):
    """``kind = "constant"``."""


class PoissonSection(PoissonKeys, _OpenSection):
    """``kind = "poisson"``."""


class GammaSection(GammaKeys, _OpenSection):
    """``kind = "gamma"``."""


class BurstsSection(BurstsKeys, _OpenSection):
    """``kind = "bursts"``."""


class ClosedSection(LoadSection, ModelKeys):
    """``kind = "closed"``: users who wait for an answer before they ask again."""

    kind: Literal["closed"]
    users: int
    requests_per_user: int
    prompt_tokens: Length
    output_tokens: Length
    think_s: Delay = 0.0
    ramp_s: float = 0.0

    def stream(self, name: str, base: Path | None) -> Iterator[Request]:
        """Requests in order of their earliest arrival."""
        return ClosedLoop(
            self.source(name),
            self.users,
            self.requests_per_user,
            self.assignment(),
            lengths_of(self.prompt_tokens, "prompt_tokens"),
            lengths_of(self.output_tokens, "output_tokens"),
            delays_of(self.think_s, "think_s"),
            self.ramp_s,
        ).stream()

    def asked(self, base: Path | None) -> tuple[str, ...]:
        """Models that may be asked."""
        return self.assignment().models


class SessionsSection(LoadSection, ModelKeys):
    """``kind = "sessions"``: conversations."""

    kind: Literal["sessions"]
    arrivals: ArrivalsSection
    sessions: int | None = None
    duration_s: float | None = None
    turns: Length
    system_tokens: Length = 0
    user_tokens: Length
    output_tokens: Length
    think_s: Delay = 0.0
    memory: MemorySection = AllKeys(kind="all")
    limit_tokens: int = MAX_TOKENS

    def stream(self, name: str, base: Path | None) -> Iterator[Request]:
        """Requests in order of their earliest arrival."""
        return Sessions(
            self.source(name),
            _starts(self.arrivals.process(), "sessions", self.sessions, self.duration_s),
            self.assignment(),
            lengths_of(self.system_tokens, "system_tokens", low=0),
            lengths_of(self.user_tokens, "user_tokens"),
            lengths_of(self.output_tokens, "output_tokens"),
            lengths_of(self.turns, "turns", high=MAX_TURNS),
            delays_of(self.think_s, "think_s"),
            self.memory.rule(),
            self.limit_tokens,
        ).stream()

    def asked(self, base: Path | None) -> tuple[str, ...]:
        """Models that may be asked."""
        return self.assignment().models


class CallSection(Strict):
    """One ``[[load.calls]]`` entry of a graph (see ``Call``)."""

    id: str
    model: str
    prompt_tokens: Length
    output_tokens: Length
    after: tuple[str, ...] = ()
    delay_s: Delay = 0.0
    copies: int = 1
    reads_answers: bool = False
    continues: str = ""

    def call(self) -> Call:
        """The call."""
        return Call(
            self.id,
            self.model,
            lengths_of(self.prompt_tokens, f"call {self.id!r}: prompt_tokens"),
            lengths_of(self.output_tokens, f"call {self.id!r}: output_tokens"),
            self.after,
            delays_of(self.delay_s, f"call {self.id!r}: delay_s"),
            self.copies,
            self.reads_answers,
            self.continues,
        )


class GraphSection(LoadSection):
    """``kind = "graph"``: tasks of several calls that wait for one another."""

    kind: Literal["graph"]
    arrivals: ArrivalsSection
    tasks: int | None = None
    duration_s: float | None = None
    calls: tuple[CallSection, ...]

    def stream(self, name: str, base: Path | None) -> Iterator[Request]:
        """Requests in order of their earliest arrival."""
        starts = _starts(self.arrivals.process(), "tasks", self.tasks, self.duration_s)
        return CallGraph(self.source(name), starts, tuple(call.call() for call in self.calls)).stream()

    def asked(self, base: Path | None) -> tuple[str, ...]:
        """Models that may be asked."""
        return tuple(dict.fromkeys(call.model for call in self.calls))


def _starts(arrivals: Arrivals, what: str, count: int | None, duration_s: float | None) -> Starts:
    if count is None and duration_s is None:
        raise InputError(f"it has no end; give {what} or duration_s")
    return Starts(arrivals, count, duration_s)
