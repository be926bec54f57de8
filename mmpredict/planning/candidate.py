"""One way of running the models: a plan, and how it differs from others in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mmpredict.simulation.plan import Plan

SHORT_LETTERS = 28


@dataclass(frozen=True)
class Candidate:
    """A plan to be looked at.

    Attributes:
        plan: its ``strategy`` is the family of plans it belongs to.
        knobs: what is set → how, in words; together with the family they name it.
        quantization: file type that all models are taken to have; empty for their own.
        infeasible: why it cannot be run at all, as far as that is known beforehand; empty if it may be.
    """

    plan: Plan
    knobs: Mapping[str, str] = field(default_factory=dict)
    quantization: str = ""
    infeasible: str = ""

    @property
    def name(self) -> str:
        """For people, unique within a search: ``batched (a + b | c; threads divided)``."""
        told = [*self.knobs.values(), *([self.quantization] if self.quantization else [])]
        return f"{self.plan.strategy} ({'; '.join(told)})" if told else self.plan.strategy

    def with_plan(self, plan: Plan, **knobs: str) -> Candidate:
        """The same with another plan, and what is set there."""
        return replace(self, plan=plan, knobs={**self.knobs, **knobs})


def short_names(models: tuple[str, ...]) -> dict[str, str]:
    """Model → a name that fits into a table: without what all have in common, such as folders and the word ``synthetic``."""
    found = {model: _short(model) for model in models}
    twice = len(set(found.values())) < len(found)
    return {model: model for model in models} if twice else found


def bare_name(model: str) -> str:
    """Without folders, the ending of a file, and the word ``synthetic``."""
    return model.removeprefix("synthetic:").replace("\\", "/").rpartition("/")[2].removesuffix(".gguf")


def _short(model: str) -> str:
    name = bare_name(model)
    return name if len(name) <= SHORT_LETTERS else f"{name[: SHORT_LETTERS - 1]}…"
