"""The client against a server whose speed and faults are known."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable

import pytest
from fake_server import FakeServer, Mode

from mmpredict.errors import EngineError, InputError
from mmpredict.live.client import CompletionClient, unique_prompt
from mmpredict.live.failure import MAX_DETAIL_CHARACTERS, FailureReason, RequestFailure

PROMPT = list(range(3, 103))


def complete(mode: Mode, output_tokens: int = 9, timeout_s: float = 5.0) -> object:
    with FakeServer(mode=mode) as fake, CompletionClient(fake.url) as client:
        return client.stream(PROMPT, output_tokens, timeout_s)


def failure(mode: Mode, timeout_s: float = 5.0) -> RequestFailure:
    with pytest.raises(RequestFailure) as caught:
        complete(mode, timeout_s=timeout_s)
    return caught.value


@pytest.mark.parametrize("mode", ["ok", "progress", "incomplete-text"])
def test_stamps_tokens_as_they_come(mode: Mode) -> None:
    prefill_s, decode_s = 0.2, 0.2
    seen: list[float] = []
    with FakeServer(len(PROMPT) / prefill_s, 40 / decode_s, mode) as fake, CompletionClient(fake.url) as client:
        done = client.stream(PROMPT, 41, 5.0, on_token=seen.append)
    # Nothing is seen before it is sent; how soon after that, test_speeds holds against the moments at which it really was.
    assert done.first_token_s - done.sent_s >= prefill_s
    assert done.last_token_s - done.sent_s >= prefill_s + decode_s
    assert (done.first_token_s, done.last_token_s) == (seen[0], seen[-1])
    assert (done.prompt_s, done.generation_s) == pytest.approx((prefill_s, decode_s))
    assert (done.prompt_tokens, done.cached_tokens, done.output_tokens, done.slot) == (100, 0, 41, 3)
    assert seen == list(done.token_times_s) == sorted(seen)
    assert len(seen) == 41
    assert not done.truncated


def test_asks_for_exact_and_independent_work() -> None:
    with FakeServer() as fake, CompletionClient(fake.url) as client:
        client.stream(PROMPT, 2, 5.0)
    asked = fake.requests[0]
    assert asked["prompt"] == PROMPT
    assert asked["n_predict"] == 2
    assert (asked["ignore_eos"], asked["temperature"], asked["cache_prompt"], asked["stream"]) == (True, 0, False, True)


def test_counts_tokens_that_have_no_event_of_their_own() -> None:
    with FakeServer(decode_tokens_s=10, mode="held-back") as fake, CompletionClient(fake.url) as client:
        done = client.stream(PROMPT, 8, 5.0)
    assert done.output_tokens == 8
    assert len(done.token_times_s) == 2
    assert done.last_token_s > done.token_times_s[-1]  # the 7th and the 8th came 0.2 s after the 6th


def test_tells_a_truncated_answer() -> None:
    with FakeServer(mode="truncated") as fake, CompletionClient(fake.url) as client:
        done = client.stream(PROMPT, 8, 5.0)
    assert done.truncated
    assert done.output_tokens == 4


@pytest.mark.parametrize(
    ("mode", "reason", "words"),
    [
        ("die-before", "server-died", ""),
        ("die-mid-stream", "server-died", ""),
        ("reset-mid-stream", "server-died", ""),
        ("loading", "refused", "Loading model"),
        ("busy", "queue-full", "no slot available"),
        ("too-many", "queue-full", "queue [31m is full xxx"),
        ("bad-request", "bad-request", "exceeds the available context size (1024 tokens)"),
        ("server-error", "server-error", "out of everything"),
        ("error-event", "server-error", "Context size has been exceeded."),
        ("garbage", "server-error", "not an event"),
        ("not-an-object", "server-error", "not an event"),
        ("long-line", "server-error", "line of more than 1048576 bytes"),
        ("no-timings", "server-error", "lack a usable prompt_n"),
        ("wrong-timings", "server-error", "lack a usable prompt_ms"),
        ("ends-early", "server-error", "without its timings"),
        ("endless", "server-error", "more than the 9 tokens asked for"),
        ("no-http", "server-error", ""),
    ],
)
def test_classifies_failures(mode: Mode, reason: str, words: str) -> None:
    failed = failure(mode)
    assert failed.reason == reason
    assert words in failed.detail
    assert failed.detail.isprintable()
    assert 0 < len(failed.detail) <= MAX_DETAIL_CHARACTERS
    assert isinstance(failed, EngineError)


@pytest.mark.parametrize("mode", ["silent", "pings"])
def test_gives_up_in_time(mode: Mode) -> None:
    failed = failure(mode, timeout_s=0.15)
    assert failed.reason is FailureReason.TIMEOUT
    assert "0.15 s" in failed.detail


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nobody_listens() -> None:
    with CompletionClient(f"http://127.0.0.1:{closed_port()}") as client:
        assert not client.health()
        with pytest.raises(RequestFailure) as caught:
            client.stream(PROMPT, 1, 1.0)
    assert caught.value.reason is FailureReason.REFUSED


def test_other_trouble_is_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> object:
        raise OSError(errno.EHOSTUNREACH, "no route to host")

    monkeypatch.setattr(socket, "create_connection", fail)
    with pytest.raises(RequestFailure, match="no route to host") as caught:
        CompletionClient("http://127.0.0.1:1").stream(PROMPT, 1, 1.0)
    assert caught.value.reason is FailureReason.NETWORK


def test_errors_of_the_callback_are_its_callers() -> None:
    def refuse(_: float) -> None:
        raise ValueError("mine")

    with FakeServer() as fake, CompletionClient(fake.url) as client, pytest.raises(ValueError, match="mine"):
        client.stream(PROMPT, 2, 5.0, on_token=refuse)


def test_threads_share_a_client() -> None:
    outputs: dict[int, int] = {}
    with FakeServer() as fake, CompletionClient(fake.url) as client:

        def request(count: int) -> None:
            outputs[count] = client.stream(PROMPT[:count], count, 5.0).output_tokens

        threads = [threading.Thread(target=request, args=(count,)) for count in range(1, 17)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert outputs == {count: count for count in range(1, 17)}


def test_health() -> None:
    with FakeServer() as fake, CompletionClient(fake.url) as client:
        assert client.health()
        fake.mode = "loading"
        assert not client.health()


def test_ignores_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    complete("ok")


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1:80", "https://127.0.0.1:80", "127.0.0.1:80", "http://127.0.0.1.example.com", "http://127.0.0.1:x"]
)
def test_only_this_machine(url: str) -> None:
    with pytest.raises(InputError, match=r"write http://127.0.0.1:PORT"):
        CompletionClient(url)


def test_unique_prompts() -> None:
    prompts = [unique_prompt(50, seed, 1000) for seed in range(997)]
    assert prompts[5] == unique_prompt(50, 5, 1000)
    assert len({prompt[0] for prompt in prompts}) == 997  # no two share a beginning
    assert {token for prompt in prompts for token in prompt} == set(range(3, 1000))
    assert all(len(prompt) == 50 for prompt in prompts)


@pytest.mark.parametrize(
    "call",
    [
        lambda: unique_prompt(0, 0, 10),
        lambda: unique_prompt(1, -1, 10),
        lambda: unique_prompt(1, 0, 3),
        lambda: CompletionClient("http://127.0.0.1:1").stream([5], 0, 1.0),
        lambda: CompletionClient("http://127.0.0.1:1").stream([5], 1, 0.0),
    ],
)
def test_rejects_what_cannot_be_asked(call: Callable[[], object]) -> None:
    with pytest.raises(InputError):
        call()
