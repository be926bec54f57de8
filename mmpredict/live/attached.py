"""llama-servers that somebody else started: one that serves a model, and a router's models."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import psutil

from mmpredict.errors import EngineError, InputError, UnknownNameError
from mmpredict.hardware.telemetry import memory_bytes
from mmpredict.live.answer import Completion
from mmpredict.live.client import CompletionClient, unique_prompt
from mmpredict.live.failure import RequestFailure
from mmpredict.live.held import HeldServer
from mmpredict.live.server_state import busy_slots, metric

LOAD_TIMEOUT_S = 600.0
UNLOAD_TIMEOUT_S = 30.0
POLL_S = 0.02
READY = ("loaded", "sleeping")


@dataclass(frozen=True, slots=True)
class AttachedServer:
    """A running llama-server, as the executor sees it (see ``Server``); it is never stopped.

    Attributes:
        client: asks it.
        held: leaves it as it was found.
        vocabulary: size of the model's vocabulary [1].
        model: for a router, the model's name there.
        pid: the process whose memory counts, where that can be seen.
        attached: whether the model was loaded before; a router's is loaded and unloaded.
    """

    client: CompletionClient
    held: HeldServer
    vocabulary: int
    model: str = ""
    pid: int | None = None
    attached: bool = True

    def prompt(self, tokens: int, seed: int) -> list[int]:
        """See ``Server``."""
        return unique_prompt(tokens, seed, self.vocabulary)

    def stream(
        self,
        prompt: Sequence[int],
        output_tokens: int,
        timeout_s: float,
        on_token: Callable[[float], None] | None = None,
        reuse: bool = False,
    ) -> Completion:
        """See ``Server``."""
        return self.client.stream(prompt, output_tokens, timeout_s, on_token, reuse, self.model)

    def alive(self) -> bool:
        """See ``Server``."""
        return self.pid is None or psutil.pid_exists(self.pid)

    def memory_bytes(self) -> float:
        """See ``Server``."""
        return float("nan") if self.pid is None else memory_bytes(self.pid)

    def stop(self) -> None:
        """Unload a router's model; leave everything else as it was (see ``Server``)."""
        self.held.stop()


@dataclass(frozen=True, slots=True)
class Router:
    """A llama-server that was started without a model, and loads others on request.

    Attributes:
        url: its address.
        client: asks it.
    """

    url: str
    client: CompletionClient

    def states(self) -> dict[str, str]:
        """Name of every model that it knows, and whether that is ``loaded``, ``loading``, ``unloaded``, ``sleeping`` or ``failed``.

        Raises:
            RequestFailure: it does not answer as it should.
        """
        return {name: _state(entry) for name, entry in self._entries().items()}

    def require(self, model: str) -> None:
        """Make sure that it knows ``model``.

        Raises:
            UnknownNameError: it does not.
            RequestFailure: it does not answer as it should.
        """
        known = self.states()
        if model not in known:
            raise UnknownNameError(f"model of the router at {self.url}", model, known, "([engine.names] says how it calls a model)")

    def load(self, model: str, timeout_s: float = LOAD_TIMEOUT_S) -> None:
        """Load ``model`` and wait until it answers.

        Raises:
            EngineError: it could not be loaded, or not in time.
        """
        self.client.ask("/models/load", {"model": model}, timeout_s)
        self._await(model, READY, timeout_s)

    def unload(self, model: str, timeout_s: float = UNLOAD_TIMEOUT_S) -> None:
        """Unload ``model`` unless it is already, and wait until its process has ended.

        Raises:
            EngineError: it could not be unloaded, or not in time.
        """
        if self.states().get(model) in (*READY, "loading"):
            self.client.ask("/models/unload", {"model": model}, timeout_s)
        self._await(model, ("unloaded", "failed", "downloaded"), timeout_s)

    def port(self, model: str) -> int | None:
        """Where the process of a loaded model listens, if the router tells."""
        status = self._entries().get(model, {}).get("status")
        arguments = status.get("args") if isinstance(status, dict) else None
        words = [word for word in arguments if isinstance(word, str)] if isinstance(arguments, list) else []
        places = [index for index, word in enumerate(words[:-1]) if word == "--port" and words[index + 1].isdigit()]
        return int(words[places[-1] + 1]) if places else None

    def _await(self, model: str, wanted: Sequence[str], timeout_s: float) -> None:
        limit_s = time.perf_counter() + timeout_s
        while (state := self.states().get(model, "unknown")) not in wanted:
            if state == "failed":
                raise EngineError(f"the router at {self.url} could not load {model!r}; its log says why")
            if time.perf_counter() > limit_s:
                raise EngineError(f"the router at {self.url} says after {timeout_s:g} s that {model!r} is {state}")
            time.sleep(POLL_S)

    def _entries(self) -> dict[str, dict[str, Any]]:
        answer = self.client.ask("/models")
        listed = answer.get("data") if isinstance(answer, dict) else None
        entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
        return {str(entry["id"]): entry for entry in entries if "id" in entry}


def _state(entry: dict[str, Any]) -> str:
    status = entry.get("status")
    if not isinstance(status, dict):
        return "unknown"
    return "failed" if status.get("failed") is True else str(status.get("value"))


def is_router(url: str) -> bool:
    """Whether the llama-server at ``url`` is a router.

    Raises:
        EngineError: no llama-server answers there.
    """
    with CompletionClient(url) as client:
        try:
            props = client.ask("/props")
        except RequestFailure as failure:
            raise EngineError(f"no llama-server answers at {url} ({failure}); start it, or correct [engine] url") from failure
    return isinstance(props, dict) and props.get("role") == "router"


def disturbances(url: str, model: str = "") -> list[str]:
    """Why a measurement of the server at ``url`` would be disturbed: others that use it at the moment, in words.

    A server that shows neither slots nor metrics tells nothing.
    """
    query = f"?model={quote(model, safe='')}" if model else ""
    found = []
    with CompletionClient(url) as client:
        try:
            busy = busy_slots(client.ask(f"/slots{query}"))
            found += [f"{busy} of its slots work for others at the moment"] if busy else []
        except RequestFailure:
            pass
        try:
            waiting = metric(client.content(f"/metrics{query}").decode(errors="replace"), "requests_deferred")
            found += [f"{waiting:.0f} requests of others wait for a slot"] if waiting > 0 else []
        except RequestFailure:
            pass
    return found


def listener(port: int | None) -> int | None:
    """The process of this machine that listens on ``port``, if it can be seen."""
    try:
        connections = psutil.net_connections("tcp") if port is not None else []
    except psutil.Error:
        return None
    return next((one.pid for one in connections if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port), None)


def port_of(url: str) -> int | None:
    """The port of an address.

    Raises:
        InputError: it is none.
    """
    try:
        return urlsplit(url).port
    except ValueError:
        raise InputError(f"server address {url!r} cannot be used; write http://127.0.0.1:PORT") from None
