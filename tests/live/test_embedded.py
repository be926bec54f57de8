"""Real servers with a small model of random weights."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from mmpredict.errors import EngineMissingError, FileFormatError, InputError, ServerDiedError
from mmpredict.live import embedded
from mmpredict.live.client import CompletionClient, unique_prompt
from mmpredict.live.embedded import EmbeddedServer, engine_build
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.models.synthetic import synthetic_spec
from mmpredict.simulation.plan import InstancePlan
from mmpredict.units import MIB

SPEC = synthetic_spec("synthetic:smollm2-135m@q4_0")

pytestmark = pytest.mark.live


def test_completes_exactly_what_was_asked(server: EmbeddedServer) -> None:
    with CompletionClient(server.url) as client:
        for seed, (prompt_tokens, output_tokens) in enumerate([(1, 1), (60, 7), (60, 7)]):
            done = client.stream(unique_prompt(prompt_tokens, seed, SPEC.shape.n_vocab), output_tokens, 20.0)
            assert (done.prompt_tokens, done.cached_tokens, done.output_tokens) == (prompt_tokens, 0, output_tokens)
            assert len(done.token_times_s) == output_tokens
            assert 0 <= done.slot < 3
            # The server's own clock and ours agree, but for the way between them.
            assert done.first_token_s - done.sent_s == pytest.approx(done.prompt_s, abs=0.05)
            assert done.last_token_s - done.first_token_s == pytest.approx(done.generation_s, abs=0.05)


def test_the_same_prompt_is_computed_again(server: EmbeddedServer) -> None:
    prompt = unique_prompt(40, 0, SPEC.shape.n_vocab)
    with CompletionClient(server.url) as client:
        assert [client.stream(prompt, 1, 20.0).cached_tokens for _ in range(5)] == [0] * 5


def test_reports_its_buffers(server: EmbeddedServer, small_model: Path) -> None:
    sizes = server.buffer_bytes()
    assert set(sizes) >= {"mapped_model", "kv", "compute", "output"}
    assert sizes["mapped_model"] == pytest.approx(small_model.stat().st_size, rel=0.02)
    keys_and_values = 2 * SPEC.shape.n_layers * SPEC.shape.n_kv_heads * SPEC.shape.key_dim * 2
    assert sizes["kv"] == pytest.approx(keys_and_values * 256, abs=0.01 * MIB)
    assert sizes["output"] == pytest.approx(3 * SPEC.shape.n_vocab * 4, abs=0.01 * MIB)


def test_start_time_has_parts(server: EmbeddedServer) -> None:
    parts = [server.times.process_s, server.times.import_s, server.times.load_s, server.times.health_s]
    assert sum(parts) == pytest.approx(server.load_s)
    assert min(parts) > 0
    assert server.load_s < 10


def test_listens_on_this_machine_only(server: EmbeddedServer) -> None:
    sockets = psutil.Process(server.pid).net_connections(kind="inet")
    listening = {connection.laddr for connection in sockets if connection.status == psutil.CONN_LISTEN}
    assert [f"http://{address.ip}:{address.port}" for address in listening] == [server.url]
    assert server.url.startswith("http://127.0.0.1:")


def test_says_why_it_rejects_a_request(server: EmbeddedServer) -> None:
    with CompletionClient(server.url) as client, pytest.raises(RequestFailure) as caught:
        client.stream(unique_prompt(300, 0, SPEC.shape.n_vocab), 1, 20.0)
    assert caught.value.reason is FailureReason.BAD_REQUEST
    assert "request (300 tokens) exceeds the available context size (256 tokens)" in caught.value.detail


def test_truncates_at_the_context(server: EmbeddedServer) -> None:
    with CompletionClient(server.url) as client:
        done = client.stream(unique_prompt(252, 0, SPEC.shape.n_vocab), 8, 60.0)
    assert done.truncated
    assert done.output_tokens == 4


def test_an_abandoned_request_does_not_block_the_next(server: EmbeddedServer) -> None:
    with CompletionClient(server.url) as client:
        with pytest.raises(RequestFailure, match="timeout"):
            client.stream([5], 1000, 0.3)
        assert client.stream([6], 1, 20.0).first_token_s


def test_runs_with_the_settings_of_the_plan(server: EmbeddedServer) -> None:
    variables = psutil.Process(server.pid).environ()
    assert {name: value for name, value in variables.items() if name.startswith(("OMP_", "GOMP_", "LLAMA_"))} == {
        "GOMP_SPINCOUNT": "1000"
    }
    log = server.log_path.read_text(errors="replace")
    assert "n_threads = 1 (n_threads_batch = 1)" in log
    assert "n_slots = 3, n_ctx_slot = 256, kv_unified = 'true'" in log
    assert "n_batch               = 128" in log
    assert "n_ubatch              = 64" in log


def test_server_dies_amid_an_answer(small_model: Path, instance: InstancePlan, tmp_path: Path) -> None:
    with EmbeddedServer.start(instance, small_model, tmp_path / "log") as server, CompletionClient(server.url) as client:
        killer = threading.Timer(0.3, os.kill, (server.pid, signal.SIGKILL))
        killer.start()
        with pytest.raises(RequestFailure) as caught:
            client.stream([5], 1000, 20.0)
        assert caught.value.reason is FailureReason.SERVER_DIED
        with pytest.raises(RequestFailure) as caught:
            client.stream([5], 1, 20.0)
        assert caught.value.reason in (FailureReason.REFUSED, FailureReason.SERVER_DIED)  # the system may still close its port
        limit_s = time.perf_counter() + 5
        while server.alive():
            assert time.perf_counter() < limit_s
            time.sleep(0.01)
        assert server.death().startswith("killed by SIGKILL")
        server.stop()
        server.stop()
        assert server.death().startswith("killed by SIGKILL")


def test_truncated_model(small_model: Path, instance: InstancePlan, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(small_model.read_bytes()[:5_000_000])
    with pytest.raises(ServerDiedError, match="data is not within the file bounds, model is corrupted or incomplete"):
        EmbeddedServer.start(instance, damaged, tmp_path / "log")


@pytest.mark.parametrize(
    ("content", "expected"), [(b"PK\x03\x04 something else", FileFormatError), (b"", FileFormatError), (None, InputError)]
)
def test_not_a_model(content: bytes | None, expected: type[InputError], instance: InstancePlan, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(expected, match=r"model.gguf"):
        EmbeddedServer.start(instance, path, tmp_path / "log")
    assert not (tmp_path / "log").exists()


def test_engine_missing(monkeypatch: pytest.MonkeyPatch, small_model: Path, instance: InstancePlan, tmp_path: Path) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    with pytest.raises(EngineMissingError, match=r"pip install 'mmpredict\[embedded\]'"):
        EmbeddedServer.start(instance, small_model, tmp_path / "log")


def test_engine_build() -> None:
    name, version = engine_build().split()
    assert name == "xllamacpp"
    assert version[0].isdigit()
