"""One HTTP/1.1 request to a server of this machine and the answer's body as it arrives, on a connection of its own.

Whatever the server does, the exchange ends at its deadline and holds little memory. Plain sockets, because a chunk through an HTTP
library costs the client twice as much (see ``docs/executing.md``), which at 64 streams disturbs what is measured.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import perf_counter
from typing import Self

from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.units import KIB

MAX_HEAD_BYTES = 64 * KIB
MAX_SIZE_LINE_BYTES = KIB
MAX_CHUNK_DIGITS = 12
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
        status: of the answer.

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
        self._deadline_s = self.sent_s + timeout_s
        try:
            self._socket = socket.create_connection((host, port), timeout=timeout_s)
        except OSError as error:
            raise self._failure(error) from error
        try:
            if opened is not None:
                opened(self._socket)
            try:
                self._socket.sendall(_request(host, port, path, body))
            except OSError as error:
                raise self._failure(error) from error
            self.status, self._rest = self._head()
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """Give the connection up; the server may notice, and stop its work."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def body(self) -> Iterator[bytes]:
        """The body's bytes, as they arrive.

        Raises:
            RequestFailure: it does not end as it should, or not in time.
        """
        if self._chunked:
            yield from self._chunks()
        elif self._length is None:
            data = self._rest
            while data or (data := self._receive()):
                yield data
                data = b""
        else:
            left, data = self._length, self._rest
            while left:
                if not data:
                    data = self._more()
                yield data[:left]
                left -= len(data[:left])
                data = b""

    def beginning(self, most_bytes: int) -> bytes:
        """At most ``most_bytes`` of the body: whatever comes of it in time."""
        found = bytearray()
        with suppress(RequestFailure):
            for piece in self.body():
                found += piece
                if len(found) >= most_bytes:
                    break
        return bytes(found[:most_bytes])

    def _chunks(self) -> Iterator[bytes]:
        buffer = bytearray(self._rest)
        while True:
            while (end := buffer.find(b"\r\n")) < 0:
                if len(buffer) > MAX_SIZE_LINE_BYTES:
                    raise _not_http(bytes(buffer))
                buffer += self._more()
            size = _chunk_size(bytes(buffer[:end]))
            del buffer[: end + 2]
            if not size:
                return
            left = size
            while left:
                if not buffer:
                    buffer += self._more()
                piece = bytes(buffer[:left])
                del buffer[: len(piece)]
                left -= len(piece)
                yield piece
            while len(buffer) < 2:
                buffer += self._more()
            if buffer[:2] != b"\r\n":
                raise _not_http(bytes(buffer))
            del buffer[:2]

    def _head(self) -> tuple[int, bytes]:
        """Status, and what came after the head."""
        buffer = b""
        while (end := buffer.find(b"\r\n\r\n")) < 0:
            if len(buffer) > MAX_HEAD_BYTES or not b"HTTP/1.".startswith(buffer[:7]):
                raise _not_http(buffer)
            buffer += self._more()
        status_line, *lines = buffer[:end].decode("latin-1").split("\r\n")
        protocol, _, rest = status_line.partition(" ")
        headers = {name.strip().lower(): value.strip().lower() for name, _, value in (line.partition(":") for line in lines)}
        length = headers.get("content-length", "")
        self._chunked = headers.get("transfer-encoding", "") == "chunked"
        self._length = int(length) if length.isdecimal() and len(length) <= MAX_CHUNK_DIGITS else None
        if not protocol.startswith("HTTP/1.") or not rest[:3].isdecimal():
            raise _not_http(buffer)
        return int(rest[:3]), buffer[end + 4 :]

    def _more(self) -> bytes:
        """Bytes that must come."""
        data = self._receive()
        if not data:
            raise RequestFailure(FailureReason.SERVER_DIED, "the server closed the connection amid its answer")
        return data

    def _receive(self) -> bytes:
        left_s = self._deadline_s - perf_counter()
        if left_s <= 0:
            raise self._late()
        try:
            self._socket.settimeout(left_s)
            return self._socket.recv(RECEIVE_BYTES)
        except OSError as error:
            raise self._failure(error) from error

    def _late(self) -> RequestFailure:
        return RequestFailure(FailureReason.TIMEOUT, f"no complete answer after {self._timeout_s:g} s")

    def _failure(self, error: OSError) -> RequestFailure:
        """What an error of the system means for the request."""
        if isinstance(error, TimeoutError):
            return self._late()
        if isinstance(error, ConnectionRefusedError):
            return RequestFailure(FailureReason.REFUSED, str(error))
        return RequestFailure(FailureReason.SERVER_DIED if error.errno in _DROPPED else FailureReason.NETWORK, str(error))


def _request(host: str, port: int, path: str, body: bytes | None) -> bytes:
    name = f"[{host}]" if ":" in host else host
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", f"Host: {name}:{port}", "Connection: close", "Accept: */*"]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "\r\n"]).encode("ascii") + (body or b"")


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not 0 < len(digits) <= MAX_CHUNK_DIGITS or not all(digit in b"0123456789abcdefABCDEF" for digit in digits):
        raise _not_http(line)
    return int(digits, 16)


def _not_http(data: bytes) -> RequestFailure:
    return RequestFailure(FailureReason.SERVER_ERROR, f"not an answer of HTTP: {data[:100].decode(errors='replace')}")
