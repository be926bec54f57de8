"""Asking a server of this machine over HTTP: JSON at once, or an answer that is read as it comes."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

from mmpredict.errors import InputError
from mmpredict.live.answer import Completion, rejection
from mmpredict.live.exchange import Exchange
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.live.reading import Incoming, Reading
from mmpredict.live.reception import Reception
from mmpredict.units import KIB, MIB

Reader = Callable[[float], Reading]
"""Begins to read an answer; is told when the request was sent [s]."""

LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")
MAX_ERROR_BYTES = 64 * KIB
MAX_ANSWER_BYTES = 64 * MIB  # with its vocabulary, a model description of Ollama takes some 10 MiB
HTTP_PORT, HTTP_OK = 80, 200


class ServerClient:
    """A client of one server on this machine, whichever protocol it speaks; several threads may use it at a time.

    Every request opens a connection of its own: llama-server closes each one after a streamed answer although it
    announces to keep it, so that a request on a kept connection would be lost to that race now and then.

    Args:
        base_url: for example ``http://127.0.0.1:8080``.

    Attributes:
        url: the same.

    Raises:
        InputError: the address is not ``http`` on this machine.
    """

    def __init__(self, base_url: str) -> None:
        try:
            address = urlsplit(base_url)
            usable = address.scheme == "http" and address.hostname in LOOPBACK_HOSTS and address.port != 0
            self._host, self._port = address.hostname or "", address.port or HTTP_PORT
        except ValueError:
            usable = False
        if not usable:
            raise InputError(f"server address {base_url!r} cannot be used; write http://127.0.0.1:PORT")
        self.url = base_url
        self._reception = Reception()
        self._open: set[socket.socket] = set()
        self._abandoned = False

    def close(self) -> None:
        """Nothing is asked any more; every connection ended with its answer."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def health(self, timeout_s: float = 2.0) -> bool:
        """Whether the server says that it is ready, within ``timeout_s`` [s]."""
        try:
            with Exchange(self._host, self._port, "/health", None, timeout_s) as exchange:
                return exchange.status == HTTP_OK
        except RequestFailure:
            return False

    def ask(self, path: str, body: Mapping[str, object] | None = None, timeout_s: float = 10.0) -> object:
        """The JSON that the server answers to a GET, or to a POST of ``body``.

        Raises:
            RequestFailure: there is no such answer; its ``reason`` says why.
        """
        content = self.content(path, body, timeout_s)
        try:
            answer: object = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise RequestFailure(FailureReason.SERVER_ERROR, f"the answer to {path} is no JSON: {error}") from error
        return answer

    def content(self, path: str, body: Mapping[str, object] | None = None, timeout_s: float = 10.0) -> bytes:
        """What the server answers to a GET, or to a POST of ``body``.

        Raises:
            RequestFailure: there is no such answer; its ``reason`` says why.
        """
        content = bytearray()
        with Exchange(self._host, self._port, path, _json(body), timeout_s) as exchange:
            if exchange.status != HTTP_OK:
                raise rejection(exchange.status, exchange.beginning(MAX_ERROR_BYTES))
            for piece in exchange.body():
                content += piece
                if len(content) > MAX_ANSWER_BYTES:
                    raise RequestFailure(
                        FailureReason.SERVER_ERROR, f"the answer to {path} is longer than {MAX_ANSWER_BYTES} bytes"
                    )
        return bytes(content)

    def send(self, path: str, body: Mapping[str, object], timeout_s: float, read: Reader) -> Completion:
        """Post ``body`` and have the answer read as it arrives.

        Args:
            path: of the resource.
            body: JSON.
            timeout_s: for the whole answer [s].
            read: begins to read the answer.

        Raises:
            RequestFailure: there is no complete answer; its ``reason`` says why.
        """
        own: list[socket.socket] = []

        def opened(connection: socket.socket) -> None:
            own.append(connection)
            self._open.add(connection)
            if self._abandoned:
                self.abandon()

        try:
            with Exchange(self._host, self._port, path, _json(body), timeout_s, opened) as exchange:
                if exchange.status != HTTP_OK:
                    raise rejection(exchange.status, exchange.beginning(MAX_ERROR_BYTES))
                return self._reception.receive(Incoming(exchange, read(exchange.sent_s)))
        finally:
            self._open.difference_update(own)

    def abandon(self) -> None:
        """Give up every answer that ``send`` awaits now or later: they fail at once. For other threads to call."""
        self._abandoned = True
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def check_asked(output_tokens: int, timeout_s: float) -> None:
    """Complain of what no server can be asked for.

    Raises:
        InputError: ``output_tokens`` or ``timeout_s`` is out of range.
    """
    if output_tokens < 1:
        raise InputError(f"output_tokens is {output_tokens}; it must be 1 or more")
    if not timeout_s > 0:
        raise InputError(f"timeout_s is {timeout_s}; it must be more than 0")


def _json(body: Mapping[str, object] | None) -> bytes | None:
    return None if body is None else json.dumps(body).encode()
