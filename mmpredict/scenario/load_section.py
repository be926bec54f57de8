"""What all ``[[load]]`` entries have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path

from mmpredict.errors import InputError
from mmpredict.scenario.strict import Strict
from mmpredict.workload.assignment import Assignment
from mmpredict.workload.request import Request
from mmpredict.workload.source import Source


class LoadSection(Strict):
    """A load: many requests, made by a rule or read from a file.

    Attributes:
        id: beginning of the ids of its requests; ``load1``, ``load2``, … by default.
        seed: of everything that is drawn.
        start_s: when it begins [s].
        priority: of its requests, higher ones first [1].
        deadline_s: of its requests [s].
    """

    id: str = ""
    seed: int = 0
    start_s: float = 0.0
    priority: int = 0
    deadline_s: float | None = None

    def source(self, name: str) -> Source:
        """What the requests have in common."""
        return Source(name=name, seed=self.seed, start_s=self.start_s, priority=self.priority, deadline_s=self.deadline_s)

    @abstractmethod
    def stream(self, name: str, base: Path | None) -> Iterator[Request]:
        """Requests in order of arrival.

        Args:
            name: beginning of their ids.
            base: directory from which relative paths are meant.

        Raises:
            InputError: a value is out of range.
        """

    @abstractmethod
    def asked(self, base: Path | None) -> tuple[str, ...]:
        """Models that may be asked.

        Raises:
            InputError: it does not say.
        """


class ModelKeys(Strict):
    """``model = …``, or ``models = { name = weight, … }``."""

    model: str = ""
    models: dict[str, float] = {}  # noqa: RUF012  # pydantic copies it

    def assignment(self) -> Assignment:
        """Whom the requests ask.

        Raises:
            InputError: neither or both are given, or a weight is out of range.
        """
        if bool(self.model) == bool(self.models):
            raise InputError("give model, or models with their weights, as models = { name = 2, other = 1 }; one of the two")
        return Assignment(self.models or {self.model: 1.0})
