"""Rules of programs that keep models on a shelf: which ones go for the sake of another."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Resident:
    """A model on the shelf.

    Attributes:
        name: of its server.
        used_s: when it was last sent a request, or loaded [s].
        needs_bytes: memory [bytes].
        free: whether it can go now: it is loaded and serves nobody.
    """

    name: str
    used_s: float
    needs_bytes: float
    free: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """What is done for the model that is wanted first.

    Attributes:
        kind: it is loaded (once ``victims`` are gone), it waits for a change, or its requests are refused.
        victims: servers that go.
    """

    kind: Literal["load", "wait", "refuse"]
    victims: tuple[str, ...] = ()


class Shelf(Protocol):
    """A rule.

    Attributes:
        overtakes: whether requests for a model on the shelf are served while others wait, and join those that wait for theirs.
        one_load: whether the next model waits for the load of the one before.
    """

    @property
    def overtakes(self) -> bool:
        """See the class."""

    @property
    def one_load(self) -> bool:
        """See the class."""

    def choose(self, needs_bytes: float, residents: Sequence[Resident], wanted: Collection[str]) -> Choice:
        """What is done for a model that is not on the shelf.

        Args:
            needs_bytes: memory that it needs [bytes].
            residents: models on the shelf, those that are loading among them.
            wanted: servers that requests wait for.
        """


@dataclass(frozen=True, slots=True)
class Counted:
    """llama-server's router: a number of models; the idle one used longest ago goes, unless somebody waits for it.

    Attributes:
        most: models [1]; 0 for any number.
    """

    most: int
    overtakes: bool = True
    one_load: bool = False

    def choose(self, needs_bytes: float, residents: Sequence[Resident], wanted: Collection[str]) -> Choice:
        """See ``Shelf``."""
        if not self.most or len(residents) < self.most:
            return Choice("load")
        idle = [one for one in residents if one.free and one.name not in wanted]
        return Choice("load", (_oldest(idle).name,)) if idle else Choice("wait")


@dataclass(frozen=True, slots=True)
class Budget:
    """A pool with a budget of memory: idle models go, the one used longest ago first, until the new one fits.

    Attributes:
        budget_bytes: of all models together [bytes].
    """

    budget_bytes: float
    overtakes: bool = True
    one_load: bool = True

    def choose(self, needs_bytes: float, residents: Sequence[Resident], wanted: Collection[str]) -> Choice:
        """See ``Shelf``."""
        if needs_bytes > self.budget_bytes:
            return Choice("refuse")
        over_bytes = needs_bytes + sum(one.needs_bytes for one in residents) - self.budget_bytes
        idle = [one for one in residents if one.free]
        victims: list[str] = []
        while over_bytes > 0:
            if not idle:
                return Choice("wait")
            oldest = _oldest(idle)
            idle.remove(oldest)
            victims.append(oldest.name)
            over_bytes -= oldest.needs_bytes
        return Choice("load", tuple(victims))


@dataclass(frozen=True, slots=True)
class Single:
    """One active model, which goes when all that it was sent is done; requests keep their order. Memory is not looked at."""

    overtakes: bool = False
    one_load: bool = True

    def choose(self, needs_bytes: float, residents: Sequence[Resident], wanted: Collection[str]) -> Choice:
        """See ``Shelf``."""
        if not all(one.free for one in residents):
            return Choice("wait")
        return Choice("load", tuple(one.name for one in residents))


def _oldest(residents: Sequence[Resident]) -> Resident:
    return min(residents, key=lambda one: (one.used_s, one.name))
