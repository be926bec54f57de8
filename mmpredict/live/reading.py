"""An answer that is read while it arrives: bytes in, one ``Completion`` or one failure out, in bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Generator
from time import perf_counter
from typing import TYPE_CHECKING

from mmpredict.live.exchange import Exchange
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.units import MIB

if TYPE_CHECKING:
    from mmpredict.live.answer import Completion

MAX_LINE_BYTES = MIB

Reading = Generator[None, "tuple[float, bytes] | None", "Completion"]
"""Reads an answer of one protocol: it is sent (time of arrival [s], line) for each line that is not empty, ``None`` at the end of
the body, and returns the completion as soon as that is whole. Raises ``RequestFailure``: it is incomplete, an error, or not the
protocol."""


class Lines:
    """Cuts a stream into lines."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def take(self, piece: bytes) -> list[bytes]:
        """The lines that the next bytes of the stream complete.

        Raises:
            RequestFailure: a line is too long.
        """
        held = len(self._pending) + len(piece)
        if b"\n" not in piece:
            self._pending += piece
            found: list[bytes] = []
        else:
            *found, rest = (bytes(self._pending) + piece if self._pending else piece).split(b"\n")
            self._pending = bytearray(rest)
        if held > MAX_LINE_BYTES and max(len(self._pending), *map(len, found), 0) > MAX_LINE_BYTES:
            raise RequestFailure(FailureReason.SERVER_ERROR, f"the server sent a line of more than {MAX_LINE_BYTES} bytes")
        return found


class Incoming:
    """The answer of one exchange, as far as it has come.

    Args:
        exchange: whose head is there.
        reading: reads the body.

    Attributes:
        exchange: the same.
        completion: the whole answer, once it is there.
        error: why there will be none.
        turn: set when there is something to do for the thread that waits for this answer.
    """

    def __init__(self, exchange: Exchange, reading: Reading) -> None:
        self.exchange = exchange
        self.completion: Completion | None = None
        self.error: Exception | None = None
        self.turn = threading.Event()
        self._reading, self._lines = reading, Lines()
        next(reading)
        if exchange.rest or exchange.framing.ended:
            self.take(perf_counter(), exchange.rest)

    @property
    def over(self) -> bool:
        """Whether nothing more is awaited."""
        return self.completion is not None or self.error is not None

    def take(self, now_s: float, data: bytes) -> None:
        """Read on.

        Args:
            now_s: when the bytes arrived, by ``time.perf_counter()`` [s].
            data: of the connection; empty when it was closed.
        """
        framing, reading = self.exchange.framing, self._reading
        try:
            for piece in framing.take(data):
                for line in self._lines.take(piece):
                    if line:
                        reading.send((now_s, line))
            if framing.ended:
                reading.send(None)
        except StopIteration as end:
            self.completion = end.value
        except Exception as error:  # whoever waits for this answer raises it, not who happens to receive it
            self.error = error
