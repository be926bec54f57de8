"""Why a request to a model server failed."""

from __future__ import annotations

from enum import StrEnum

from mmpredict.errors import EngineError

MAX_DETAIL_CHARACTERS = 300

OUT_OF_MEMORY_WORDS = (
    "out of memory",
    "out of device memory",
    "cudamalloc failed",
    "hipmalloc failed",
    "failed to allocate",
    "allocation failed",
    "not enough memory",
    "cannot allocate memory",
    "insufficient memory",
    "bad_alloc",
    "vk_error_out_of_device_memory",
    "erroroutofmemory",
    "out-of-memory",
    "model requires more system memory",
)
"""What llama.cpp, its back ends and Ollama say when memory is short (Ollama ``llm/status.go``; the last before 0.30)."""

DEATH_WORDS = (
    "model runner has unexpectedly stopped",
    "an error was encountered while running the model",
    "process no longer running",
)
"""What Ollama says when the process that serves a model is gone (``llm/llama_server.go``)."""


class FailureReason(StrEnum):
    """The classes of failure that reports count separately; ``simulation.policies.recovery`` lists them too."""

    TIMEOUT = "timeout"
    """No complete answer within the time allowed to the run."""
    DEADLINE = "deadline"
    """No complete answer before the request's own deadline."""
    REFUSED = "refused"
    """Nothing accepts requests at the address: no server, or one that still loads its model."""
    NETWORK = "network"
    """The connection failed in any other way."""
    SERVER_DIED = "server-died"
    """The server dropped a connection before its answer was complete."""
    OUT_OF_MEMORY = "out-of-memory"
    """The server had too little memory for the model or for the request."""
    LOAD_FAILED = "load-failed"
    """The server that should have answered could not load its model."""
    QUEUE_FULL = "queue-full"
    """The server takes no more requests at the moment (HTTP 429 or 503)."""
    BAD_REQUEST = "bad-request"
    """The server rejects the request itself, for example a prompt longer than its context."""
    SERVER_ERROR = "server-error"
    """The server reports an error of its own, or answers something that is not the protocol."""
    INTERRUPTED = "interrupted"
    """The run was ended, by a person or by an error elsewhere, before the answer was complete."""


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


def tells_of_memory(text: str) -> bool:
    """Whether an engine's words say that memory was short."""
    return any(words in text.lower() for words in OUT_OF_MEMORY_WORDS)


def tells_of_death(text: str) -> bool:
    """Whether a server's words say that the process which serves the model has ended."""
    return any(words in text.lower() for words in DEATH_WORDS)


def load_failure(error: EngineError, memory_ran_out: bool) -> RequestFailure:
    """What a load that failed means for the requests that waited for it.

    Args:
        error: what the engine said.
        memory_ran_out: whether the system ended a process for want of memory in the meantime.
    """
    text = str(error)
    short = tells_of_memory(text) or (memory_ran_out and "SIGKILL" in text)
    return RequestFailure(FailureReason.OUT_OF_MEMORY if short else FailureReason.LOAD_FAILED, text)


def bounded(text: str) -> str:
    """``text`` on one line, without control characters, of at most ``MAX_DETAIL_CHARACTERS``."""
    head = text[: 4 * MAX_DETAIL_CHARACTERS]
    line = " ".join("".join(character if character.isprintable() else " " for character in head).split())
    return line if len(line) <= MAX_DETAIL_CHARACTERS else line[: MAX_DETAIL_CHARACTERS - 1] + "…"
