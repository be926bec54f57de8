"""The scenario file: hardware, server options, models, strategies and requests in one TOML document."""

from __future__ import annotations

import difflib
import itertools
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmpredict.errors import FileFormatError, InputError
from mmpredict.hardware.detect import THIS_MACHINE
from mmpredict.models.resolve import resolve
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import (
    DEFAULT_BATCH_TOKENS,
    DEFAULT_CONTEXT_TOKENS,
    DEFAULT_SLOTS,
    DEFAULT_UBATCH_TOKENS,
    Plan,
)
from mmpredict.strategy.options import ServerOptions
from mmpredict.strategy.table import STRATEGIES, make_plan
from mmpredict.workload.request import Request, Workload

MAX_FILE_BYTES = 16_000_000
MAX_REQUESTS = 100_000


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSection(_Strict):
    """``[server]``: options of every server (see ``InstancePlan``)."""

    context_tokens: int = DEFAULT_CONTEXT_TOKENS
    slots: int = DEFAULT_SLOTS
    batch_tokens: int = DEFAULT_BATCH_TOKENS
    ubatch_tokens: int = DEFAULT_UBATCH_TOKENS


class RequestSection(_Strict):
    """One ``[[requests]]`` entry; ``count`` equal requests."""

    model: str
    prompt_tokens: int
    output_tokens: int
    arrival_s: float = 0.0
    count: int = Field(default=1, ge=1, le=MAX_REQUESTS)
    id: str = ""


class Scenario(_Strict):
    """One question: these models, these requests, this machine, these ways of running them.

    Attributes:
        hardware: profile name or file.
        strategies: short names, in the order in which they are shown.
        cold: whether model files are read from storage at first.
        server: options of every server.
        requests: what is asked.
        base: directory from which relative model paths are meant.
    """

    hardware: str = THIS_MACHINE
    strategies: tuple[str, ...] = tuple(STRATEGIES)
    cold: bool = False
    server: ServerSection = ServerSection()
    requests: tuple[RequestSection, ...] = Field(min_length=1)
    base: Path | None = Field(default=None, exclude=True)

    def workload(self) -> Workload:
        """The requests.

        Raises:
            InputError: a request is out of range, or there are too many.
        """
        if sum(section.count for section in self.requests) > MAX_REQUESTS:
            raise InputError(f"the scenario holds more than {MAX_REQUESTS} requests")
        given = {section.id for section in self.requests}
        free = (name for number in itertools.count(1) if (name := f"r{number}") not in given)
        made: list[Request] = []
        for section in self.requests:
            for number in range(1, section.count + 1):
                name = section.id + (f".{number}" if section.count > 1 else "") if section.id else next(free)
                made.append(Request(name, section.model, section.prompt_tokens, section.output_tokens, section.arrival_s))
        return Workload(tuple(made))

    def specs(self) -> dict[str, ModelSpec]:
        """Model name → model, for every model asked.

        Raises:
            InputError: a model cannot be resolved.
        """
        return {name: resolve(name, self.base) for name in dict.fromkeys(section.model for section in self.requests)}

    def plans(self, cores: int) -> list[Plan]:
        """The plan of every strategy.

        Raises:
            UnknownNameError: no such strategy.
        """
        options = ServerOptions(**self.server.model_dump())
        models = list(dict.fromkeys(section.model for section in self.requests))
        return [make_plan(name, models, cores, options) for name in dict.fromkeys(self.strategies)]


def read_scenario(path: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        InputError: the file cannot be read.
        FileFormatError: it is not TOML, has an unknown key or an unusable value; the message names it.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise FileFormatError(f"{path} is larger than {MAX_FILE_BYTES} bytes; it is no scenario")
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"cannot read scenario {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{path} is not TOML: {error}") from error
    if "base" in data:  # a field that no file sets
        raise FileFormatError(f"{path}: unknown key 'base'; allowed: {', '.join(sorted(_KEYS['']))}")
    data["base"] = path.resolve().parent
    try:
        return Scenario.model_validate(data)
    except ValidationError as error:
        raise FileFormatError(f"{path}: {_explain(error)}") from error


_KEYS: dict[str, Iterable[str]] = {
    "requests": RequestSection.model_fields,
    "server": ServerSection.model_fields,
    "": [name for name in Scenario.model_fields if name != "base"],
}


def _explain(error: ValidationError) -> str:
    found: list[Any] = error.errors()  # a misspelt key is also a missing one; its own complaint says more
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    place = [str(part) for part in first["loc"]]
    where = ".".join(place) or "scenario"
    if first["type"] == "extra_forbidden":
        section = place[0] if len(place) > 1 else ""
        allowed = sorted(_KEYS[section])
        near = difflib.get_close_matches(place[-1], allowed, n=1)
        return f"unknown key {where!r}; " + (f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(allowed)}")
    return f"{where}: {first['msg']} (found {first['input']!r})" if first["type"] != "missing" else f"{where} is missing"
