"""Which engine serves: the choice that a scenario makes, and the engine of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mmpredict.live.engine import Engine

EMBEDDED, LLAMA_SERVER, OLLAMA, OPENAI = KINDS = ("embedded", "llama-server", "ollama", "openai")


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """An engine and where it is; see ``docs/engines.md``.

    Attributes:
        kind: one of ``KINDS``.
        url: address of the server, or of the one for all models that have no other; empty for the usual one, or none.
        binary: the program of ``llama-server``.
        chat: whether Ollama is asked through the models' chat templates.
        gpu_layers: layers that Ollama puts on the GPU; ``None`` leaves it to Ollama [1].
        urls: model → address of its server.
        names: model → its name at the server.
    """

    kind: str = EMBEDDED
    url: str = ""
    binary: str = "llama-server"
    chat: bool = False
    gpu_layers: int | None = None
    urls: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)


def engine_of(choice: EngineChoice) -> Engine:
    """The engine that is chosen; only what it needs is imported."""
    if choice.kind == LLAMA_SERVER:
        from mmpredict.live.llama_server_engine import LlamaServerEngine

        return LlamaServerEngine(choice.binary, choice.url, choice.urls, choice.names)
    if choice.kind == OLLAMA:
        from mmpredict.live.ollama_engine import OllamaEngine

        return OllamaEngine(choice.url, choice.names, choice.chat, choice.gpu_layers)
    if choice.kind == OPENAI:
        from mmpredict.live.openai_engine import OpenAIEngine

        return OpenAIEngine(choice.url, choice.urls, choice.names)
    from mmpredict.live.embedded_engine import EmbeddedEngine

    return EmbeddedEngine()
