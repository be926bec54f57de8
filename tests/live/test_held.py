"""A server of others is left as it was found, if it is still there."""

from __future__ import annotations

import pytest

from mmpredict.live import server_process
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.live.held import HeldServer


class Client:
    """Notes what is done with it."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def abandon(self) -> None:
        self.done.append("abandon")

    def close(self) -> None:
        self.done.append("close")


def held(reason: FailureReason) -> tuple[HeldServer, Client]:
    """A server in use that fails so when it is to release something."""

    def release() -> None:
        raise RequestFailure(reason, "words")

    client = Client()
    return HeldServer(client, release), client


@pytest.mark.parametrize("reason", [FailureReason.REFUSED, FailureReason.SERVER_DIED])
def test_a_server_that_is_gone_has_nothing_to_release(reason: FailureReason) -> None:
    """The run goes on then, and its records are kept."""
    server, client = held(reason)
    server.stop()
    assert client.done == ["abandon", "close"]
    assert server not in server_process._running


def test_a_server_that_does_not_release_is_told() -> None:
    server, client = held(FailureReason.SERVER_ERROR)
    with pytest.raises(RequestFailure, match="words"):
        server.stop()
    assert client.done[-1] == "close"
    assert server not in server_process._running
