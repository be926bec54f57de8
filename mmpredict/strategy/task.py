"""What a strategy that looks before it plans is told: what each model costs alone, what fits, and what the machine has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mmpredict.strategy.options import ServerOptions


@dataclass(frozen=True, slots=True)
class Need:
    """What the requests of one model cost, alone on the machine.

    Attributes:
        load_s: until its server is ready [s].
        work_s: of all its requests, one after another [s].
        memory_bytes: of its server [bytes].
        tokens: of the largest requests that can be in flight together, prompts and answers [tokens].
    """

    load_s: float
    work_s: float
    memory_bytes: float
    tokens: int = 0


@dataclass(frozen=True)
class Task:
    """Models, their requests and the machine, as strategies see them.

    Attributes:
        models: names, each once, in the order given.
        cores: that servers may use [1].
        options: of every server.
        need: (model, threads) → what its requests cost alone.
        memory_bytes: what servers may use together [bytes].
        gpu_layers: model → layers of a full offload; empty where there is no GPU that models could use [1].
    """

    models: tuple[str, ...]
    cores: int
    options: ServerOptions
    need: Callable[[str, int], Need]
    memory_bytes: float
    gpu_layers: Mapping[str, int] = field(default_factory=dict)

    def alone(self, model: str) -> Need:
        """What a model costs with all cores."""
        return self.need(model, self.cores)
