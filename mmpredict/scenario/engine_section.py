"""``engine``: which servers a plan is run on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from mmpredict.scenario.strict import Strict

MAX_MODELS = 1000

Kind = Literal["embedded", "llama-server", "ollama", "openai"]
Url = Annotated[str, Field(max_length=2048)]
Name = Annotated[str, Field(max_length=4096)]


class EngineSection(Strict):
    """``[engine]``: the program that serves, and where it is. A prediction looks at the kind alone.

    Attributes:
        kind: the program.
        url: address of a server that runs.
        binary: the program of ``llama-server``, if one is to be started.
        chat: whether Ollama is asked through the models' chat templates.
        gpu_layers: layers that Ollama puts on the GPU; left to it if not given [1].
        urls: model → address of its server, where each has its own.
        names: model → its name at the server (Ollama's tag), where that is another one.
    """

    kind: Kind = "embedded"
    url: Url = ""
    binary: Name = "llama-server"
    chat: bool = False
    gpu_layers: int | None = Field(default=None, ge=0, le=10_000)
    urls: Annotated[dict[Name, Url], Field(max_length=MAX_MODELS)] = Field(default_factory=dict)
    names: Annotated[dict[Name, Name], Field(max_length=MAX_MODELS)] = Field(default_factory=dict)


def _table(value: Any) -> Any:
    """A name alone stands for a table with this kind."""
    if isinstance(value, str):
        return {"kind": value}
    if not isinstance(value, Mapping | EngineSection):
        raise ValueError(f"it is {value!r:.100}; write a name (ollama) or a table with kind = one of {', '.join(get_args(Kind))}")
    return value


EngineKey = Annotated[EngineSection, BeforeValidator(_table)]
"""``engine = "ollama"``, or the whole section."""
