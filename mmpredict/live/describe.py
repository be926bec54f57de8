"""Models as running servers describe them: asking the server, and passing its answer to ``models.servers``."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from mmpredict.errors import EngineError, InputError
from mmpredict.live.failure import RequestFailure
from mmpredict.models.resolve import resolve

if TYPE_CHECKING:
    from mmpredict.models.servers import ServedModel
    from mmpredict.models.spec import ModelSpec

HTTP, OLLAMA = "http://", "ollama://"
OLLAMA_ADDRESS = "http://127.0.0.1:11434"
ANSWER_TIMEOUT_S = 30.0


def is_served(name: str) -> bool:
    """Whether a model's name means a running server: ``http://127.0.0.1:PORT`` or ``ollama://TAG``."""
    return name.startswith((HTTP, OLLAMA))


def describe(name: str) -> ModelSpec:
    """Describe a model that a server of this machine has.

    Args:
        name: ``http://127.0.0.1:PORT`` for what a llama-server serves there, ``ollama://TAG`` for a model of the Ollama at
            ``OLLAMA_HOST`` (or its usual address).

    Raises:
        InputError: the name has neither form, or the answer cannot be used.
        EngineError: no server answers as it should.
    """
    from mmpredict.models.servers import spec_of_served

    if name.startswith(OLLAMA):
        return replace(describe_tag(name.removeprefix(OLLAMA)), name=name)
    if name.startswith(HTTP):
        return replace(spec_of_served(served_by(name)), name=name)
    raise InputError(f"{name!r} names no server; write http://127.0.0.1:PORT or ollama://TAG")


def spec_of(name: str, base: Path | None = None) -> ModelSpec:
    """Describe the model called ``name``: what ``resolve`` knows, or a running server has.

    Args:
        name: see ``describe`` and ``models.resolve.resolve``.
        base: directory from which a relative path is meant.

    Raises:
        EngineError: no server answers as it should.
        InputError: there is no such model, or the answer cannot be used.
    """
    return describe(name) if is_served(name) else resolve(name, base)


def ollama_address() -> str:
    """Where Ollama listens: ``OLLAMA_HOST``, which may lack scheme and port, or its usual address."""
    host = os.environ.get("OLLAMA_HOST", "").strip().removeprefix(HTTP).rstrip("/")
    if not host:
        return OLLAMA_ADDRESS
    name, _, port = host.rpartition(":") if host.rpartition(":")[2].isdigit() else (host, "", "")
    name = "127.0.0.1" if name in ("", "0.0.0.0") else name  # the address of all interfaces is where it listens, not where it is
    return f"{HTTP}{name}:{port or OLLAMA_ADDRESS.rpartition(':')[2]}"


def describe_tag(tag: str) -> ModelSpec:
    """What Ollama says of a model that it has.

    Raises:
        InputError: ``tag`` is empty, or the answer cannot be used.
        EngineError: no Ollama answers, or it does not have the model.
    """
    from mmpredict.models.servers import spec_from_show

    if not tag:
        raise InputError(f"{OLLAMA!r} names no model; write for example ollama://qwen2.5:7b")
    answer = _ask(
        ollama_address(), "/api/show", {"model": tag, "verbose": True}, f"start it (ollama serve), or get it (ollama pull {tag})"
    )
    return spec_from_show(answer, tag)


def served_by(url: str, model: str = "") -> ServedModel:
    """What the llama-server at ``url`` says that it serves.

    Args:
        url: its address.
        model: for a router, the model that is meant.

    Raises:
        InputError: the answer cannot be used, or it is a router's.
        EngineError: no llama-server answers there.
    """
    from mmpredict.models.servers import served_model

    hint = "start it with: llama-server -m MODEL.gguf --port PORT"
    props = _ask(url, f"/props?model={quote(model, safe='')}" if model else "/props", None, hint)
    try:
        models: object | None = _ask(url, "/v1/models", None, hint)
    except EngineError:
        models = None  # an old server: its file may still tell
    return served_model(props, models)


def _ask(url: str, path: str, body: dict[str, object] | None, hint: str) -> object:
    from mmpredict.live.client import CompletionClient

    with CompletionClient(url) as client:
        try:
            return client.ask(path, body, ANSWER_TIMEOUT_S)
        except RequestFailure as failure:
            raise EngineError(f"{url}{path} gives no description of a model ({failure}); {hint}") from failure
