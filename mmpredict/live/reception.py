"""Receiving many answers at a time: one of the threads that wait for them receives for all, so that a token wakes one thread only.

The first thread to wait receives whatever arrives for anybody. When its own answer is whole, it leaves that to another that still
waits. There is no further thread, and an answer that is alone is received by who awaits it.
"""

from __future__ import annotations

import math
import selectors
import socket
import threading
from contextlib import suppress
from time import perf_counter

from mmpredict.live.answer import Completion
from mmpredict.live.exchange import RECEIVE_BYTES
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.live.reading import Incoming

LONGEST_WAIT_S = 3600.0  # systems take no endless one


class Reception:
    """Receives the answers that several threads wait for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._come: list[Incoming] = []
        self._gone: list[Incoming] = []
        self._receiver: Incoming | None = None  # whose thread receives now
        self._watch: _Watch | None = None  # used by that thread alone, but for its bell

    def receive(self, incoming: Incoming) -> Completion:
        """Wait until an answer is whole.

        Raises:
            RequestFailure: there is no complete answer in time; its ``reason`` says why.
        """
        if not incoming.over:
            self._wait(incoming)
        if incoming.error is not None:
            raise incoming.error
        assert incoming.completion is not None
        return incoming.completion

    def _wait(self, incoming: Incoming) -> None:
        with self._lock:
            self._come.append(incoming)
            watch = self._watch = self._watch or _Watch()
            self._receiver = self._receiver or incoming
            watch.ring()
        try:
            while not incoming.over:
                if self._receiver is incoming:
                    self._attend(watch)
                    watch.receive()
                else:
                    incoming.turn.wait()
        finally:
            self._leave(watch, incoming)

    def _attend(self, watch: _Watch) -> None:
        """Take up who came, and let go of who left; who comes at this moment rings, and is taken up next time."""
        if not (self._come or self._gone):
            return
        with self._lock:
            come, self._come = self._come, []
            gone, self._gone = self._gone, []
        for incoming in gone:
            watch.remove(incoming)
        for incoming in come:
            if not incoming.over:
                watch.add(incoming)

    def _leave(self, watch: _Watch, incoming: Incoming) -> None:
        with self._lock:
            if self._receiver is not incoming:
                if not incoming.over:  # its thread was interrupted
                    incoming.error = RequestFailure(FailureReason.INTERRUPTED, "nobody waits for the answer any more")
                    self._gone.append(incoming)
                    watch.ring()
                return
            watch.remove(incoming)
            others = (one for one in (*watch.answers, *self._come) if one is not incoming and not one.over)
            self._receiver = next(others, None)
            if self._receiver is not None:
                self._receiver.turn.set()
            else:
                watch.close()
                self._watch, self._come, self._gone = None, [], []


class _Watch:
    """Connections on which answers arrive, and a bell that ends the wait for them.

    Attributes:
        answers: that are under way.
    """

    def __init__(self) -> None:
        self.answers: dict[Incoming, None] = {}
        self._selector = selectors.DefaultSelector()
        self._bell, self._button = socket.socketpair()
        for end in (self._bell, self._button):
            end.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._nearest_s = math.inf  # no deadline is nearer; that of who has left may be

    def close(self) -> None:
        """Give up what was opened."""
        self._selector.close()
        self._bell.close()
        self._button.close()

    def ring(self) -> None:
        """End the wait of the thread that receives; for any thread to call."""
        with suppress(BlockingIOError):  # it rings already
            self._button.send(b"!")

    def add(self, incoming: Incoming) -> None:
        """An answer is awaited; nothing happens where its thread was interrupted meanwhile, and has closed the connection."""
        try:
            incoming.exchange.connection.setblocking(False)
            self._selector.register(incoming.exchange.connection, selectors.EVENT_READ, incoming)
        except (OSError, ValueError):  # it has no number any more
            return
        self.answers[incoming] = None
        self._nearest_s = min(self._nearest_s, incoming.exchange.deadline_s)

    def remove(self, incoming: Incoming) -> None:
        """An answer is no longer awaited; nothing happens where it was not."""
        if incoming in self.answers:
            del self.answers[incoming]
            self._selector.unregister(incoming.exchange.connection)

    def receive(self) -> None:
        """Wait for what arrives first, or for a deadline, and hand it to the answers; threads whose answer is over are woken."""
        wait_s = min(LONGEST_WAIT_S, max(0.0, self._nearest_s - perf_counter()))
        arrived: list[tuple[Incoming, float, bytes]] = []
        for key, _ in self._selector.select(wait_s):  # all of them first: reading one would delay the time of the next
            if key.data is None:
                self._bell.recv(RECEIVE_BYTES)
                continue
            try:
                data = key.data.exchange.connection.recv(RECEIVE_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                key.data.error = key.data.exchange.failure(error)
                self._end(key.data)
                continue
            arrived.append((key.data, perf_counter(), data))
        for incoming, now_s, data in arrived:
            incoming.take(now_s, data)
            if incoming.over:
                self._end(incoming)
        if perf_counter() >= self._nearest_s:
            for incoming in [one for one in self.answers if one.exchange.deadline_s <= perf_counter()]:
                incoming.error = incoming.exchange.late()
                self._end(incoming)
            self._nearest_s = min((one.exchange.deadline_s for one in self.answers), default=math.inf)

    def _end(self, incoming: Incoming) -> None:
        self.remove(incoming)
        incoming.turn.set()
