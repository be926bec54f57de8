"""One thread receives for all: nothing is lost or mixed up, stamps are true, and memory is bounded."""

from __future__ import annotations

import socket
import threading
from time import perf_counter, sleep

import pytest

from mmpredict.live.receiver import (
    AT_ONCE_STREAMS,
    LONGEST_DELAY_S,
    MOST_WAITING_BYTES,
    RECEIVE_BYTES,
    Inbox,
    Receiver,
)

LIMIT_S = 20.0


def drain(inbox: Inbox) -> bytes:
    found = b""
    while piece := inbox.take(perf_counter() + LIMIT_S):
        found += piece
    assert inbox.ended
    return found


@pytest.mark.parametrize("streams", [1, AT_ONCE_STREAMS, 40])
def test_every_stream_gets_its_own_bytes_in_order(streams: int) -> None:
    receiver = Receiver()
    pairs = [socket.socketpair() for _ in range(streams)]
    inboxes = [receiver.add(ours) for ours, _ in pairs]
    found: dict[int, bytes] = {}

    def read(number: int) -> None:
        found[number] = drain(inboxes[number])

    readers = [threading.Thread(target=read, args=(number,)) for number in range(streams)]
    for reader in readers:
        reader.start()
    for turn in range(50):
        for number, (_, theirs) in enumerate(pairs):
            theirs.sendall(b"%d:%d " % (number, turn))
    for _, theirs in pairs:
        theirs.close()
    for reader in readers:
        reader.join(LIMIT_S)
    assert found == {number: b"".join(b"%d:%d " % (number, turn) for turn in range(50)) for number in range(streams)}
    for inbox, (ours, _) in zip(inboxes, pairs, strict=True):
        receiver.remove(inbox)  # once more does no harm
        ours.close()
    assert receiver._inboxes == {}


def test_a_piece_is_stamped_when_it_comes_not_when_it_is_read() -> None:
    receiver = Receiver()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        inbox = receiver.add(ours)
        before_s = perf_counter()
        theirs.sendall(b"now")
        while not inbox.pieces:
            assert perf_counter() - before_s < LIMIT_S
            sleep(0.001)
        seen_s = perf_counter()
        sleep(0.2)
        piece = inbox.take(perf_counter() + LIMIT_S)
        assert piece == b"now"
        assert before_s <= piece.came_s <= seen_s
        receiver.remove(inbox)


def test_what_waits_is_bounded_while_nobody_reads() -> None:
    receiver = Receiver()
    ours, theirs = socket.socketpair()
    size = 4 * MOST_WAITING_BYTES

    def flood() -> None:
        with theirs:
            theirs.sendall(b"x" * size)

    with ours:
        inbox = receiver.add(ours)
        flooding = threading.Thread(target=flood)
        flooding.start()
        limit_s = perf_counter() + LIMIT_S
        while inbox.came_bytes <= MOST_WAITING_BYTES:
            assert perf_counter() < limit_s
            sleep(0.005)
        sleep(0.1)
        assert inbox.came_bytes <= MOST_WAITING_BYTES + RECEIVE_BYTES
        assert len(drain(inbox)) == size
        flooding.join(LIMIT_S)


def test_nothing_comes_until_the_deadline() -> None:
    receiver = Receiver()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        inbox = receiver.add(ours)
        assert inbox.take(perf_counter() + 0.05) is None
        assert inbox.take(perf_counter() - 1.0) is None
        theirs.sendall(b"late")
        assert inbox.take(perf_counter() + LIMIT_S) == b"late"
        receiver.remove(inbox)


def test_a_connection_that_breaks() -> None:
    receiver = Receiver()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    inbox = receiver.add(ours)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    theirs.close()
    with ours, pytest.raises(ConnectionResetError):
        inbox.take(perf_counter() + LIMIT_S)


def test_the_thread_ends_with_the_last_stream_and_begins_again() -> None:
    receiver = Receiver()
    for _ in range(2):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            inbox = receiver.add(ours)
            theirs.sendall(b"x")
            assert inbox.take(perf_counter() + LIMIT_S) == b"x"
            receiver.remove(inbox)
        limit_s = perf_counter() + LIMIT_S
        while receiver._running:
            assert perf_counter() < limit_s
            sleep(LONGEST_DELAY_S / 10)
