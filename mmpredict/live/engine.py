"""What the executor needs of an engine: servers that it can load, ask, weigh and unload. One file per engine implements it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from mmpredict.live.answer import Completion
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import InstancePlan, Plan


class Server(Protocol):
    """One instance of a plan, loaded and ready."""

    @property
    def attached(self) -> bool:
        """Whether it ran before and goes on afterwards: then neither a load nor an unload of it is measured."""

    def prompt(self, tokens: int, seed: int) -> list[int]:
        """A prompt of exactly ``tokens`` tokens that no other seed begins with; numbers that ``stream`` understands.

        The numbers of two prompts in a row, or of a prompt and the ``tokens`` of its answer, are a prompt too.
        """

    def stream(
        self,
        prompt: Sequence[int],
        output_tokens: int,
        timeout_s: float,
        on_token: Callable[[float], None] | None = None,
        reuse: bool = False,
    ) -> Completion:
        """Generate ``output_tokens`` tokens after ``prompt`` and time them; see ``CompletionClient.stream``.

        Raises:
            RequestFailure: there is no complete answer; its ``reason`` says why.
        """

    def alive(self) -> bool:
        """Whether the server can still answer, as far as can be seen without asking it."""

    def memory_bytes(self) -> float:
        """Memory that the instance takes now [bytes]; ``nan`` where that cannot be seen."""

    def stop(self) -> None:
        """Unload the instance and wait until its memory is free."""


class Engine(Protocol):
    """Starts servers.

    Attributes:
        notes: in what the servers differ from the plan, and what they do not tell, for people; complete once they are loaded.
    """

    notes: list[str]

    def prepare(self, plan: Plan, specs: Mapping[str, ModelSpec], cold: bool) -> None:
        """Make everything ready that a load must not be charged for: files, page cache.

        Raises:
            EngineError: the engine cannot be used.
            InputError: the plan asks for what the engine does not do.
        """

    def load(self, instance: InstancePlan, log_path: Path) -> Server:
        """Load one instance and wait until it answers; called from several threads at once.

        Raises:
            EngineError: it could not be loaded.
        """
