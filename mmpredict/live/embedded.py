"""One embedded llama.cpp server: a child process that serves one model on the loopback interface.

A server never outlives this process: ``atexit`` stops every one, and a lifeline (see ``engine_child``) ends them when this
process is killed.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.metadata
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from mmpredict.errors import EngineError, EngineMissingError, ServerDiedError
from mmpredict.live import engine_log
from mmpredict.live.engine_process import check_model, ending, engine_options, spawn
from mmpredict.simulation.plan import InstancePlan

ENGINE = "xllamacpp"
INSTALL_HINT = "install it with: pip install 'mmpredict[embedded]'"
START_TIMEOUT_S = 600.0
EXIT_TIMEOUT_S = 10.0
HEALTH_INTERVAL_S = 0.01
MAX_REPORT_BYTES = 65536

_running: set[EmbeddedServer] = set()
_running_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class StartTimes:
    """Where the time of a start went [s].

    Attributes:
        process_s: operating system and Python interpreter.
        import_s: import of the engine.
        load_s: llama.cpp reads the model, reserves its buffers and warms up.
        health_s: from the engine's report to the first good answer of ``/health``.
    """

    process_s: float
    import_s: float
    load_s: float
    health_s: float


class EmbeddedServer:
    """One running server; made by ``start``. Used as a context manager, it is stopped at the end.

    Attributes:
        name: name of the instance.
        pid: process number.
        url: ``http://127.0.0.1:PORT``.
        load_s: from the start of the process until it was ready and healthy [s].
        times: the parts of ``load_s``.
        log_path: what llama.cpp printed.
        owner_pid: the process that started it.
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes], log_path: Path) -> None:
        self.name = name
        self.pid = process.pid
        self.url = ""
        self.load_s = 0.0
        self.times = StartTimes(0.0, 0.0, 0.0, 0.0)
        self.log_path = log_path
        self._process = process
        self.owner_pid = os.getpid()
        self._killed = False
        self._stop_lock = threading.Lock()

    @classmethod
    def start(cls, instance: InstancePlan, model_path: Path, log_path: Path, timeout_s: float = START_TIMEOUT_S) -> Self:
        """Start a server and wait until it answers.

        Args:
            instance: the options.
            model_path: GGUF file to serve.
            log_path: file to write llama.cpp's log to; replaced if it exists.
            timeout_s: longest wait [s].

        Raises:
            EngineMissingError: the engine is not installed, or cannot be imported.
            InputError: there is no such model file; ``FileFormatError`` if it is not a GGUF file.
            ServerDiedError: the process ended while it loaded the model; the message carries the reason from the log.
            EngineError: not ready within ``timeout_s``, or the process could not be started.
            StorageError: the log cannot be written.
        """
        require_engine()
        check_model(model_path)
        from mmpredict.live.client import CompletionClient

        CompletionClient("http://127.0.0.1").close()  # what a client needs is imported now, before the clock starts

        start_s = time.perf_counter()
        server = cls(instance.name, spawn(instance, log_path), log_path)
        with _running_lock:
            _running.add(server)
        try:
            report = server._await_report(engine_options(instance, model_path), timeout_s)
            reported_s = time.perf_counter()
            server.url = str(report["address"])
            if not server.url.startswith("http://127.0.0.1:"):
                raise EngineError(f"server {server.name!r} listens on {server.url}, which is not the loopback interface")
            server._await_health(start_s + timeout_s, timeout_s)
            ready_s = time.perf_counter()
        except BaseException:
            server.stop()
            raise
        import_s, load_s = float(report["import_s"]), float(report["load_s"])
        server.load_s = ready_s - start_s
        server.times = StartTimes(reported_s - start_s - import_s - load_s, import_s, load_s, ready_s - reported_s)
        return server

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Tell the process to end, without waiting for it; ``stop`` is still due."""
        self._killed = self._killed or self.alive()
        self._process.kill()

    def stop(self) -> None:
        """End the process and wait until its memory is free again. Does nothing the second time."""
        with self._stop_lock:
            self.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
        with _running_lock:
            _running.discard(self)

    def buffer_bytes(self) -> dict[str, int]:
        """Sizes of llama.cpp's buffers by its own log [bytes]; see ``engine_log.buffer_bytes``."""
        return engine_log.buffer_bytes(self.log_path)

    def death(self) -> str:
        """How the process ended, in words, with the reason from its log; empty while it runs."""
        code = self._process.poll()
        if code is None:
            return ""
        if self._killed:
            return "it was stopped"
        told = engine_log.cause(self.log_path) or engine_log.last_line(self.log_path)
        return "; ".join(filter(None, (ending(code), told, f"log: {self.log_path}")))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _await_report(self, options: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        reports: list[dict[str, Any]] = []
        # A pipe cannot be read with a time limit on every system; a thread can be waited for.
        reader = threading.Thread(target=self._exchange, args=(options, reports), daemon=True)
        reader.start()
        reader.join(timeout_s)
        if reader.is_alive():
            self.kill()
            reader.join()
            raise EngineError(self._late(timeout_s))
        report = reports[0] if reports else {}
        if "address" in report:
            return report
        with contextlib.suppress(subprocess.TimeoutExpired):  # the log is complete once the process has ended
            self._process.wait(EXIT_TIMEOUT_S)
        if report.get("kind") == "missing":
            raise EngineMissingError(f"the embedded engine cannot be imported ({report.get('error')}); {INSTALL_HINT}")
        if report.get("kind") == "options":
            raise EngineError(f"server {self.name!r} rejects its options: {report.get('error')}")
        if report.get("kind") == "load":
            words = engine_log.cause(self.log_path) or report.get("error")
            raise ServerDiedError(f"server {self.name!r} could not load its model: {words}; log: {self.log_path}")
        raise ServerDiedError(f"server {self.name!r} ended while it loaded its model: {self.death()}")

    def _exchange(self, options: dict[str, Any], reports: list[dict[str, Any]]) -> None:
        """Send the options and collect the report; nothing is collected if the process ends before."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        with contextlib.suppress(OSError, ValueError):  # a pipe that broke, or that ``stop`` closed
            stdin.write(json.dumps(options).encode() + b"\n")
            while line := stdout.readline(MAX_REPORT_BYTES):
                with contextlib.suppress(ValueError, TypeError):  # something in the interpreter's start-up may print
                    reports.append(dict(json.loads(line)))
                    return

    def _await_health(self, deadline_s: float, timeout_s: float) -> None:
        from mmpredict.live.client import CompletionClient

        with CompletionClient(self.url) as client:
            while not client.health():
                if not self.alive():
                    raise ServerDiedError(f"server {self.name!r} ended as soon as it was ready: {self.death()}")
                if time.perf_counter() > deadline_s:
                    raise EngineError(self._late(timeout_s))
                time.sleep(HEALTH_INTERVAL_S)

    def _late(self, timeout_s: float) -> str:
        last = engine_log.last_line(self.log_path)
        return f"server {self.name!r} was not ready within {timeout_s:g} s; last in its log {self.log_path}: {last}"


def stop_all() -> None:
    """Stop every server that this process has started and not yet stopped."""
    with _running_lock:
        servers = [server for server in _running if server.owner_pid == os.getpid()]  # not those of a process forked from
    for server in servers:
        server.kill()  # so that they end at the same time
    for server in servers:
        server.stop()


atexit.register(stop_all)


@contextlib.contextmanager
def ending_servers() -> Iterator[None]:
    """Stop every server if the block does not end well: what waits for them ends too, and thread pools can close."""
    try:
        yield
    except BaseException:
        stop_all()
        raise


def require_engine() -> None:
    """Make sure that servers can be started.

    Raises:
        EngineMissingError: the engine is not installed.
    """
    if find_spec(ENGINE) is None:
        raise EngineMissingError(f"the embedded engine is not installed; {INSTALL_HINT}")


def engine_build() -> str:
    """Name and version of the engine, for example ``xllamacpp 2026.10.11549``: coefficients hold for one build.

    Raises:
        EngineMissingError: it is not installed.
    """
    try:
        return f"{ENGINE} {importlib.metadata.version(ENGINE)}"
    except importlib.metadata.PackageNotFoundError:
        raise EngineMissingError(f"the embedded engine is not installed; {INSTALL_HINT}") from None
