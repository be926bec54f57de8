"""Descriptions of models by running servers: a real one, and ones that answer anything."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from mmpredict.errors import EngineError, InputError, MmpredictError
from mmpredict.live.describe import OLLAMA_ADDRESS, describe, is_served, ollama_address
from mmpredict.live.embedded import EmbeddedServer
from mmpredict.models.resolve import resolve
from mmpredict.scenario.document import Scenario

SHOW: dict[str, Any] = {
    "details": {"format": "gguf", "family": "qwen2", "parameter_size": "494.03M", "quantization_level": "Q4_K_M"},
    "model_info": {
        "general.architecture": "qwen2",
        "general.parameter_count": 494032768,
        "qwen2.attention.head_count": 14,
        "qwen2.attention.head_count_kv": 2,
        "qwen2.block_count": 24,
        "qwen2.context_length": 32768,
        "qwen2.embedding_length": 896,
        "qwen2.feed_forward_length": 4864,
        "tokenizer.ggml.tokens": ["x"] * 1000,
        "qwen2.vocab_size": 151936,
    },
}


@contextmanager
def answering(bodies: dict[str, bytes]) -> Iterator[str]:
    """A server that answers every path with the bytes given for it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = bodies.get(self.path)
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200 if body is not None else 404)
            self.end_headers()
            self.wfile.write(body or b"{}")

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.live
def test_a_real_server_describes_its_file(server: EmbeddedServer) -> None:
    spec, known = describe(server.url), resolve("synthetic:smollm2-135m@q4_0")
    assert spec.name == server.url
    assert [(t.name, t.shape, t.type) for t in spec.tensors] == [(t.name, t.shape, t.type) for t in known.tensors]


def test_ollama_describes_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering({"/api/show": json.dumps(SHOW).encode()}) as url:
        monkeypatch.setenv("OLLAMA_HOST", url)
        spec = describe("ollama://qwen2.5:0.5b")
    assert (spec.name, spec.shape.architecture, spec.shape.n_layers) == ("ollama://qwen2.5:0.5b", "qwen2", 24)
    assert spec.parameters == pytest.approx(494032768, rel=1e-3)


def test_a_scenario_may_ask_models_that_a_server_has(monkeypatch: pytest.MonkeyPatch) -> None:
    request = {"model": "ollama://mine", "prompt_tokens": 8, "output_tokens": 8}
    scenario = Scenario.model_validate({"requests": [request, {**request, "model": "synthetic:smollm2-135m@q4_0"}]})
    with answering({"/api/show": json.dumps(SHOW).encode()}) as url:
        monkeypatch.setenv("OLLAMA_HOST", url)
        specs = scenario.specs()
    assert {name: spec.shape.n_layers for name, spec in specs.items()} == {"ollama://mine": 24, "synthetic:smollm2-135m@q4_0": 30}
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    with pytest.raises(EngineError, match="ollama serve"):
        scenario.specs()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"[" * 100_000, b'{"model_info": 3}', b'{"model_info": {}}'])
def test_answers_that_are_no_description(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering({"/api/show": body, "/props": body}) as url:
        monkeypatch.setenv("OLLAMA_HOST", url)
        for name in ("ollama://x", url):
            with pytest.raises(MmpredictError):
                describe(name)


def test_no_server_is_said_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    with pytest.raises(EngineError, match=r"refused.*start it \(ollama serve\)"):
        describe("ollama://qwen2.5:7b")
    with pytest.raises(EngineError, match=r"start it with: llama-server"):
        describe("http://127.0.0.1:1")
    with pytest.raises(InputError, match="names no model"):
        describe("ollama://")
    with pytest.raises(InputError, match="cannot be used"):
        describe("http://example.org:80")


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("", OLLAMA_ADDRESS),
        ("0.0.0.0", OLLAMA_ADDRESS),
        ("0.0.0.0:8000", "http://127.0.0.1:8000"),
        ("localhost", "http://localhost:11434"),
        ("http://127.0.0.1:5000/", "http://127.0.0.1:5000"),
    ],
)
def test_ollama_host_as_people_write_it(value: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", value)
    assert ollama_address() == address


def test_only_servers_are_served() -> None:
    assert is_served("http://127.0.0.1:8080") and is_served("ollama://x")
    assert not is_served("qwen2.5:7b") and not is_served("model.gguf")
