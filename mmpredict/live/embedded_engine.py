"""The engine of the demo and the tests: llama.cpp's server from a Python package, one child process per instance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmpredict.hardware import warmth
from mmpredict.hardware.telemetry import memory_bytes
from mmpredict.live.answer import Completion
from mmpredict.live.client import CompletionClient, unique_prompt
from mmpredict.live.embedded import EmbeddedServer, require_engine
from mmpredict.models.resolve import materialize
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import InstancePlan, Plan
from mmpredict.simulation.residency import largest_private_bytes


@dataclass(frozen=True, slots=True)
class EmbeddedInstance:
    """A running server, as the executor sees it.

    Attributes:
        server: the process.
        vocabulary: size of the model's vocabulary [1].
    """

    server: EmbeddedServer
    vocabulary: int

    def prompt(self, tokens: int, seed: int) -> list[int]:
        """See ``Server``."""
        return unique_prompt(tokens, seed, self.vocabulary)

    def stream(
        self,
        prompt: Sequence[int],
        output_tokens: int,
        timeout_s: float,
        on_token: Callable[[float], None] | None = None,
        reuse: bool = False,
    ) -> Completion:
        """See ``Server``."""
        with CompletionClient(self.server.url) as client:
            return client.stream(prompt, output_tokens, timeout_s, on_token, reuse)

    def alive(self) -> bool:
        """See ``Server``."""
        return self.server.alive()

    def memory_bytes(self) -> float:
        """See ``Server``."""
        return memory_bytes(self.server.pid)

    def stop(self) -> None:
        """See ``Server``."""
        self.server.stop()


@dataclass(slots=True)
class EmbeddedEngine:
    """Writes synthetic models where they are missing, then starts a process per instance."""

    _specs: Mapping[str, ModelSpec] = field(default_factory=dict)
    _paths: dict[str, Path] = field(default_factory=dict)

    def prepare(self, plan: Plan, specs: Mapping[str, ModelSpec], cold: bool) -> None:
        """Drop model files from the page cache if ``cold``; else read them into it and touch free memory (see ``Engine``).

        Raises:
            DoesNotFitError: synthetic models do not fit onto the disk.
        """
        require_engine()
        self._specs = specs
        self._paths = {instance.model: materialize(specs[instance.model]) for instance in plan.instances}
        for path in self._paths.values():
            if cold:
                warmth.drop(path)
            else:
                warmth.warm(path)
        if not cold:
            warmth.touch_memory(largest_private_bytes(plan, specs))

    def load(self, instance: InstancePlan, log_path: Path) -> EmbeddedInstance:
        """See ``Engine``."""
        server = EmbeddedServer.start(instance, self._paths[instance.model], log_path)
        return EmbeddedInstance(server, self._specs[instance.model].shape.n_vocab)
