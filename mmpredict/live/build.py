"""What a calibration can start and measure: the embedded llama.cpp, a llama-server program, and the one that Ollama runs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mmpredict.errors import EngineMissingError, InputError
from mmpredict.live.binary_server import DEFAULT_PROGRAM, BinaryServer, find_program, said
from mmpredict.live.choice import EMBEDDED, LLAMA_SERVER, OLLAMA
from mmpredict.live.embedded import EmbeddedServer, engine_build, require_engine
from mmpredict.live.server_process import ServerProcess
from mmpredict.simulation.plan import InstancePlan

CALIBRATED = (EMBEDDED, LLAMA_SERVER, OLLAMA)
"""Kinds of engines whose build a calibration can start."""

RUNNER_DIRECTORIES = ("../lib/ollama", "lib/ollama", ".")
"""Where Ollama keeps its llama-server, from its own program on: installed, Windows, macOS (Ollama ``llm/llama_binary.go``)."""

_OLLAMA_VERSION = re.compile(r"version is (\S+)")

Start = Callable[[InstancePlan, Path, Path], ServerProcess]
"""Starts a server of an instance, of a model file, that logs to a file; raises ``EngineError`` if it does not start."""


@dataclass(frozen=True, slots=True)
class Build:
    """One build of llama.cpp on this machine.

    Attributes:
        name: kind and version, by which its coefficients are kept: they hold for this build.
        start: starts servers of it.
    """

    name: str
    start: Start


def build_of_kind(kind: str, binary: str = "") -> Build:
    """The build that serves where a scenario has an engine of this kind.

    Args:
        kind: one of ``CALIBRATED``.
        binary: the program, a path or a name on ``PATH``; the usual one when empty.

    Raises:
        EngineMissingError: there is no such program.
        EngineError: it does not say what it is.
        InputError: the kind cannot be started, or has no program of its own.
    """
    if kind == EMBEDDED:
        if binary:
            raise InputError(f"the embedded engine has no program of its own; with {binary!r} belongs --engine {LLAMA_SERVER}")
        require_engine()
        return Build(engine_build(), EmbeddedServer.start)
    if kind == LLAMA_SERVER:
        program = find_program(binary or DEFAULT_PROGRAM)
        return Build(f"{kind} {program.build}".strip(), partial(BinaryServer.start, program))
    if kind == OLLAMA:
        path = _on_path(binary or OLLAMA)
        found = _OLLAMA_VERSION.findall(said(path, "--version"))
        return Build(" ".join([kind, *found[-1:]]), partial(BinaryServer.start, find_program(str(_runner(path)))))
    raise InputError(f"engine {kind!r} cannot be started and calibrated; one of {', '.join(CALIBRATED)} can")


def _on_path(name: str) -> Path:
    found = shutil.which(name)
    if found is None:
        raise EngineMissingError(f"{name!r} is no program on PATH; install Ollama (https://ollama.com), or give --binary PATH")
    return Path(found).resolve()


def _runner(ollama: Path) -> Path:
    """The llama-server that an Ollama program starts for every model."""
    places = [(ollama.parent / directory / DEFAULT_PROGRAM).resolve() for directory in RUNNER_DIRECTORIES]
    for place in places:
        if (found := shutil.which(place)) is not None:
            return Path(found)
    raise EngineMissingError(
        f"{ollama} has no {DEFAULT_PROGRAM} beside it (looked for {', '.join(map(str, places))}), as old versions "
        "that serve models themselves; measure such a one while it runs: mmpredict calibrate run ollama://TAG"
    )
