"""A llama-server look-alike of known speed: the same events as the real one, sent at times that follow from two rates."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter, sleep
from typing import Any, Literal, Self

from json_server import JsonHandler, JsonServer

Mode = Literal[
    "ok",
    "progress",  # an event without content before the first token, as with return_progress
    "incomplete-text",  # tokens whose content is empty
    "held-back",  # only every third token has an event, as when a character takes three tokens
    "truncated",  # half the tokens, then the context is full
    "die-before",  # the connection ends without an answer
    "die-mid-stream",
    "reset-mid-stream",
    "silent",  # accepts, never answers
    "pings",  # comments for ever
    "endless",  # more tokens than asked for
    "garbage",
    "bad-chunk",  # a chunk whose length is no number
    "slow-loris",  # one byte of an event after another, for ever
    "not-an-object",
    "long-line",
    "no-timings",
    "wrong-timings",
    "ends-early",
    "error-event",
    "no-http",
    "loading",
    "busy",
    "busy-once",  # the first request alone
    "too-many",
    "bad-request",
    "server-error",
]

# Status and body, recorded from xllamacpp 2026.10 where it sends them.
_REJECTIONS: dict[str, tuple[int, dict[str, Any]]] = {
    "loading": (503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}),
    "busy": (503, {"error": {"code": 503, "message": "no slot available", "type": "unavailable_error"}}),
    "too-many": (429, {"error": "queue\x1b[31m is\nfull " + "x" * 5000}),
    "bad-request": (
        400,
        {
            "error": {
                "code": 400,
                "message": "request (1990 tokens) exceeds the available context size (1024 tokens), try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 1990,
                "n_ctx": 1024,
            }
        },
    ),
    "server-error": (500, {"error": {"code": 500, "message": "out of everything", "type": "server_error"}}),
}


def token_event(number: int, prompt_tokens: int, content: str = "t5b4f") -> dict[str, Any]:
    """The event of the ``number``-th token (from 1), with the fields that the real server sends."""
    return {
        "index": 0,
        "content": content,
        "tokens": [23378],
        "stop": False,
        "id_slot": -1,
        "tokens_predicted": number,
        "tokens_evaluated": prompt_tokens,
    }


def final_event(prompt_tokens: int, output_tokens: int, prefill_s: float, decode_s: float, slot: int = 3) -> dict[str, Any]:
    """The last event, with the fields that the real server sends when asked for these with ``response_fields``."""
    gaps = max(1, output_tokens - 1)
    return {
        "stop": True,
        "id_slot": slot,
        "truncated": False,
        "timings": {
            "cache_n": 0,
            "prompt_n": prompt_tokens,
            "prompt_ms": prefill_s * 1e3,
            "prompt_per_token_ms": prefill_s * 1e3 / prompt_tokens,
            "prompt_per_second": prompt_tokens / prefill_s,
            "predicted_n": output_tokens,
            "predicted_ms": decode_s * 1e3,
            "predicted_per_token_ms": decode_s * 1e3 / gaps,
            "predicted_per_second": gaps / decode_s if decode_s else 0.0,
        },
    }


def encode(event: dict[str, Any] | list[Any]) -> bytes:
    """An event as the bytes of a stream."""
    return b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n"


@dataclass
class FakeServer:
    """Serves ``/completion`` and ``/health`` on the loopback interface until it is closed.

    Attributes:
        prefill_tokens_s, decode_tokens_s: its speed, the same for every request however many there are [tokens/s].
        mode: what it does to a completion.
        requests: the bodies that it received.
    """

    prefill_tokens_s: float = 5000.0
    decode_tokens_s: float = 1000.0
    mode: Mode = "ok"
    requests: list[dict[str, Any]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._http = _Server(_Handler)
        self._http.fake = self
        self.url = self._http.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()

    def stream(self, prompt_tokens: int, asked: int) -> Iterator[bytes]:
        """The pieces of an answer, each at its time."""
        start_s = perf_counter()
        prefill_s = prompt_tokens / self.prefill_tokens_s
        if self.mode == "progress":
            progress = {"total": prompt_tokens, "cache": 0, "processed": 0, "time_ms": 0}
            yield encode({**token_event(0, prompt_tokens, ""), "tokens": [0], "prompt_progress": progress})
        while self.mode == "slow-loris" and not self.closing.wait(0.02):
            yield b"d"
        while self.mode == "pings" and not self.closing.wait(0.02):
            yield b":\n\n"
        count = {"truncated": asked // 2, "endless": asked + 1}.get(self.mode, asked)
        for number in range(1, count + 1):
            sleep(max(0.0, start_s + prefill_s + (number - 1) / self.decode_tokens_s - perf_counter()))
            if self.mode != "held-back" or number % 3 == 0:
                yield encode(token_event(number, prompt_tokens, "" if self.mode == "incomplete-text" else "t5b4f"))
            if number == 2 and (odd := self._oddity()):
                yield odd
                return
        final = final_event(prompt_tokens, count, prefill_s, (count - 1) / self.decode_tokens_s)
        final["truncated"] = self.mode == "truncated"
        if self.mode == "no-timings":
            del final["timings"]
        if self.mode == "wrong-timings":
            final["timings"]["prompt_ms"] = float("nan")
        yield encode(final)

    def _oddity(self) -> bytes:
        return {
            "garbage": b'data: {"index":0,"cont\xff\xfe\n\n',
            "not-an-object": b"data: [1, 2]\n\n",
            "long-line": b"data: " + b"x" * (1024 * 1024 + 1),
            "ends-early": b"\n",
            "error-event": encode({"error": {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}}),
        }.get(self.mode, b"")


class _Server(JsonServer):
    fake: FakeServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(JsonHandler):
    server: _Server

    def do_GET(self) -> None:  # noqa: N802  as the library calls it
        ready = self.server.fake.mode != "loading"
        self._answer(200 if ready else 503, {"status": "ok"} if ready else _REJECTIONS["loading"][1])

    def do_POST(self) -> None:  # noqa: N802  as the library calls it
        fake = self.server.fake
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fake.requests.append(body)
        if fake.mode in _REJECTIONS:
            self._answer(*_REJECTIONS[fake.mode])
        elif fake.mode == "busy-once" and len(fake.requests) == 1:
            self._answer(*_REJECTIONS["busy"])
        elif fake.mode == "silent":
            fake.closing.wait()
        elif fake.mode == "no-http":
            self.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
        elif fake.mode != "die-before":
            self._stream(len(body["prompt"]), body["n_predict"])
        self.close_connection = True  # as the real one does, whatever its Keep-Alive header says

    def _stream(self, prompt_tokens: int, asked: int) -> None:
        fake = self.server.fake
        self.send_response(200)
        self.send_header("X-Accel-Buffering", "no")
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Keep-Alive", "timeout=5, max=100")
        self.end_headers()
        with suppress(OSError):
            for number, piece in enumerate(fake.stream(prompt_tokens, asked)):
                if fake.mode == "reset-mid-stream" and number == 2:
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
                    return
                if fake.mode == "die-mid-stream" and number == 2:
                    return
                size = b"no number" if fake.mode == "bad-chunk" and number == 2 else b"%x" % len(piece)
                self.wfile.write(b"%s\r\n%s\r\n" % (size, piece))
            self.wfile.write(b"0\r\n\r\n")
