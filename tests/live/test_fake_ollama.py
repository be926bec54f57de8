"""The Ollama of the tests is one: the official client works with it, and it loads, keeps, queues, refuses as the program does."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ollama
import pytest
from engines import TAG, fake_ollama

from mmpredict.live.choice import EngineChoice, engine_of
from mmpredict.live.client import CompletionClient
from mmpredict.live.describe import describe
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.live.ollama_client import OllamaClient, OllamaOptions
from mmpredict.models.resolve import resolve
from mmpredict.simulation.plan import InstancePlan, Plan, Stage

ENDING, OTHER, SAME = "ending:latest", "other:latest", "same:latest"
OPTIONS = {"num_ctx": 512, "num_predict": 12, "num_thread": 1, "temperature": 0, "seed": 0}
LOADED = OllamaOptions(512, 512, 1)

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def url(text_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("other")
    other, ending = directory / "other.gguf", directory / "ending.gguf"
    for path in (other, ending):  # a runner belongs to a file, whatever names it has
        path.symlink_to(text_model)
    tags = {TAG: str(text_model), SAME: str(text_model), OTHER: str(other), ENDING: f"{ending}:{json.dumps({'stop': ['t']})}"}
    with fake_ollama(tags, tmp_path_factory.mktemp("ollama"), OLLAMA_MAX_QUEUE="1", OLLAMA_MAX_LOADED_MODELS="1") as address:
        yield address


@pytest.fixture(scope="module")
def official(url: str) -> ollama.Client:
    return ollama.Client(url)


def test_the_official_client_generates(official: ollama.Client) -> None:
    whole = official.generate("text", " time year people", options=OPTIONS, raw=True)
    assert (whole.done, whole.done_reason, whole.prompt_eval_count, whole.eval_count) == (True, "length", 3, 12)
    assert whole.total_duration and whole.load_duration and whole.prompt_eval_duration and whole.eval_duration
    parts = list(official.generate("text", " time year people", options=OPTIONS, raw=True, stream=True))
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert "".join(part.response for part in parts) == whole.response
    assert 1e-3 < (parts[-1].eval_duration or 0) / 1e9 < 60


def test_the_official_client_chats(official: ollama.Client) -> None:
    talk = [{"role": "user", "content": " time year"}]
    answer = official.chat("text", talk, options=OPTIONS)
    assert answer.message.role == "assistant"
    assert answer.message.content
    parts = list(official.chat("text", talk, options=OPTIONS, stream=True))
    assert "".join(part.message.content or "" for part in parts) == answer.message.content


def test_the_official_client_lists_and_shows(official: ollama.Client, url: str, text_model: Path) -> None:
    official.generate("text", " a", options=OPTIONS, raw=True)
    assert {one.model for one in official.list().models} == {TAG, SAME, OTHER, ENDING}
    assert all(one.size == text_model.stat().st_size for one in official.list().models)
    shown = official.show("text")
    assert shown.details is not None and shown.details.family == "llama"
    assert shown.modelinfo is not None and shown.modelinfo["llama.block_count"] == 30
    (loaded,) = official.ps().models
    assert (loaded.name, loaded.size_vram, loaded.context_length) == (TAG, 0, 512)
    assert loaded.size is not None and loaded.size > 75e6
    assert loaded.expires_at is not None and 200 < (loaded.expires_at - datetime.now(UTC)).total_seconds() < 300
    with CompletionClient(url) as client:
        assert client.content("/") == b"Ollama is running"


def test_what_it_shows_is_the_exact_model(url: str, text_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", url)
    described, own = describe("ollama://text"), resolve(str(text_model))
    assert (described.tensors, described.weight_bytes) == (own.tensors, own.weight_bytes)
    assert (described.shape.n_vocab, described.shape.n_layers) == (own.shape.n_vocab, own.shape.n_layers)


def test_an_unknown_model_is_not_found(official: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'nope' not found") as caught:
        official.generate("nope", "x")
    assert caught.value.status_code == 404


@pytest.mark.parametrize(("keep_alive", "reason"), [("1z", "duration"), ([], "Unsupported type")])
def test_a_keep_alive_that_is_no_duration_is_refused(url: str, keep_alive: object, reason: str) -> None:
    with CompletionClient(url) as client, pytest.raises(RequestFailure, match=reason) as caught:
        client.ask("/api/generate", {"model": "text", "keep_alive": keep_alive})
    assert caught.value.reason is FailureReason.BAD_REQUEST


def test_a_model_is_kept_as_long_as_it_was_asked_for(official: ollama.Client) -> None:
    assert official.generate("text", keep_alive=-1).done_reason == "load"
    (kept,) = official.ps().models
    assert kept.expires_at is not None and kept.expires_at.year > 2200
    assert official.generate("text", keep_alive="0").done_reason == "unload"
    wait_until(lambda: not official.ps().models)
    assert official.generate("text", keep_alive=0.05).done_reason == "load"
    wait_until(lambda: not official.ps().models)


def test_names_of_one_file_share_a_runner(official: ollama.Client) -> None:
    """As seen with 0.33: a model copied to another name is listed by the name that it was loaded by."""
    official.generate("text", " a", options={**OPTIONS, "num_predict": 1}, raw=True)
    official.generate("same", " a", options={**OPTIONS, "num_predict": 1}, raw=True)
    assert [one.name for one in official.ps().models] == [TAG]
    official.generate("same", keep_alive=0)
    wait_until(lambda: not official.ps().models)


def test_another_context_loads_the_model_anew(official: ollama.Client) -> None:
    for num_ctx in (512, 256):
        official.generate("text", " a", options={**OPTIONS, "num_ctx": num_ctx, "num_predict": 1}, raw=True)
        assert official.ps().models[0].context_length == num_ctx


def test_too_many_that_wait_are_refused(official: ollama.Client, url: str) -> None:
    """One waits until the only loaded model is idle and its own is loaded, one stands behind it; the others find no room."""
    serving = official.generate("text", " a b c", options={**OPTIONS, "num_predict": 400}, raw=True, stream=True)
    next(iter(serving))
    together = threading.Barrier(6)

    def load() -> FailureReason | None:
        with OllamaClient(url) as client:
            together.wait()
            try:
                client.load(OTHER, LOADED)
            except RequestFailure as failure:
                assert "maximum pending requests exceeded" in failure.detail
                return failure.reason
            return None

    with ThreadPoolExecutor(together.parties) as pool:
        waiting = [pool.submit(load) for _ in range(together.parties)]
        outcomes = {future.result() for future in waiting}
    serving.close()
    assert outcomes == {None, FailureReason.QUEUE_FULL}


def test_our_own_client_reads_all_of_it(url: str) -> None:
    with OllamaClient(url) as client:
        client.load("text", LOADED)
        generated = client.stream("text", " time year people", 8, 30.0, LOADED)
        assert (generated.prompt_tokens, generated.output_tokens, len(generated.token_times_s)) == (3, 8, 8)
        assert generated.first_token_s - generated.sent_s > generated.prompt_s > 0
        chatted = client.stream("text", " time year", 4, 30.0, LOADED, chat=True, reuse=True)
        assert chatted.prompt_tokens > 20  # llama.cpp's own template around two words; 0.33 counts 50 tokens with these letters
        assert len(chatted.texts) == 4
        process = client.process("text")
        assert process is not None and process.size > 75e6
        client.unload("text")
        assert client.process("text") is None


def test_the_engine_can_chat(url: str, text_model: Path, tmp_path: Path) -> None:
    instance = InstancePlan("text", str(text_model), 1, context_tokens=512, slots=1, batch_tokens=256, ubatch_tokens=256)
    engine = engine_of(EngineChoice("ollama", url=url, chat=True, gpu_layers=0, names={instance.model: "text"}))
    engine.prepare(Plan("only", (instance,), (Stage(("text",)),)), {}, cold=True)
    server = engine.load(instance, tmp_path / "log")
    answer = server.stream(server.prompt(80, 3), 5, 30.0)
    assert (answer.prompt_tokens, answer.output_tokens) == (80, 5)
    server.stop()
    assert engine.notes == []


def test_a_model_that_was_let_go_meanwhile_is_told(url: str, text_model: Path, tmp_path: Path) -> None:
    """Ollama makes room for another model when it likes, and loads the first anew amid a request to it."""
    instance = InstancePlan("text", str(text_model), 1, context_tokens=512, slots=1, batch_tokens=256, ubatch_tokens=256)
    engine = engine_of(EngineChoice("ollama", url=url, names={instance.model: "text"}))
    engine.prepare(Plan("only", (instance,), (Stage(("text",)),)), {}, cold=True)
    server = engine.load(instance, tmp_path / "log")
    assert server.stream(server.prompt(8, 1), 2, 30.0).load_s < 0.2
    assert engine.notes == []
    with OllamaClient(url) as client:
        client.load(OTHER, LOADED)
    assert server.stream(server.prompt(8, 2), 2, 30.0).load_s > 0.2
    server.stream(server.prompt(8, 3), 2, 30.0)
    (note,) = engine.notes
    assert "had let text go" in note and "OLLAMA_MAX_LOADED_MODELS" in note
    server.stop()


def test_an_answer_that_ends_early_is_recorded_as_short(url: str) -> None:
    with OllamaClient(url) as client:
        done = client.stream(ENDING, " time year people", 20, 30.0, LOADED)
        assert (1 <= done.output_tokens < 20, done.truncated) == (True, False)


def test_a_model_that_repeats_itself_is_cut_off(url: str) -> None:
    """Random weights say the same for ever, sooner or later; Ollama then ends the answer without its last line."""
    with OllamaClient(url) as client:
        done = client.stream(TAG, " time year people", 400, 60.0, LOADED)
        assert done.truncated and 30 < done.output_tokens < 400
        assert done.prompt_s != done.prompt_s


def test_too_little_memory_is_said_so(text_model: Path, tmp_path: Path) -> None:
    """The runner's own failure to get memory, passed on by Ollama; a smaller context fits."""
    many = {"OLLAMA_NUM_PARALLEL": "16"}
    with fake_ollama({TAG: str(text_model)}, tmp_path, 2 * 10**9, **many) as address, OllamaClient(address) as client:
        with pytest.raises(RequestFailure) as caught:
            client.load(TAG, OllamaOptions(8192, 64, 1))
        assert caught.value.reason is FailureReason.OUT_OF_MEMORY
        client.load(TAG, OllamaOptions(256, 64, 1))


def test_a_request_that_is_given_up_frees_its_seat(url: str) -> None:
    with OllamaClient(url) as client:
        client.load(TAG, LOADED)
        with pytest.raises(RequestFailure, match="timeout"):
            client.stream(TAG, " woman", 400, 0.005, LOADED)
        for _ in range(2):  # one that is under way, and one that comes too late
            with pytest.raises(RequestFailure) as caught:
                client.stream(TAG, " a b c", 400, 30.0, LOADED, on_token=lambda _: client.abandon())
            assert caught.value.reason in (FailureReason.SERVER_DIED, FailureReason.NETWORK)
    with OllamaClient(url) as client:
        assert client.stream(TAG, " man", 1, 30.0, LOADED).output_tokens == 1


def wait_until(reached: Any, limit_s: float = 5.0) -> None:
    end_s = time.perf_counter() + limit_s
    while not reached():
        assert time.perf_counter() < end_s
        time.sleep(0.01)
