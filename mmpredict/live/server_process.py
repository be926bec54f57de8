"""A server that runs in a child process of this one, whatever program it is.

A server never outlives this process: ``atexit`` stops every one, and a lifeline (see ``engine_child``) ends them when this
process is killed.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, Self

from mmpredict.errors import EngineError, ServerDiedError
from mmpredict.live import engine_log
from mmpredict.live.engine_process import ending
from mmpredict.live.idleness import Idleness

EXIT_TIMEOUT_S = 10.0
LONGEST_IDLE_S = 60.0
"""A process that loads a model and neither computes nor reads for so long is given up: it was stopped, or waits for ever."""
IDLE_POLL_S = 1.0
HEALTH_INTERVAL_S = 0.01
MAX_REPORT_BYTES = 65536
LOG_DELAY_S, LOG_POLL_S = 1.0, 0.02  # of the log behind what the server does


class Ending(Protocol):
    """What must be ended when this process, or a run of it, ends.

    Attributes:
        owner_pid: the process that began it.
    """

    owner_pid: int

    def kill(self) -> None:
        """Make it end soon, without waiting."""

    def stop(self) -> None:
        """End it, and wait until it has."""


_running: set[Ending] = set()
_running_lock = threading.Lock()


def keep(ending: Ending) -> None:
    """Have ``stop_all`` end it, until it is ``forget``-ed."""
    with _running_lock:
        _running.add(ending)


def forget(ending: Ending) -> None:
    """It has ended."""
    with _running_lock:
        _running.discard(ending)


class ServerProcess:
    """One server in a child process; used as a context manager, it is stopped at the end.

    Attributes:
        name: name of the instance.
        pid: number of the process that serves.
        url: ``http://127.0.0.1:PORT``.
        load_s: from the start of the process until it was ready and healthy [s].
        log_path: what the server printed.
        owner_pid: the process that started it.
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes], log_path: Path) -> None:
        self.name = name
        self.pid = process.pid
        self.url = ""
        self.load_s = 0.0
        self.log_path = log_path
        self._process = process
        self.owner_pid = os.getpid()
        self._killed = False
        self._stop_lock = threading.Lock()
        keep(self)

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
            try:
                self._process.wait(EXIT_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
        forget(self)

    def buffer_bytes(self) -> dict[str, int]:
        """Sizes of llama.cpp's buffers by its own log [bytes]; see ``engine_log.buffer_bytes``."""
        until_s = time.perf_counter() + LOG_DELAY_S
        while not engine_log.tells_ready(self.log_path) and time.perf_counter() < until_s:
            time.sleep(LOG_POLL_S)
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

    def _first_report(self, message: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """What the child reports, as one line of JSON on its standard output, once it was sent ``message``; empty if it ended.

        Raises:
            EngineError: nothing within ``timeout_s``, or the process does nothing at all.
        """
        reports: list[dict[str, Any]] = []
        # A pipe cannot be read with a time limit on every system; a thread can be waited for.
        reader = threading.Thread(target=self._exchange, args=(message, reports), daemon=True)
        reader.start()
        deadline_s, idleness = time.perf_counter() + timeout_s, Idleness(self.pid)
        while reader.is_alive():
            reader.join(min(IDLE_POLL_S, max(0.0, deadline_s - time.perf_counter())))
            if reader.is_alive() and (trouble := self._trouble(deadline_s, timeout_s, idleness)):
                self.kill()
                reader.join()
                raise EngineError(trouble)
        return reports[0] if reports else {}

    def _exchange(self, message: dict[str, Any], reports: list[dict[str, Any]]) -> None:
        """Send ``message`` and collect the report; nothing is collected if the process ends before."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        with contextlib.suppress(OSError, ValueError):  # a pipe that broke, or that ``stop`` closed
            stdin.write(json.dumps(message).encode() + b"\n")
            while line := stdout.readline(MAX_REPORT_BYTES):
                with contextlib.suppress(ValueError, TypeError):  # something in the interpreter's start-up may print
                    reports.append(dict(json.loads(line)))
                    return

    def _await_health(self, deadline_s: float, timeout_s: float, phase: str = "as soon as it was ready") -> None:
        from mmpredict.live.client import CompletionClient

        idleness, looked_s = Idleness(self.pid), time.perf_counter()
        with CompletionClient(self.url) as client:
            while not client.health():
                if not self.alive():
                    raise ServerDiedError(f"server {self.name!r} ended {phase}: {self.death()}")
                if time.perf_counter() > min(deadline_s, looked_s + IDLE_POLL_S):
                    looked_s = time.perf_counter()
                    if trouble := self._trouble(deadline_s, timeout_s, idleness):
                        raise EngineError(trouble)
                time.sleep(HEALTH_INTERVAL_S)

    def _trouble(self, deadline_s: float, timeout_s: float, idleness: Idleness) -> str:
        """Why a load is given up; empty while it is not."""
        last = f"last in its log {self.log_path}: {engine_log.last_line(self.log_path)}"
        if time.perf_counter() >= deadline_s:
            return f"server {self.name!r} was not ready within {timeout_s:g} s; {last}"
        if idleness.idle_s() >= LONGEST_IDLE_S:
            return f"server {self.name!r} did nothing for {LONGEST_IDLE_S:g} s while it should load: is its process stopped? {last}"
        return ""


def stop_all() -> None:
    """Stop every server that this process has started and not yet stopped, and give up those of others that it uses."""
    with _running_lock:
        servers = [server for server in _running if server.owner_pid == os.getpid()]  # not those of a process forked from
    for server in servers:
        server.kill()  # so that they end at the same time
    for server in servers:
        with contextlib.suppress(EngineError):  # one of others that does not answer any more
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
