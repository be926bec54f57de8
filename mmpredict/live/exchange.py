"""One HTTP/1.1 request to a server of this machine and the answer's body as it arrives, on a connection of its own.

Whatever the server does, the exchange ends at its deadline and holds little memory. Plain sockets, because a chunk through an HTTP
library costs the client several times as much (see ``docs/executing.md``), which at 64 streams disturbs what is measured.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import perf_counter
from typing import Self

from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.live.framing import MAX_CHUNK_DIGITS, Body, not_http
from mmpredict.units import KIB

MAX_HEAD_BYTES = 64 * KIB
RECEIVE_BYTES = 64 * KIB

_DROPPED = (errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE)


class Exchange:
    """A request that was sent, and its answer; used as a context manager, it is closed at the end.

    Args:
        host, port: of the server.
        path: of the resource.
        body: JSON to POST; ``None`` for a GET.
        timeout_s: from now to the end of the answer [s].
        opened: told the connection before anything is sent, so that others can shut it down.

    Attributes:
        sent_s: when it was about to be sent, by ``time.perf_counter()`` [s].
        deadline_s: when it ends at the latest, by the same clock [s].
        connection: the socket.
        status: of the answer.
        framing: tells the body from what frames it.
        rest: bytes that came with the head and are not yet taken.

    Raises:
        RequestFailure: no head of an answer comes in time; its ``reason`` says why.
    """

    def __init__(
        self,
        host: str,
        port: int,
        path: str,
        body: bytes | None,
        timeout_s: float,
        opened: Callable[[socket.socket], None] | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self.sent_s = perf_counter()
        self.deadline_s = self.sent_s + timeout_s
        try:
            self.connection = socket.create_connection((host, port), timeout=timeout_s)
        except OSError as error:
            raise self.failure(error) from error
        try:
            if opened is not None:
                opened(self.connection)
            try:
                self.connection.sendall(_request(host, port, path, body))
            except OSError as error:
                raise self.failure(error) from error
            self.status, self.framing, self.rest = self._head()
        except BaseException:
            self.connection.close()
            raise

    def close(self) -> None:
        """Give the connection up; the server may notice, and stop its work."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def body(self) -> Iterator[bytes]:
        """The body's bytes, as they arrive.

        Raises:
            RequestFailure: it does not end as it should, or not in time.
        """
        if self.rest:
            yield from self.framing.take(self.rest)
        while not self.framing.ended:
            yield from self.framing.take(self._receive())

    def beginning(self, most_bytes: int) -> bytes:
        """At most ``most_bytes`` of the body: whatever comes of it in time."""
        found = bytearray()
        with suppress(RequestFailure):
            for piece in self.body():
                found += piece
                if len(found) >= most_bytes:
                    break
        return bytes(found[:most_bytes])

    def late(self) -> RequestFailure:
        """The failure of an answer that is not whole at the deadline."""
        return RequestFailure(FailureReason.TIMEOUT, f"no complete answer after {self._timeout_s:g} s")

    def failure(self, error: OSError) -> RequestFailure:
        """What an error of the system means for the request."""
        if isinstance(error, TimeoutError):
            return self.late()
        if isinstance(error, ConnectionRefusedError):
            return RequestFailure(FailureReason.REFUSED, str(error))
        return RequestFailure(FailureReason.SERVER_DIED if error.errno in _DROPPED else FailureReason.NETWORK, str(error))

    def _head(self) -> tuple[int, Body, bytes]:
        """Status, framing of the body, and what came after the head."""
        buffer = b""
        while (end := buffer.find(b"\r\n\r\n")) < 0:
            if len(buffer) > MAX_HEAD_BYTES or not b"HTTP/1.".startswith(buffer[:7]):
                raise not_http(buffer)
            data = self._receive()
            if not data:
                raise RequestFailure(FailureReason.SERVER_DIED, "the server closed the connection before its answer")
            buffer += data
        status_line, *lines = buffer[:end].decode("latin-1").split("\r\n")
        protocol, _, rest = status_line.partition(" ")
        headers = {name.strip().lower(): value.strip().lower() for name, _, value in (line.partition(":") for line in lines)}
        length = headers.get("content-length", "")
        usable = length.isdecimal() and len(length) <= MAX_CHUNK_DIGITS
        if not protocol.startswith("HTTP/1.") or not rest[:3].isdecimal():
            raise not_http(buffer)
        framing = Body(headers.get("transfer-encoding", "") == "chunked", int(length) if usable else None)
        return int(rest[:3]), framing, buffer[end + 4 :]

    def _receive(self) -> bytes:
        """What arrives next; nothing when the connection was closed."""
        left_s = self.deadline_s - perf_counter()
        if left_s <= 0:
            raise self.late()
        try:
            self.connection.settimeout(left_s)
            return self.connection.recv(RECEIVE_BYTES)
        except OSError as error:
            raise self.failure(error) from error


def _request(host: str, port: int, path: str, body: bytes | None) -> bytes:
    name = f"[{host}]" if ":" in host else host
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", f"Host: {name}:{port}", "Connection: close", "Accept: */*"]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "\r\n"]).encode("ascii") + (body or b"")
