"""Ollama's scheduler (``server/sched.go``), in front of embedded llama.cpp servers: who is loaded, who waits, who goes."""

from __future__ import annotations

import contextlib
import hashlib
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmpredict.errors import EngineError
from mmpredict.live.embedded import EmbeddedServer
from mmpredict.simulation.plan import InstancePlan

BUSY = "server busy, please try again.  maximum pending requests exceeded"
RUNNER_OPTIONS = {"num_ctx": 4096, "num_batch": 512, "num_gpu": -1, "num_thread": 0}
POLL_S = 0.25  # after which Ollama looks again whether a runner is ready
LONGEST_S = 2**63 / 1e9  # Go's longest duration


class OllamaError(Exception):
    """An answer with a status other than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Model:
    """A model in the store.

    Attributes:
        name: with its tag.
        path: the file of its weights.
        options: of its Modelfile.
    """

    name: str
    path: Path
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.name} {self.path}".encode()).hexdigest()


@dataclass
class Runner:
    """A loaded model.

    Attributes:
        options: those that it was loaded with, and whether its context shifts.
        seats: requests that it serves at a time.
    """

    model: Model
    options: tuple[Any, ...]
    server: EmbeddedServer
    seats: threading.Semaphore
    references: int = 0
    session_s: float = 0.0
    expires_s: float = 0.0
    timer: threading.Timer | None = None


class Scheduler:
    """Loads one model at a time, in order of arrival; a request to a loaded model does not wait for that.

    Args:
        max_queue: ``OLLAMA_MAX_QUEUE``.
        max_loaded: ``OLLAMA_MAX_LOADED_MODELS``.
        parallel: ``OLLAMA_NUM_PARALLEL``.
        keep_alive_s: ``OLLAMA_KEEP_ALIVE`` [s].
        logs: where runners write.
    """

    def __init__(self, max_queue: int, max_loaded: int, parallel: int, keep_alive_s: float, logs: Path) -> None:
        self._pending: queue.Queue[tuple[Model, tuple[Any, ...], float | None, queue.Queue[Runner | Exception]]]
        self._pending = queue.Queue(max_queue)
        self._max_loaded, self._parallel, self._keep_alive_s, self._logs = max_loaded, parallel, keep_alive_s, logs
        self._loaded: dict[Path, Runner] = {}  # two names of one file share a runner
        self._change = threading.Condition()
        self._started = 0
        threading.Thread(target=self._process, daemon=True).start()

    @contextlib.contextmanager
    def runner(self, model: Model, options: dict[str, Any], shift: bool, keep_alive_s: float | None) -> Iterator[Runner]:
        """A runner for the time of one request.

        Raises:
            OllamaError: too many wait, or it could not be loaded.
        """
        wanted = (*(options.get(name, default) for name, default in RUNNER_OPTIONS.items()), shift)
        with self._change:
            found = self._loaded.get(model.path)
            if found is not None and found.options == wanted:
                self._use(found, keep_alive_s)
            else:
                found = None
        if found is None:
            answer: queue.Queue[Runner | Exception] = queue.Queue()
            try:
                self._pending.put_nowait((model, wanted, keep_alive_s, answer))
            except queue.Full:
                raise OllamaError(503, BUSY) from None
            got = answer.get()
            if isinstance(got, Exception):
                raise got
            found = got
        try:
            yield found
        finally:
            self._release(found)

    def expire(self, model: Model) -> None:
        """Unload ``model`` as soon as it is idle (``expireRunner``)."""
        with self._change:
            found = self._loaded.get(model.path)
            if found is not None:
                found.session_s = 0.0
                self._expire_when_idle(found)

    def loaded(self) -> list[Runner]:
        with self._change:
            return list(self._loaded.values())

    def _process(self) -> None:
        while True:
            model, options, keep_alive_s, answer = self._pending.get()
            try:
                answer.put(self._get(model, options, keep_alive_s))
            except Exception as error:
                answer.put(error)

    def _get(self, model: Model, options: tuple[Any, ...], keep_alive_s: float | None) -> Runner:
        while True:
            with self._change:
                found = self._loaded.get(model.path)
                if found is not None and found.options == options:
                    self._use(found, keep_alive_s)
                    return found
                victim = found
                if found is None and len(self._loaded) >= self._max_loaded:
                    victim = min(self._loaded.values(), key=lambda one: (one.references > 0, one.session_s, str(one.model.path)))
                if victim is not None:
                    victim.session_s = 0.0
                    self._expire_when_idle(victim)
                    self._change.wait_for(lambda gone=victim.model.path: gone not in self._loaded)
                    continue
            return self._load(model, options, keep_alive_s)

    def _load(self, model: Model, options: tuple[Any, ...], keep_alive_s: float | None) -> Runner:
        context_tokens, batch_tokens, _, threads, _ = options
        self._started += 1
        begin_s = time.perf_counter()
        plan = InstancePlan(
            model.name,
            model.name,
            threads=threads or 1,
            spincount=1000,
            context_tokens=context_tokens * self._parallel,
            slots=self._parallel,
            batch_tokens=batch_tokens,
            ubatch_tokens=batch_tokens,
            unified=False,
        )
        try:
            server = EmbeddedServer.start(plan, model.path, self._logs / f"runner-{self._started}.log")
        except EngineError as error:
            # What Ollama passes on are the last error lines of the runner's log.
            raise OllamaError(500, f"llama-server process has terminated: {error}") from error
        time.sleep(POLL_S - (time.perf_counter() - begin_s) % POLL_S)
        runner = Runner(model, options, server, threading.Semaphore(self._parallel), session_s=self._keep_alive_s)
        with self._change:
            self._loaded[model.path] = runner
            self._use(runner, keep_alive_s)
        return runner

    def _use(self, runner: Runner, keep_alive_s: float | None) -> None:
        runner.references += 1
        if runner.timer is not None:
            runner.timer.cancel()
            runner.timer = None
        if keep_alive_s is not None:
            runner.session_s = keep_alive_s

    def _release(self, runner: Runner) -> None:
        with self._change:
            runner.references -= 1
            if runner.references:
                return
            runner.expires_s = time.time() + runner.session_s
            if runner.session_s <= 0:
                self._expire_when_idle(runner)
            elif runner.session_s < LONGEST_S / 2:
                runner.timer = threading.Timer(runner.session_s, self._expired(runner))
                runner.timer.daemon = True
                runner.timer.start()

    def _expired(self, runner: Runner) -> Callable[[], None]:
        def expire() -> None:
            with self._change:
                if runner.timer is not None:
                    runner.session_s = 0.0
                    self._expire_when_idle(runner)

        return expire

    def _expire_when_idle(self, runner: Runner) -> None:
        if runner.references == 0 and runner.session_s <= 0 and runner.model.path in self._loaded:
            runner.server.stop()
            del self._loaded[runner.model.path]
            self._change.notify_all()


def seconds(value: object) -> float | None:
    """A ``keep_alive``: seconds, or a Go duration (``5m``, ``1h30m``, ``-1s``); negative for ever.

    Raises:
        OllamaError: it is neither.
    """
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        found = float(value)
    elif isinstance(value, str):
        found = _go_duration(value)
    else:
        raise OllamaError(400, f"Unsupported type: '{type(value).__name__}'")
    return LONGEST_S if found < 0 else found


def _go_duration(text: str) -> float:
    units = {"ms": 1e-3, "us": 1e-6, "ns": 1e-9, "h": 3600.0, "m": 60.0, "s": 1.0}
    rest, total, sign = text.lstrip("+-"), 0.0, -1.0 if text.startswith("-") else 1.0
    if rest == "0":
        return 0.0
    while rest:
        digits = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        unit = next((unit for unit in units if digits and rest[len(digits) :].startswith(unit)), None)
        if unit is None:
            kind = "missing unit in" if digits else "invalid"
            raise OllamaError(400, f'time: {kind} duration "{text}"')
        total += float(digits) * units[unit]
        rest = rest[len(digits) + len(unit) :]
    return sign * total if text.strip("+-") else math.nan
