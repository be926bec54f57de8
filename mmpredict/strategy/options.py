"""Server options that every strategy passes on to the instances it makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmpredict.errors import InputError
from mmpredict.simulation.plan import (
    DEFAULT_BATCH_TOKENS,
    DEFAULT_CONTEXT_TOKENS,
    DEFAULT_SLOTS,
    DEFAULT_UBATCH_TOKENS,
    InstancePlan,
)


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Options of a llama-server that do not depend on the strategy (see ``InstancePlan``)."""

    context_tokens: int = DEFAULT_CONTEXT_TOKENS
    slots: int = DEFAULT_SLOTS
    batch_tokens: int = DEFAULT_BATCH_TOKENS
    ubatch_tokens: int = DEFAULT_UBATCH_TOKENS

    def instance(self, model: str, threads: int, spincount: int | None = None) -> InstancePlan:
        """An instance of ``model``, named after it."""
        return InstancePlan(
            model, model, threads, spincount, self.context_tokens, self.slots, self.batch_tokens, self.ubatch_tokens
        )


def divide_threads(cores: int, instances: int) -> list[int]:
    """Threads for each of several instances: as equal as possible, together no more than the cores, at least one each.

    Raises:
        InputError: no instance, or no core.
    """
    if instances < 1 or cores < 1:
        raise InputError(f"cannot divide {cores} cores among {instances} instances; both must be at least 1")
    return [max(1, cores // instances + (number < cores % instances)) for number in range(instances)]


def require_models(models: Sequence[str]) -> tuple[str, ...]:
    """The models, each once, in the order given.

    Raises:
        InputError: no model.
    """
    if not models:
        raise InputError("a strategy needs at least one model")
    return tuple(dict.fromkeys(models))
