"""The engines of the tests, each in front of the same llama.cpp and the same model."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mmpredict.live.choice import EngineChoice, engine_of
from mmpredict.live.embedded import EmbeddedServer
from mmpredict.live.engine import Engine
from mmpredict.simulation.plan import InstancePlan

KINDS = ("embedded", "binary", "attached", "router", "ollama", "openai")
DOUBLE = Path(__file__).with_name("llama_server_double.py")
FAKE_OLLAMA = Path(__file__).with_name("fake_ollama.py")
TAG = "text:latest"


def program(directory: Path) -> Path:
    """A program called ``llama-server`` in ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "llama-server"
    path.write_text(f"#!{sys.executable}\nimport runpy\nrunpy.run_path({str(DOUBLE)!r}, run_name='__main__')\n")
    path.chmod(0o755)
    return path


@contextmanager
def fake_ollama(models: dict[str, str], logs: Path, memory_bytes: int = 0, **variables: str) -> Iterator[str]:
    """The address of an Ollama that has ``models`` (tag → file, and options after a colon), as long as the block lasts.

    Args:
        models: what it has.
        logs: where its runners write.
        memory_bytes: address space of it and of each runner; 0 for no limit [bytes].
        variables: of its environment.
    """
    command = [sys.executable, str(FAKE_OLLAMA), str(logs), *(f"{tag}={path}" for tag, path in models.items())]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | variables)
    assert process.stdin is not None and process.stdout is not None
    try:
        address = json.loads(process.stdout.readline())["address"]
        if memory_bytes:
            resource.prlimit(process.pid, resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        yield address
    finally:
        process.stdin.close()  # its end: its runners end with it
        process.wait(10)
        process.stdout.close()


@contextmanager
def engine(kind: str, model: str, instance: InstancePlan, directory: Path) -> Iterator[Engine]:
    """The engine of ``kind`` that serves ``model``, a file; attached servers run as ``instance`` says."""
    from fake_router import FakeRouter

    with ExitStack() as stack:
        match kind:
            case "embedded":
                yield engine_of(EngineChoice())
            case "binary":
                yield engine_of(EngineChoice("llama-server", binary=str(program(directory / "bin"))))
            case "attached" | "openai":
                server = stack.enter_context(EmbeddedServer.start(instance, Path(model), directory / "attached.log"))
                yield engine_of(EngineChoice("llama-server" if kind == "attached" else "openai", url=server.url))
            case "router":
                router = stack.enter_context(FakeRouter({"text": Path(model)}, instance, directory))
                yield engine_of(EngineChoice("llama-server", url=router.url, names={model: "text"}))
            case "ollama":
                url = stack.enter_context(fake_ollama({TAG: model}, directory))
                yield engine_of(EngineChoice("ollama", url=url, names={model: "text"}))
            case _:
                raise ValueError(kind)
