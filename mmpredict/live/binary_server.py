"""A llama-server program of this machine, run as a child process that serves one model on the loopback interface."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from mmpredict.errors import EngineError, EngineMissingError
from mmpredict.live import binary_child
from mmpredict.live.engine_process import check_model, engine_environment, spawn
from mmpredict.live.llama_command import HOST, Program, build_of, known_options, server_command
from mmpredict.live.server_process import ServerProcess
from mmpredict.simulation.plan import InstancePlan

DEFAULT_PROGRAM = "llama-server"
START_TIMEOUT_S = 600.0
QUESTION_TIMEOUT_S = 30.0
KEEPER = ("-I", "-S", binary_child.__file__)  # isolated and without site: it starts in 10 ms


class BinaryServer(ServerProcess):
    """One running program; made by ``start``. Its ``pid`` is the program's own, which a keeper (``binary_child``) looks after."""

    @classmethod
    def start(
        cls, program: Program, instance: InstancePlan, model_path: Path, log_path: Path, timeout_s: float = START_TIMEOUT_S
    ) -> Self:
        """Start a server and wait until it answers.

        Args:
            program: what is run.
            instance: the options.
            model_path: GGUF file to serve.
            log_path: file to write the program's output to; replaced if it exists.
            timeout_s: longest wait [s].

        Raises:
            InputError: there is no such model file; ``FileFormatError`` if it is not a GGUF file.
            ServerDiedError: the process ended while it loaded the model; the message carries the reason from the log.
            EngineError: not ready within ``timeout_s``, or the process could not be started.
            StorageError: the log cannot be written.
        """
        check_model(model_path)
        from mmpredict.live.client import CompletionClient

        CompletionClient("http://127.0.0.1").close()  # what a client needs is imported now, before the clock starts

        port = _free_port()
        command = server_command(program, instance, model_path, port)
        start_s = time.perf_counter()
        server = cls(instance.name, spawn(instance, log_path, KEEPER), log_path)
        try:
            report = server._first_report({"command": command}, timeout_s)
            if "pid" not in report:
                words = report.get("error") or server.death()
                raise EngineError(f"cannot start {program.path} for server {instance.name!r}: {words}")
            server.pid = int(report["pid"])
            server.url = f"http://{HOST}:{port}"
            server._await_health(start_s + timeout_s, timeout_s, "while it loaded its model")
        except BaseException:
            server.stop()
            raise
        server.load_s = time.perf_counter() - start_s
        return server

    def kill(self) -> None:
        """Tell the program to end, without waiting for it; ``stop`` is still due."""
        self._killed = self._killed or self.alive()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()  # the lifeline: the keeper kills the program and waits for its end


def find_program(name: str = DEFAULT_PROGRAM) -> Program:
    """The llama-server program called ``name``.

    Args:
        name: a path, or what to look for on ``PATH``.

    Raises:
        EngineMissingError: there is none.
        EngineError: it does not say what it is.
    """
    found = shutil.which(name)
    if found is None:
        raise EngineMissingError(
            f"{name!r} is no program on PATH; install llama.cpp (https://github.com/ggml-org/llama.cpp), or give its path: "
            '[engine] binary = "/path/to/llama-server"'
        )
    path = Path(found).resolve()
    options = known_options(said(path, "--help"))
    if "--parallel" not in options:
        raise EngineError(f"{path} is no llama-server: its --help tells of no --parallel")
    return Program(path, options, build_of(said(path, "--version")))


def said(path: Path, option: str) -> str:
    """What a program prints, to either stream: builds differ in which.

    Raises:
        EngineError: it does not answer.
    """
    environment = engine_environment(InstancePlan("", "", 1), os.environ)
    try:
        done = subprocess.run(
            [path, option], stdin=subprocess.DEVNULL, capture_output=True, timeout=QUESTION_TIMEOUT_S, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"{path} {option} does not answer: {error}") from error
    return (done.stdout + done.stderr).decode(errors="replace")


def _free_port() -> int:
    """A port that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port
