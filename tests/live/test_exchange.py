"""HTTP as servers really send it: cut anywhere, framed in every way, and broken in every way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpredict.live.exchange import MAX_HEAD_BYTES, Exchange
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.live.framing import MAX_SIZE_LINE_BYTES

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@contextmanager
def answering(*pieces: bytes, keep_open_s: float = 0.0) -> Iterator[tuple[int, list[bytes]]]:
    """A server that sends these pieces, whatever it is asked, and goes after ``keep_open_s`` or with the block.

    Yields its port and what it was asked.
    """
    asked: list[bytes] = []
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                asked.append(connection.recv(65536))
                try:
                    for piece in pieces:
                        connection.sendall(piece)
                    over.wait(keep_open_s)
                except OSError:
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1], asked
        finally:
            over.set()
            thread.join(5.0)


def fetch(*pieces: bytes, timeout_s: float = 5.0) -> tuple[int, bytes]:
    with answering(*pieces) as (port, _), Exchange("127.0.0.1", port, "/", b"{}", timeout_s) as exchange:
        return exchange.status, b"".join(exchange.body())


def chunk(data: bytes) -> bytes:
    return b"%X\r\n%s\r\n" % (len(data), data)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5), st.integers(1, 200), st.booleans())
def test_a_body_is_the_same_however_it_is_cut(chunks: list[bytes], cut: int, extended: bool) -> None:
    framed = [chunk(one) if not extended else b"%x;name=value\r\n%s\r\n" % (len(one), one) for one in chunks]
    sent = CHUNKED + b"".join(framed) + b"0\r\n\r\n"
    assert fetch(*(sent[start : start + cut] for start in range(0, len(sent), cut))) == (200, b"".join(chunks))


@pytest.mark.parametrize("ending", [b"Content-Length: 5\r\n\r\nhello and more", b"\r\nhello"])
def test_a_body_may_have_a_length_or_end_with_the_connection(ending: bytes) -> None:
    status, body = fetch(OK + ending)
    assert (status, body) == (200, b"hello")


def test_what_is_asked() -> None:
    with answering(OK + b"Content-Length: 0\r\n\r\n") as (port, asked), Exchange("127.0.0.1", port, "/x", b"[1]", 5.0) as exchange:
        assert b"".join(exchange.body()) == b""
    head, _, body = asked[0].partition(b"\r\n\r\n")
    assert body == b"[1]"
    assert head.split(b"\r\n")[:2] == [b"POST /x HTTP/1.1", b"Host: 127.0.0.1:%d" % port]
    assert b"Content-Length: 3" in head and b"Connection: close" in head


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", FailureReason.SERVER_DIED),
        (b"HTTP/1.1 200", FailureReason.SERVER_DIED),
        (b"SSH-2.0-OpenSSH\r\n\r\n", FailureReason.SERVER_ERROR),
        (b"HTTP/1.1 abc\r\n\r\n", FailureReason.SERVER_ERROR),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (MAX_HEAD_BYTES + 1), FailureReason.SERVER_ERROR),
        (CHUNKED + b"5\r\nhel", FailureReason.SERVER_DIED),
        (CHUNKED + b"5\r\nhello", FailureReason.SERVER_DIED),
        (CHUNKED + b"5\r\nhelloXX", FailureReason.SERVER_ERROR),
        (CHUNKED + b"-1\r\nx\r\n", FailureReason.SERVER_ERROR),
        (CHUNKED + b"\r\n\r\n", FailureReason.SERVER_ERROR),
        (CHUNKED + b"0x5\r\nhello\r\n", FailureReason.SERVER_ERROR),
        (CHUNKED + b"f" * 13 + b"\r\n", FailureReason.SERVER_ERROR),
        (CHUNKED + b"1" * (MAX_SIZE_LINE_BYTES + 2), FailureReason.SERVER_ERROR),
        (OK + b"Content-Length: 9\r\n\r\nhello", FailureReason.SERVER_DIED),
    ],
)
def test_what_is_broken_is_a_failure(sent: bytes, reason: FailureReason) -> None:
    with pytest.raises(RequestFailure) as caught:
        fetch(sent)
    assert caught.value.reason is reason


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 O", CHUNKED, CHUNKED + b"5\r\nhel"])
def test_it_ends_at_its_deadline_wherever_the_server_stops(begin: bytes) -> None:
    with answering(begin, keep_open_s=30.0) as (port, _):
        start_s = perf_counter()
        with pytest.raises(RequestFailure, match=r"after 0.2 s") as caught, Exchange("127.0.0.1", port, "/", b"", 0.2) as exchange:
            list(exchange.body())
        assert caught.value.reason is FailureReason.TIMEOUT
        assert perf_counter() - start_s >= 0.2


def test_the_beginning_of_a_body_is_what_comes_of_it() -> None:
    with answering(CHUNKED + chunk(b"hello") + b"9\r\nw") as (port, _), Exchange("127.0.0.1", port, "/", None, 1.0) as exchange:
        assert exchange.beginning(3) == b"hel"
    with answering(CHUNKED + chunk(b"hello") + b"9\r\nw") as (port, _), Exchange("127.0.0.1", port, "/", None, 1.0) as exchange:
        assert exchange.beginning(100) == b"hellow"
