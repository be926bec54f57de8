"""Several threads wait for answers, one of them receives for all: what becomes of one is no other's business."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from fake_server import FakeServer

from mmpredict.live.answer import Completion, llama_answer
from mmpredict.live.client import CompletionClient
from mmpredict.live.exchange import Exchange
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.live.reading import Incoming
from mmpredict.live.reception import Reception

PROMPT = [3, 4, 5, 6]
SOON_S, LATER_S = 0.3, 20.0
SLOW = 200.0  # tokens a second: an answer of 60 takes a third of a second


@contextmanager
def begun(client: CompletionClient, tokens: int, timeout_s: float = LATER_S) -> Iterator[Callable[[], Completion]]:
    """A stream whose first token has come; its result."""
    first = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(client.stream, PROMPT, tokens, timeout_s, lambda _: first.set())
        assert first.wait(LATER_S)
        yield lambda: future.result(LATER_S)


@pytest.mark.parametrize(("first", "second"), [(4, 60), (60, 4)])
def test_an_answer_goes_on_whoever_is_done(first: int, second: int) -> None:
    with (
        FakeServer(decode_tokens_s=SLOW) as fake,
        CompletionClient(fake.url) as client,
        begun(client, first) as one,
        begun(client, second) as other,
    ):
        done = one(), other()
    assert [answer.output_tokens for answer in done] == [first, second]
    assert [len(answer.token_times_s) for answer in done] == [first, second]


def test_a_deadline_ends_one_answer_alone() -> None:
    with (
        FakeServer(decode_tokens_s=SLOW) as fake,
        CompletionClient(fake.url) as client,
        begun(client, 1000, SOON_S) as late,
        begun(client, 100) as other,
    ):
        with pytest.raises(RequestFailure, match=f"after {SOON_S:g} s") as caught:
            late()
        assert other().output_tokens == 100
    assert caught.value.reason is FailureReason.TIMEOUT


def test_a_failing_callback_is_its_own_callers_whoever_receives() -> None:
    seen: list[float] = []

    def refuse(moment_s: float) -> None:
        seen.append(moment_s)
        if len(seen) == 3:
            raise ValueError("mine")

    with FakeServer(decode_tokens_s=SLOW) as fake, CompletionClient(fake.url) as client, begun(client, 60) as receiving:
        with pytest.raises(ValueError, match="mine"):
            client.stream(PROMPT, 40, LATER_S, refuse)
        assert receiving().output_tokens == 60


def test_the_waiting_thread_may_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    reception = Reception()
    body = json.dumps({"prompt": PROMPT, "n_predict": 60}).encode()

    def ask(fake: FakeServer) -> Exchange:
        return Exchange("127.0.0.1", int(fake.url.rpartition(":")[2]), "/completion", body, LATER_S)

    with FakeServer(decode_tokens_s=SLOW) as fake, ask(fake) as first, ask(fake) as second, ThreadPoolExecutor(1) as pool:
        received = threading.Event()
        receiving = Incoming(first, llama_answer(first.sent_s, 60, lambda _: received.set()))
        future = pool.submit(reception.receive, receiving)
        assert received.wait(LATER_S)
        waiting = Incoming(second, llama_answer(second.sent_s, 60))

        def interrupt() -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(waiting.turn, "wait", interrupt)
        with pytest.raises(KeyboardInterrupt):
            reception.receive(waiting)
        second.close()
        assert future.result(LATER_S).output_tokens == 60
