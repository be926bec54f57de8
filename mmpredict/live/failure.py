"""Why a request to a model server failed."""

from __future__ import annotations

from enum import StrEnum

from mmpredict.errors import EngineError

MAX_DETAIL_CHARACTERS = 300


class FailureReason(StrEnum):
    """The classes of failure that reports count separately."""

    TIMEOUT = "timeout"
    """No complete answer within the time allowed."""
    REFUSED = "refused"
    """Nothing accepts requests at the address: no server, or one that still loads its model."""
    NETWORK = "network"
    """The connection failed in any other way."""
    SERVER_DIED = "server-died"
    """The server dropped a connection before its answer was complete."""
    QUEUE_FULL = "queue-full"
    """The server takes no more requests at the moment (HTTP 429 or 503)."""
    OUT_OF_MEMORY = "out-of-memory"
    """The server had too little memory for the model or for the request."""
    BAD_REQUEST = "bad-request"
    """The server rejects the request itself, for example a prompt longer than its context."""
    SERVER_ERROR = "server-error"
    """The server reports an error of its own, or answers something that is not the protocol."""


class RequestFailure(EngineError):  # noqa: N818  an outcome that is recorded per request, not a fault of the program
    """A request that has no usable answer.

    Attributes:
        reason: the class of the failure.
        detail: the server's or the system's own words, one line of at most ``MAX_DETAIL_CHARACTERS``.
    """

    def __init__(self, reason: FailureReason, detail: str = "") -> None:
        self.reason = reason
        self.detail = bounded(detail)
        super().__init__(f"{reason}: {self.detail}" if self.detail else str(reason))


def bounded(text: str) -> str:
    """``text`` on one line, without control characters, of at most ``MAX_DETAIL_CHARACTERS``."""
    head = text[: 4 * MAX_DETAIL_CHARACTERS]
    line = " ".join("".join(character if character.isprintable() else " " for character in head).split())
    return line if len(line) <= MAX_DETAIL_CHARACTERS else line[: MAX_DETAIL_CHARACTERS - 1] + "…"
