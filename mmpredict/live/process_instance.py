"""Servers that this process starts itself: what the executor needs of them, and of the files that they load."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmpredict.hardware import warmth
from mmpredict.hardware.telemetry import memory_bytes
from mmpredict.live.answer import Completion
from mmpredict.live.client import CompletionClient, unique_prompt
from mmpredict.live.server_process import ServerProcess
from mmpredict.models.resolve import materialize
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.residency import largest_private_bytes


@dataclass(slots=True)
class ProcessInstance:
    """A server in a child process, as the executor sees it (see ``Server``).

    Attributes:
        server: the process.
        vocabulary: size of the model's vocabulary [1].
        client: of all its streams, so that they are received together.
    """

    server: ServerProcess
    vocabulary: int
    client: CompletionClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = CompletionClient(self.server.url)

    @property
    def attached(self) -> bool:
        """See ``Server``."""
        return False

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
        return self.client.stream(prompt, output_tokens, timeout_s, on_token, reuse)

    def alive(self) -> bool:
        """See ``Server``."""
        return self.server.alive()

    def memory_bytes(self) -> float:
        """See ``Server``."""
        return memory_bytes(self.server.pid)

    def stop(self) -> None:
        """See ``Server``."""
        self.server.stop()


def model_files(plan: Plan, specs: Mapping[str, ModelSpec], cold: bool, models: Iterable[str] | None = None) -> dict[str, Path]:
    """The files of a plan's models, synthetic ones written if they are not there: model → path.

    They are dropped from the page cache if ``cold``; else read into it, and free memory is touched.

    Args:
        plan: the servers.
        specs: model name → model.
        cold: whether loads are to be cold.
        models: those that are needed; all of the plan by default.

    Raises:
        InputError: a model has no file here.
        DoesNotFitError: synthetic models do not fit onto the disk.
    """
    wanted = {instance.model for instance in plan.instances} if models is None else set(models)
    paths = {name: materialize(specs[name]) for name in sorted(wanted)}
    for path in paths.values():
        if cold:
            warmth.drop(path)
        else:
            warmth.warm(path)
    if paths and not cold:
        warmth.touch_memory(largest_private_bytes(plan, specs))
    return paths
