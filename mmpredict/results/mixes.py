"""Which mixes of models fit together, best first."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class KindNeed:
    """What instances of one model need.

    Attributes:
        model: its name.
        own_bytes: of every instance, per memory [bytes].
        shared_bytes: once for all instances, per memory [bytes].
        value: of one instance, in the unit of the goal.
        context_tokens, slots: how it is started [tokens], [1].
    """

    model: str
    own_bytes: tuple[float, ...]
    shared_bytes: tuple[float, ...]
    value: float
    context_tokens: int
    slots: int


@dataclass(frozen=True, slots=True)
class MixRow:
    """One mix.

    Attributes:
        counts: model → instances; models without any are left out.
        value: in the unit of the goal.
        used_bytes, remains_bytes: per memory [bytes].
    """

    counts: dict[str, int]
    value: float
    used_bytes: tuple[float, ...]
    remains_bytes: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Mixes:
    """What fits together on a machine.

    Attributes:
        hardware, engine: where and by whose rules.
        goal: what the best mix has most of, one phrase.
        pools: names of the memories.
        budget_bytes: of each memory [bytes].
        kinds: what the models need.
        mixes: best first.
        why_not_more: why nothing can be added to the best, one sentence per model.
        rules: limits of the server that were kept.
        defaults: what was filled in.
        doubts: what is assumed.
    """

    hardware: str
    engine: str
    goal: str
    pools: tuple[str, ...]
    budget_bytes: tuple[float, ...]
    kinds: tuple[KindNeed, ...]
    mixes: tuple[MixRow, ...]
    why_not_more: tuple[str, ...]
    rules: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        lists = {
            name: list(getattr(self, name)) for name in ("pools", "budget_bytes", "why_not_more", "rules", "defaults", "doubts")
        }
        kinds = [asdict(one) | {"own_bytes": list(one.own_bytes), "shared_bytes": list(one.shared_bytes)} for one in self.kinds]
        mixes = [asdict(one) | {"used_bytes": list(one.used_bytes), "remains_bytes": list(one.remains_bytes)} for one in self.mixes]
        document = {"schema_version": 1, "hardware": self.hardware, "engine": self.engine, "goal": self.goal}
        return {**document, **lists, "kinds": kinds, "mixes": mixes}
