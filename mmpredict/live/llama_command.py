"""llama-server's command line for an instance of a plan. Options: llama.cpp ``tools/server/README.md``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mmpredict.simulation.plan import DEFAULT_CACHE_TYPE, InstancePlan

HOST = "127.0.0.1"
_OPTION = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")
# "version: 8123 (1a2b3c4)"; since 0.5.0 "version: 0.5.0-dev (build 8123, commit 1a2b3c4)".
_VERSION = re.compile(r"version:\s*(\S+)(?:\s+\((?:build (?P<build>\d+), commit )?(?P<commit>\w+)\))?")


@dataclass(frozen=True, slots=True)
class Program:
    """A llama-server program.

    Attributes:
        path: where it is.
        options: that it knows.
        build: version, as it says itself.
    """

    path: Path
    options: frozenset[str]
    build: str


def known_options(help_text: str) -> frozenset[str]:
    """The options that ``--help`` tells of."""
    return frozenset(_OPTION.findall(help_text))


def build_of(version_text: str) -> str:
    """Number and commit of a build that ``--version`` tells, such as ``b8123 (1a2b3c4)``; empty if it tells none."""
    found = _VERSION.search(version_text)
    if found is None:
        return ""
    number = found["build"] or found[1]
    return f"b{number} ({found['commit']})" if found["commit"] else f"b{number}"


def server_command(program: Program, instance: InstancePlan, model_path: Path, port: int) -> list[str]:
    """The command that serves ``instance``, with such of the ``wished`` options as the program knows."""
    command = [str(program.path), "--model", str(model_path.resolve()), "--host", HOST, "--port", str(port)]
    command += ["--ctx-size", str(instance.context_tokens), "--parallel", str(instance.slots)]
    command += ["--batch-size", str(instance.batch_tokens), "--ubatch-size", str(instance.ubatch_tokens)]
    command += ["--threads", str(instance.threads), "--threads-batch", str(instance.threads)]
    for option, kind in (("--cache-type-k", instance.key_type), ("--cache-type-v", instance.value_type)):
        if kind != DEFAULT_CACHE_TYPE:
            command += [option, kind]
    if instance.embedding:
        command.append("--embedding")
    for words in wished(instance):
        if words[0] in program.options:
            command += words
    return command


def missing(program: Program, instances: Iterable[InstancePlan]) -> list[str]:
    """Options that the plan asks for and the program does not know, each once."""
    return list(dict.fromkeys(option[0] for one in instances for option in wished(one) if option[0] not in program.options))


def wished(instance: InstancePlan) -> list[tuple[str, ...]]:
    """Options that not every version has: those without which requests would depend on their order, and those that tell more."""
    return [
        ("--kv-unified",) if instance.unified else ("--no-kv-unified",),
        ("--cache-ram", "0"),
        ("--ctx-checkpoints", "0"),
        ("--no-cache-idle-slots",),
        ("--no-context-shift",),
        ("--metrics",),
        ("--slots",),
        ("--no-webui",),
        ("--offline",),
        ("--verbosity", "4"),  # the lowest level at which llama.cpp logs the sizes of its buffers
    ]
