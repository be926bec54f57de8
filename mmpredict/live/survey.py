"""Which engines answer on this machine, for people who ask what works."""

from __future__ import annotations

from dataclasses import dataclass

from mmpredict.errors import EngineMissingError, MmpredictError

PATIENCE_S = 0.5
USUAL_PORTS = (8080, 9931, 1234, 8000)  # llama-server and llama-swap, llama-server to be, LM Studio, vLLM


@dataclass(frozen=True, slots=True)
class FoundEngine:
    """An engine that can be used.

    Attributes:
        kind: as ``[engine] kind`` has it.
        what: program, version, and what it has, for people.
        where: address or path; empty for the embedded one.
    """

    kind: str
    what: str
    where: str = ""


def find_engines() -> list[FoundEngine]:
    """The embedded engine, a program on ``PATH``, Ollama at its address, and servers at the usual ports."""
    found = [*_embedded(), *_program(), *_ollama()]
    for port in USUAL_PORTS:
        found += _at(f"http://127.0.0.1:{port}")
    return found


def build_of(kind: str, url: str, binary: str) -> str:
    """The build of an engine, as it says itself; empty where it does not, or does not answer.

    Args:
        kind: as ``[engine] kind`` has it.
        url: its address; empty for Ollama's usual one, or where a program is started.
        binary: the program of ``llama-server``.
    """
    from mmpredict.live.binary_server import find_program
    from mmpredict.live.client import CompletionClient
    from mmpredict.live.describe import ollama_address
    from mmpredict.live.ollama_client import OllamaClient
    from mmpredict.models.answers import Props, parsed

    try:
        if kind == "ollama":
            with OllamaClient(url or ollama_address()) as ollama:
                return ollama.version(PATIENCE_S)
        if kind == "llama-server" and not url:
            return find_program(binary).build
        if kind == "llama-server":
            with CompletionClient(url) as client:
                return parsed(Props, client.ask("/props", timeout_s=PATIENCE_S), "llama-server's /props").build_info
    except MmpredictError:
        pass  # whoever runs it complains
    return ""


def _embedded() -> list[FoundEngine]:
    from mmpredict.live.embedded import engine_build

    try:
        return [FoundEngine("embedded", engine_build())]
    except EngineMissingError:
        return []


def _program() -> list[FoundEngine]:
    from mmpredict.live.binary_server import find_program

    try:
        program = find_program()
    except MmpredictError:
        return []
    return [FoundEngine("llama-server", f"llama-server {program.build}".strip(), str(program.path))]


def _ollama() -> list[FoundEngine]:
    from mmpredict.live.describe import ollama_address
    from mmpredict.live.ollama_client import OllamaClient

    try:
        with OllamaClient(ollama_address()) as client:
            version = client.version(PATIENCE_S)
            models, loaded = len(client.tags()), len(client.loaded())
    except MmpredictError:
        return []
    return [FoundEngine("ollama", f"ollama {version}, {models} models, {loaded} of them loaded", client.url)]


def _at(url: str) -> list[FoundEngine]:
    """What answers at an address: a llama-server, which has ``/props``, or another server of OpenAI's protocol."""
    from mmpredict.live.attached import is_router
    from mmpredict.live.client import CompletionClient
    from mmpredict.live.describe import served_by
    from mmpredict.live.openai_client import OpenAIClient

    try:
        with CompletionClient(url) as client:
            client.ask("/props", timeout_s=PATIENCE_S)
        if is_router(url):
            return [FoundEngine("llama-server", "llama-server, a router", url)]
        served = served_by(url)
        what = f"llama-server {served.build} with {served.name}, {served.slots} slots of {served.context_tokens} tokens"
        return [FoundEngine("llama-server", what, url)]
    except MmpredictError:
        pass
    try:
        with OpenAIClient(url) as server:
            return [FoundEngine("openai", f"a server of OpenAI's protocol, {len(server.models(PATIENCE_S))} models", url)]
    except MmpredictError:
        return []
