"""Starting the process of an embedded server: its command, options and environment, and how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmpredict.errors import EngineError, FileFormatError, InputError, StorageError
from mmpredict.live import engine_child
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.simulation.plan import InstancePlan

GGUF_MAGIC = b"GGUF"
# By its path and with -P: neither the working directory nor the package's directory can then hide a standard module.
EMBEDDED_CHILD = ("-P", engine_child.__file__)
ENGINE_VARIABLES = ("OMP_", "GOMP_", "KMP_", "LLAMA_", "GGML_")
"""Beginnings of the environment variables that the engine and its thread library obey."""
SIGNAL_HINTS = {
    "SIGKILL": " (the system does that when memory runs out)",
    "SIGILL": " (this build of the engine needs instructions that the processor lacks)",
}


def engine_options(instance: InstancePlan, model_path: Path) -> dict[str, Any]:
    """The options of ``engine_child`` for ``instance``."""
    return {
        "model_path": str(model_path.resolve()),
        "context_tokens": instance.context_tokens,
        "slots": instance.slots,
        "batch_tokens": instance.batch_tokens,
        "ubatch_tokens": instance.ubatch_tokens,
        "threads": instance.threads,
        "unified": int(instance.unified),
        "key_type": weight_type(instance.key_type).gguf_id,
        "value_type": weight_type(instance.value_type).gguf_id,
        "embedding": int(instance.embedding),
    }


def engine_environment(instance: InstancePlan, inherited: Mapping[str, str]) -> dict[str, str]:
    """``inherited`` without what would change the engine's behaviour behind the plan's back, and with the plan's spincount."""
    kept = {name: value for name, value in inherited.items() if not name.upper().startswith(ENGINE_VARIABLES)}
    if instance.spincount is not None:
        kept["GOMP_SPINCOUNT"] = str(instance.spincount)
    return kept


def check_model(path: Path) -> None:
    """Look whether ``path`` can be a model at all, before a process is started for it.

    Raises:
        InputError: it cannot be read; ``FileFormatError`` if it is not a GGUF file.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(len(GGUF_MAGIC))
    except OSError as error:
        raise InputError(f"cannot read the model file {path}: {error.strerror}") from error
    if magic != GGUF_MAGIC:
        raise FileFormatError(f"{path} is not a GGUF model file: it starts with {magic!r} instead of {GGUF_MAGIC!r}")


def spawn(instance: InstancePlan, log_path: Path, child: Sequence[str] = EMBEDDED_CHILD) -> subprocess.Popen[bytes]:
    """Start the process, which then waits for its options on standard input. Its pipes are unbuffered.

    Args:
        instance: the server.
        log_path: file that its standard error is written to; replaced if it exists.
        child: arguments of the Python interpreter.

    Raises:
        StorageError: ``log_path`` cannot be written.
        EngineError: the system starts no process.
    """
    try:
        log_path.parent.mkdir(parents=True, exist_ok=True)
        log = log_path.open("wb")
    except OSError as error:
        raise StorageError(f"cannot write the server's log {log_path}: {error.strerror}") from error
    with log:
        try:
            return subprocess.Popen(
                [sys.executable, *child],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                env=engine_environment(instance, os.environ),
            )
        except OSError as error:
            raise EngineError(f"cannot start a process for server {instance.name!r}: {error.strerror}") from error


def ending(code: int) -> str:
    """An exit status of ``subprocess`` in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}{SIGNAL_HINTS.get(name, '')}"
