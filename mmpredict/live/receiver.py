"""One thread that receives what servers stream, stamps it, and wakes those who read it only now and then.

A server with many slots sends a token to each at the same moment. A thread per stream would be woken for every one of them, and the
interpreter's lock handed from one to the next: four times the processor time (see ``docs/executing.md``). The moment of arrival is
stamped here, so that it does not matter when it is read.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
from collections import deque
from time import perf_counter, sleep

from mmpredict.units import KIB, MIB

RECEIVE_BYTES = 64 * KIB
MOST_WAITING_BYTES = MIB
AT_ONCE_STREAMS = 4
"""Up to so many streams are told of everything at once: it is cheap, and people may watch."""
MOST_WAITING_PIECES = 64
LONGEST_DELAY_S = 0.25
PAUSE_S = 0.001
LAST_CHUNK = b"0\r\n\r\n"


class Stamped(bytes):
    """Bytes that came at ``came_s``, by ``time.perf_counter()`` [s]."""

    came_s: float


def stamped(data: bytes, came_s: float) -> Stamped:
    """``data``, which came at ``came_s`` [s]."""
    piece = Stamped(data)
    piece.came_s = came_s
    return piece


class Inbox:
    """What came for one stream and was not yet read.

    Args:
        connection: whose bytes they are; blocking reads of it are over.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.pieces: deque[Stamped] = deque()
        self.came_bytes = 0  # counted by the receiver alone
        self.taken_bytes = 0  # counted by the reader alone
        self.ended = False
        self.error: OSError | None = None
        self.told = threading.Event()

    def take(self, deadline_s: float) -> Stamped | None:
        """The next piece; empty at the end of the stream, ``None`` where nothing came until ``deadline_s`` [s].

        Raises:
            OSError: the connection broke.
        """
        while not self.pieces:
            if self.ended:
                if self.error is not None:
                    raise self.error
                return stamped(b"", perf_counter())
            self.told.clear()
            if self.pieces or self.ended:
                continue
            if not self.told.wait(deadline_s - perf_counter()) and not self.pieces:
                return None
        piece = self.pieces.popleft()
        self.taken_bytes += len(piece)
        return piece


class Receiver:
    """Receives for all streams of this process, in a thread that lives as long as there are any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inboxes: dict[int, Inbox] = {}
        self._selector = selectors.DefaultSelector()
        self._running = False

    def add(self, connection: socket.socket) -> Inbox:
        """Receive for a connection from now on."""
        inbox = Inbox(connection)
        connection.setblocking(False)
        with self._lock:
            self._selector.register(connection, selectors.EVENT_READ, inbox)
            self._inboxes[connection.fileno()] = inbox
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, daemon=True).start()
        return inbox

    def remove(self, inbox: Inbox) -> None:
        """Nothing more is wanted of a connection; it may be closed afterwards."""
        with self._lock:
            if self._inboxes.pop(inbox.connection.fileno(), None) is not None:
                self._selector.unregister(inbox.connection)

    def _run(self) -> None:
        while True:
            # A connection that is added meanwhile is seen at once: the system's selector is told of it, not this thread.
            events = self._selector.select(LONGEST_DELAY_S / 2)
            with self._lock:
                if not self._inboxes:
                    self._running = False
                    return
                few = len(self._inboxes) <= AT_ONCE_STREAMS
            for key, _ in events:
                self._receive(key.data, few)
            self._tell_late()

    def _receive(self, inbox: Inbox, at_once: bool) -> None:
        if inbox.came_bytes - inbox.taken_bytes > MOST_WAITING_BYTES:
            inbox.told.set()
            sleep(PAUSE_S)  # so that its reader comes to read
            return
        try:
            data = inbox.connection.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            inbox.error, data = error, b""
        piece = stamped(data, perf_counter())
        if piece:
            inbox.came_bytes += len(piece)
            inbox.pieces.append(piece)
        else:
            inbox.ended = True
            self.remove(inbox)
        if at_once or inbox.ended or len(inbox.pieces) >= MOST_WAITING_PIECES or piece.endswith(LAST_CHUNK):
            inbox.told.set()

    def _tell_late(self) -> None:
        """Wake those whose first piece has waited long enough."""
        oldest_s = perf_counter() - LONGEST_DELAY_S
        with self._lock:
            inboxes = tuple(self._inboxes.values())
        for inbox in inboxes:
            if inbox.pieces and inbox.pieces[0].came_s <= oldest_s:
                inbox.told.set()


_receivers: dict[int, Receiver] = {}
_receivers_lock = threading.Lock()


def receiver() -> Receiver:
    """This process's receiver; a process that was forked off has one of its own."""
    with _receivers_lock:
        return _receivers.setdefault(os.getpid(), Receiver())
