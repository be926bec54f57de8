"""Timed completions from servers of this machine."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

import numpy as np

from mmpredict.errors import InputError
from mmpredict.live.answer import Completion, read_answer, rejection
from mmpredict.live.exchange import Exchange
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.units import KIB, MIB

__all__ = ["Completion", "CompletionClient", "Reader", "unique_prompt"]

Reader = Callable[[Iterable[bytes], float], Completion]
"""Reads an answer: its body's bytes as they arrive, and when the request was sent [s]."""

LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")
MAX_ERROR_BYTES = 64 * KIB
MAX_ANSWER_BYTES = 64 * MIB  # with its vocabulary, a model description of Ollama takes some 10 MiB
HTTP_PORT, HTTP_OK = 80, 200
FIRST_TEXT_TOKEN = 3  # vocabularies start with <unk>, <s> and </s>, or with the like

# Without this, the last event repeats the whole prompt as text: for a long prompt more bytes than all tokens together.
_FINAL_FIELDS = ("stop", "id_slot", "truncated", "timings")


class CompletionClient:
    """A client of one server on this machine; several threads may use it at a time.

    Every request opens a connection of its own: llama-server closes each one after a streamed answer although it
    announces to keep it, so that a request on a kept connection would be lost to that race now and then.

    Args:
        base_url: for example ``http://127.0.0.1:8080``.

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
            read: makes a completion of the answer's bytes.

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
                return read(exchange.body(), exchange.sent_s)
        finally:
            self._open.difference_update(own)

    def abandon(self) -> None:
        """Give up every answer that ``send`` or ``stream`` await now or later: they fail at once. For other threads to call."""
        self._abandoned = True
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def stream(
        self,
        prompt: Sequence[int],
        output_tokens: int,
        timeout_s: float,
        on_token: Callable[[float], None] | None = None,
        reuse: bool = False,
        model: str = "",
    ) -> Completion:
        """Have a llama-server generate ``output_tokens`` tokens after ``prompt``, fewer only if the context is full, and time them.

        Args:
            prompt: token numbers.
            output_tokens: tokens to generate, 1 or more.
            timeout_s: for the whole answer [s].
            on_token: called with the ``perf_counter()`` value [s] of each event that carries tokens.
            reuse: whether the server may take the beginning of the prompt from a slot's cache, and tells which tokens it
                generates.
            model: for a router, the name of the model that it passes the request to.

        Raises:
            RequestFailure: there is no complete answer; its ``reason`` says why.
            InputError: ``output_tokens`` or ``timeout_s`` is out of range.
        """
        check_asked(output_tokens, timeout_s)
        body = {
            "prompt": [int(token) for token in prompt],
            "n_predict": output_tokens,
            "ignore_eos": True,
            "temperature": 0,
            "cache_prompt": reuse,
            "return_tokens": reuse,
            "stream": True,
            "response_fields": _FINAL_FIELDS,
            **({"model": model} if model else {}),
        }

        def read(chunks: Iterable[bytes], sent_s: float) -> Completion:
            return read_answer(chunks, sent_s, timeout_s, output_tokens, on_token)

        return self.send("/completion", body, timeout_s, read)


def check_asked(output_tokens: int, timeout_s: float) -> None:
    """Complain of what no server can be asked for.

    Raises:
        InputError: ``output_tokens`` or ``timeout_s`` is out of range.
    """
    if output_tokens < 1:
        raise InputError(f"output_tokens is {output_tokens}; it must be 1 or more")
    if not timeout_s > 0:
        raise InputError(f"timeout_s is {timeout_s}; it must be more than 0")


def unique_prompt(tokens: int, seed: int, vocabulary: int) -> list[int]:
    """A prompt of random text tokens that is a function of its arguments; other seeds differ in the first token already.

    Args:
        tokens: length, 1 or more [tokens].
        seed: 0 or more.
        vocabulary: size of the model's vocabulary, more than ``FIRST_TEXT_TOKEN``.

    Raises:
        InputError: an argument is out of range.
    """
    if tokens < 1 or seed < 0 or vocabulary <= FIRST_TEXT_TOKEN:
        raise InputError(f"no prompt of {tokens} tokens with seed {seed} from a vocabulary of {vocabulary}")
    prompt: list[int] = np.random.default_rng(seed).integers(FIRST_TEXT_TOKEN, vocabulary, tokens).tolist()
    prompt[0] = FIRST_TEXT_TOKEN + seed % (vocabulary - FIRST_TEXT_TOKEN)
    return prompt


def _json(body: Mapping[str, object] | None) -> bytes | None:
    return None if body is None else json.dumps(body).encode()
