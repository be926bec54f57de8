"""One embedded llama.cpp server: a child process that serves one model on the loopback interface."""

from __future__ import annotations

import contextlib
import importlib.metadata
import subprocess
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from mmpredict.errors import EngineError, EngineMissingError, ServerDiedError
from mmpredict.live import engine_log
from mmpredict.live.engine_process import check_model, engine_options, spawn
from mmpredict.live.server_process import EXIT_TIMEOUT_S, ServerProcess, _running, stop_all
from mmpredict.simulation.plan import InstancePlan

__all__ = ["EmbeddedServer", "StartTimes", "_running", "engine_build", "require_engine", "stop_all"]

ENGINE = "xllamacpp"
INSTALL_HINT = "install it with: pip install 'mmpredict[embedded]'"
START_TIMEOUT_S = 600.0


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


class EmbeddedServer(ServerProcess):
    """One running server; made by ``start``.

    Attributes:
        times: the parts of ``load_s``.
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes], log_path: Path) -> None:
        super().__init__(name, process, log_path)
        self.times = StartTimes(0.0, 0.0, 0.0, 0.0)

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

    def _await_report(self, options: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        report = self._first_report(options, timeout_s)
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
