"""An engine whose servers are processes that look like llama-servers: the executor's faults and speeds without a model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmpredict.errors import EngineError
from mmpredict.hardware.telemetry import memory_bytes
from mmpredict.live.answer import Completion
from mmpredict.live.client import CompletionClient, unique_prompt
from mmpredict.models.catalog import uniform_spec
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import InstancePlan, Plan, Stage

PLACE = Path(__file__).parent
VOCABULARY = 100_000


def fake(mode: str = "ok", prefill_tokens_s: float = 5000.0, decode_tokens_s: float = 200.0) -> list[str]:
    """Command of a ``FakeServer``."""
    return [sys.executable, str(PLACE / "fake_process.py"), mode, str(prefill_tokens_s), str(decode_tokens_s)]


def paced(prefill_s: float, gap_s: float) -> list[str]:
    """Command of a ``PacedServer``."""
    return [sys.executable, str(PLACE / "paced_server.py"), str(prefill_s), str(gap_s)]


@dataclass
class ProcessServer:
    """One process that serves completions.

    Attributes:
        seen: first token of a prompt → when the client saw the first and the last token of the answer, and their number.
        sent: first token of a prompt → when a ``PacedServer`` really sent the first and the last token, and their number.
    """

    process: subprocess.Popen[str]
    url: str
    seen: dict[int, tuple[float, float, int]] = field(default_factory=dict)
    sent: dict[int, tuple[float, float, int]] = field(default_factory=dict)
    client: CompletionClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = CompletionClient(self.url)

    @property
    def attached(self) -> bool:
        return False

    def prompt(self, tokens: int, seed: int) -> list[int]:
        return unique_prompt(tokens, seed, VOCABULARY)

    def stream(
        self,
        prompt: Sequence[int],
        output_tokens: int,
        timeout_s: float,
        on_token: Callable[[float], None] | None = None,
        reuse: bool = False,
    ) -> Completion:
        answer = self.client.stream(prompt, output_tokens, timeout_s, on_token, reuse)
        self.seen[prompt[0]] = (answer.first_token_s, answer.last_token_s, len(answer.token_times_s))
        return answer

    def collect(self) -> None:
        """Ask a ``PacedServer`` what it sent."""
        told = self.client.ask("/sent")
        assert isinstance(told, dict)
        self.sent |= {int(key): tuple(value) for key, value in told.items()}

    def errors(self) -> list[float]:
        """Of every answer of two tokens or more: time between tokens as the client saw it ÷ as it was sent − 1 [1]."""
        return [
            (self.seen[key][1] - self.seen[key][0]) / (last_s - first_s) - 1.0
            for key, (first_s, last_s, count) in self.sent.items()
            if count > 1
        ]

    def alive(self) -> bool:
        return self.process.poll() is None

    def memory_bytes(self) -> float:
        return memory_bytes(self.process.pid)

    def stop(self) -> None:
        if "paced_server" in str(self.process.args) and self.alive():
            self.collect()
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@dataclass
class ProcessEngine:
    """Starts a command per instance; an instance without one cannot be loaded.

    Attributes:
        commands: instance → command that prints its address.
        loaded: what it started.
    """

    commands: Mapping[str, list[str]]
    loaded: dict[str, ProcessServer] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def prepare(self, plan: Plan, specs: Mapping[str, ModelSpec], cold: bool) -> None:
        """Nothing to do."""

    def load(self, instance: InstancePlan, log_path: Path) -> ProcessServer:
        if instance.name not in self.commands:
            raise EngineError(f"{instance.name} could not be loaded: failed to allocate the model")
        process = subprocess.Popen(self.commands[instance.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        self.loaded[instance.name] = ProcessServer(process, process.stdout.readline().strip())
        return self.loaded[instance.name]


def specs_of(*models: str) -> dict[str, ModelSpec]:
    """Models of falling size: nothing of them is loaded, but a plan needs to know how large they are."""
    shapes = ("qwen2.5-0.5b", "smollm2-135m")
    return {model: uniform_spec(shapes[min(number, 1)], weight_type("q4_0")) for number, model in enumerate(models)}


def together(*models: str, concurrency: int | None = None, slots: int = 4) -> Plan:
    """A plan of one stage with an instance per model."""
    instances = tuple(InstancePlan(model, model, 1, context_tokens=1_000_000, slots=slots) for model in models)
    return Plan("together", instances, (Stage(models, concurrency),))
