"""Servers of others, as long as a plan uses them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Protocol

from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.live.server_process import forget, keep

GONE = (FailureReason.REFUSED, FailureReason.SERVER_DIED)
"""Of a server that has ended, and with it what it should release."""


class Client(Protocol):
    """Asks a server."""

    def abandon(self) -> None:
        """Give up every answer that is awaited."""

    def close(self) -> None:
        """Give the connections up."""


class HeldServer:
    """A server of others in use. Should the run be cut short, its answers are not waited for, and it is left as it was found.

    Args:
        client: asks it, and is closed at the end.
        release: leaves it as it was found, such as by unloading a model; nothing where nothing was changed.

    Attributes:
        owner_pid: the process that uses it.
    """

    def __init__(self, client: Client, release: Callable[[], None] | None = None) -> None:
        self.owner_pid = os.getpid()
        self._client = client
        self._release = release
        self._lock = threading.Lock()
        self._done = False
        keep(self)

    def kill(self) -> None:
        """Give up every answer that is awaited; ``stop`` is still due."""
        self._client.abandon()

    def stop(self) -> None:
        """Leave the server as it was found, and wait for no answer of it. Does nothing the second time.

        Raises:
            EngineError: it does not do what it is asked for.
        """
        with self._lock:
            if self._done:
                return
            self._done = True
        self._client.abandon()
        try:
            if self._release is not None:
                self._release()
        except RequestFailure as failure:
            if failure.reason not in GONE:
                raise
        finally:
            self._client.close()
            forget(self)
