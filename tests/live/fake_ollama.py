"""An Ollama that answers as the program does (0.33: ``server/routes.go``, ``llm/llama_server.go``), in front of embedded llama.cpp.

``python fake_ollama.py LOGS TAG=FILE.gguf [TAG=FILE.gguf:{"stop": ["x"]}]...`` prints its address as one line of JSON and serves
until standard input ends. It obeys ``OLLAMA_MAX_QUEUE``, ``OLLAMA_MAX_LOADED_MODELS``, ``OLLAMA_NUM_PARALLEL`` and
``OLLAMA_KEEP_ALIVE``. Left out: pulling, creating and deleting models, images, tools, embeddings, GPUs.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fake_ollama_scheduler import RUNNER_OPTIONS, Model, OllamaError, Runner, Scheduler, seconds

from mmpredict.models.gguf.header import read_header
from mmpredict.models.metadata.keys import LongArray

VERSION = "0.33.0"
NS = 1e9
TEMPLATE = "{{ .Prompt }}"
DEFAULTS = {
    "num_predict": -1, "temperature": 0.8, "top_k": 40, "top_p": 0.9, "typical_p": 1.0, "min_p": 0.0, "repeat_last_n": 64,
    "repeat_penalty": 1.0, "seed": -1, "stop": [],
}  # fmt: skip
OPEN_ENDED_CONTEXTS = 10
REPEATS = 30
TOO_LONG = (
    "the prompt is longer than the context length currently available to the model; shorten the prompt, adjust the context length "
    "in settings, or use a model with a longer context length"
)


class FakeOllama:
    """What the handlers share."""

    def __init__(self, models: dict[str, Model], scheduler: Scheduler) -> None:
        self.models = models
        self.scheduler = scheduler

    def model(self, name: str) -> Model:
        """The model of a tag, whose case does not matter and which may lack ``:latest``.

        Raises:
            OllamaError: there is none.
        """
        tag = name if ":" in name else f"{name}:latest"
        found = next((model for known, model in self.models.items() if known.lower() == tag.lower()), None)
        if found is None:
            raise OllamaError(404, f"model '{name}' not found")
        return found


def generate(fake: FakeOllama, body: dict[str, Any], chat: bool) -> Iterator[dict[str, Any]]:
    """The objects of an answer of ``/api/generate`` or ``/api/chat``.

    Raises:
        OllamaError: there is none.
    """
    start_s = time.perf_counter()
    name = body.get("model", "")
    model = fake.model(name)
    keep_alive_s = seconds(body.get("keep_alive"))
    empty = not body.get("messages") if chat else body.get("prompt", "") == ""
    if empty and keep_alive_s == 0:
        fake.scheduler.expire(model)
        yield {**_said(name, "", chat), "done": True, "done_reason": "unload"}
        return
    if not chat and body.get("raw") and (body.get("template") or body.get("system") or body.get("context")):
        raise OllamaError(400, "raw mode does not support template, system, or context")
    think = body.get("think")
    if think:
        raise OllamaError(400, f'"{name}" does not support thinking')
    options = {**DEFAULTS, **model.options, **(body.get("options") or {})}
    options["num_ctx"] = min(options.get("num_ctx", RUNNER_OPTIONS["num_ctx"]), trained_context(model))
    shift = body.get("shift") in (None, True)
    with fake.scheduler.runner(model, options, shift, keep_alive_s) as runner:
        loaded_s = time.perf_counter()
        if empty:
            yield {**_said(name, "", chat), "done": True, "done_reason": "load"}
            return
        with runner.seats:
            truncate = body.get("truncate") in (None, True)
            # A model without a template has {{ .Prompt }} in generate; in chat its runner puts llama.cpp's own around messages.
            text = "" if chat else body["prompt"]
            events = chatting(runner, body["messages"], options) if chat else completion(runner, text, options, truncate, shift)
            for event in events:
                line = {**_said(name, event.get("content", ""), chat), "done": False}
                if event.get("stop"):
                    timings = event["timings"]
                    line |= {
                        "done": True,
                        "done_reason": "length" if event.get("stop_type") == "limit" else "stop",
                        "total_duration": round((time.perf_counter() - start_s) * NS),
                        "load_duration": round((loaded_s - start_s) * NS),
                        "prompt_eval_count": timings["cache_n"] + timings["prompt_n"],
                        "prompt_eval_duration": round(timings["prompt_ms"] * 1e6),
                        "eval_count": timings["predicted_n"],
                        "eval_duration": round(timings["predicted_ms"] * 1e6),
                    }
                    if not chat and not body.get("raw"):
                        line["context"] = tokens(runner, text)
                yield {key: value for key, value in line.items() if value or not key.endswith(("_count", "_duration"))}


def completion(runner: Runner, text: str, options: dict[str, Any], truncate: bool, shift: bool) -> Iterator[dict[str, Any]]:
    """The events of the runner's own answer, cut off where the model repeats itself."""
    context_tokens = runner.options[0]
    prompt: str | list[int] = text
    if truncate and len(text) >= context_tokens and len(found := tokens(runner, text)) > context_tokens - 1:
        if not shift:
            raise OllamaError(400, TOO_LONG)
        kept = min(options.get("num_keep", 4), context_tokens - 1)
        limit = context_tokens - max((context_tokens - kept) // 2, 1)
        prompt = found[:kept] + found[kept + len(found) - limit :]
    body = _sampling(runner, options) | {"prompt": prompt}
    last, repeats = "", 0
    with suppress(OSError):  # the connection is closed where the reader goes
        for line in _post(runner, "/completion", body):
            if not line.startswith(b"data: "):
                continue
            event = json.loads(line.removeprefix(b"data: "))
            content = event.get("content", "")
            repeats = repeats + 1 if content.strip() == last else 0
            last = content.strip()
            if repeats > REPEATS:
                return
            if content or event.get("stop"):
                yield event


def chatting(runner: Runner, messages: list[dict[str, Any]], options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The events of the runner's own chat, which nobody cuts off, as ``completion`` has them."""
    for line in _post(runner, "/v1/chat/completions", _sampling(runner, options) | {"messages": messages}):
        content = line.removeprefix(b"data: ").strip()
        if not line.startswith(b"data: ") or content == b"[DONE]":
            continue
        event = json.loads(content)
        for choice in event["choices"][:1]:
            if choice["finish_reason"] is not None:
                kind = "limit" if choice["finish_reason"] == "length" else "eos"
                yield {"content": "", "stop": True, "stop_type": kind, "timings": event["timings"]}
                return
            if text := choice["delta"].get("content"):
                yield {"content": text}


def _sampling(runner: Runner, options: dict[str, Any]) -> dict[str, Any]:
    """What the runner is asked for, but for the prompt."""
    asked, most = options["num_predict"], OPEN_ENDED_CONTEXTS * runner.options[0]
    body = {key: options[key] for key in DEFAULTS if key != "num_predict"}
    return body | {"stream": True, "cache_prompt": True, "n_predict": most if not 0 <= asked <= most else asked}


def tokens(runner: Runner, text: str) -> list[int]:
    found: list[int] = json.loads(b"".join(_post(runner, "/tokenize", {"content": text, "add_special": True})))["tokens"]
    return found


def _post(runner: Runner, path: str, body: dict[str, Any]) -> Iterator[bytes]:
    child = http.client.HTTPConnection("127.0.0.1", urlsplit(runner.server.url).port or 0)
    try:
        child.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = child.getresponse()
        if answer.status >= 400:
            raise OllamaError(answer.status, answer.read().decode().strip())
        yield from answer
    finally:
        child.close()


def _json(content: dict[str, Any]) -> bytes:
    """As Go writes it: without spaces, and nothing that could be HTML."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").encode()


def _said(name: str, text: str, chat: bool) -> dict[str, Any]:
    content = {"message": {"role": "assistant", "content": text}} if chat else {"response": text}
    return {"model": name, "created_at": _time(time.time()), **content}


def _time(seconds_s: float) -> str:
    moment = datetime.fromtimestamp(min(seconds_s, 1.1e10), UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def listed(model: Model) -> dict[str, Any]:
    """An entry of ``/api/tags``."""
    return {
        "name": model.name,
        "model": model.name,
        "modified_at": _time(model.path.stat().st_mtime),
        "size": model.path.stat().st_size,
        "digest": model.digest,
        "details": details(model) | {"context_length": trained_context(model), "embedding_length": width(model)},
        "capabilities": ["completion"],
    }


def details(model: Model) -> dict[str, Any]:
    architecture = read_header(model.path).metadata["general.architecture"]
    return {
        "parent_model": "",
        "format": "gguf",
        "family": architecture,
        "families": [architecture],
        "parameter_size": "134.52M",
        "quantization_level": "Q4_0",
    }


def in_memory(runner: Runner) -> dict[str, Any]:
    """An entry of ``/api/ps``; everything is in main memory."""
    return {
        "name": runner.model.name,
        "model": runner.model.name,
        "size": sum(runner.server.buffer_bytes().values()),
        "digest": runner.model.digest,
        "details": details(runner.model),
        "expires_at": _time(runner.expires_s),
        "size_vram": 0,
        "context_length": runner.options[0],
    }


def trained_context(model: Model) -> int:
    """The context beyond which Ollama does not go [tokens]."""
    metadata = read_header(model.path).metadata
    return int(str(metadata[f"{metadata['general.architecture']}.context_length"]))


def width(model: Model) -> int:
    """Width of the hidden state [1]."""
    metadata = read_header(model.path).metadata
    return int(str(metadata[f"{metadata['general.architecture']}.embedding_length"]))


def shown(model: Model, verbose: bool) -> dict[str, Any]:
    """The answer to ``/api/show``."""
    header = read_header(model.path)
    info: dict[str, Any] = {"general.parameter_count": sum(tensor.weights for tensor in header.tensors)}
    for key, value in header.metadata.items():
        if isinstance(value, LongArray):
            info[key] = ["x"] * value.length if verbose else None
        else:
            info[key] = list(value) if isinstance(value, tuple) else value
    return {
        "modelfile": f'# Modelfile generated by "ollama show"\n# FROM {model.name}\n\nFROM {model.path}\nTEMPLATE {TEMPLATE}\n',
        "template": TEMPLATE,
        "details": details(model),
        "model_info": info,
        "tensors": [{"name": one.name, "type": one.type.name.upper(), "shape": list(one.shape)} for one in header.tensors],
        "capabilities": ["completion"],
        "modified_at": _time(model.path.stat().st_mtime),
    }


class _Server(ThreadingHTTPServer):
    fake: FakeOllama
    daemon_threads = True
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        fake = self.server.fake
        if self.path == "/":
            self._send(200, b"Ollama is running", "text/plain; charset=utf-8")
        elif self.path == "/api/version":
            self._answer(200, {"version": VERSION})
        elif self.path == "/api/tags":
            self._answer(200, {"models": [listed(model) for model in fake.models.values()]})
        elif self.path == "/api/ps":
            loaded = sorted(fake.scheduler.loaded(), key=lambda runner: -runner.expires_s)
            self._answer(200, {"models": [in_memory(runner) for runner in loaded]})
        else:
            self._send(404, b"404 page not found", "text/plain")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        fake = self.server.fake
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            body = json.loads(content) if content else None
            if body is None:
                raise OllamaError(400, "missing request body")
            if self.path in ("/api/generate", "/api/chat"):
                self._generate(generate(fake, body, self.path == "/api/chat"), body.get("stream") in (None, True))
            elif self.path == "/api/show":
                self._answer(200, shown(fake.model(body.get("model") or body.get("name", "")), bool(body.get("verbose"))))
            else:
                self._send(404, b"404 page not found", "text/plain")
        except OllamaError as error:
            self._answer(error.status, {"error": str(error)})
        except ValueError as error:
            self._answer(400, {"error": str(error)})

    def _generate(self, answer: Iterator[dict[str, Any]], stream: bool) -> None:
        first = next(answer, None)  # until the first line is known, an error has a status of its own
        if not stream or first is None or first.get("done_reason") in ("load", "unload"):
            lines = [line for line in (first, *answer) if line is not None]
            whole = lines[-1] if lines else {}
            if "message" in whole:
                whole["message"]["content"] = "".join(line["message"]["content"] for line in lines)
            elif whole:
                whole["response"] = "".join(line["response"] for line in lines)
            self._answer(200, whole)
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            self._line(first)
            try:
                for line in answer:
                    self._line(line)
            except OllamaError as error:
                self._line({"error": str(error)})
            self.wfile.write(b"0\r\n\r\n")
        except OSError:  # the client is gone: so is its request
            answer.close()  # type: ignore[attr-defined]
            self.close_connection = True

    def _line(self, content: dict[str, Any]) -> None:
        line = _json(content) + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        self._send(status, _json(content), "application/json; charset=utf-8")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        with suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def main() -> None:
    logs, *listed_models = sys.argv[1:]
    models = {}
    for text in listed_models:
        tag, _, rest = text.partition("=")
        path, _, options = rest.partition(":")
        models[tag] = Model(tag, Path(path), json.loads(options) if options else {})
    scheduler = Scheduler(
        int(os.environ.get("OLLAMA_MAX_QUEUE", "512")),
        int(os.environ.get("OLLAMA_MAX_LOADED_MODELS", "3")),
        int(os.environ.get("OLLAMA_NUM_PARALLEL", "1")),
        seconds(os.environ.get("OLLAMA_KEEP_ALIVE", "5m")) or 0.0,
        Path(logs),
    )
    server = _Server(("127.0.0.1", 0), _Handler)
    server.fake = FakeOllama(models, scheduler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    print(json.dumps({"address": f"http://127.0.0.1:{server.server_address[1]}"}), flush=True)
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
