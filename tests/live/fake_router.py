"""A llama-server in router mode: the answers of the real one (``tools/server/server-models.cpp``), models served by llama.cpp."""

from __future__ import annotations

import http.client
import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from json_server import JsonHandler, JsonServer

from mmpredict.errors import EngineError
from mmpredict.live.embedded import EmbeddedServer
from mmpredict.simulation.plan import InstancePlan


@dataclass
class FakeRouter:
    """Serves ``models`` (name → file) on the loopback interface until it is closed.

    Attributes:
        models: what it knows.
        instance: the options of every model.
        calls: loads and unloads that it was asked for.
    """

    models: dict[str, Path]
    instance: InstancePlan
    logs: Path
    calls: list[str] = field(default_factory=list)
    loaded: dict[str, EmbeddedServer] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._http = _Server(_Handler)
        self._http.router = self
        self.url = self._http.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        for server in self.loaded.values():
            server.stop()

    def load(self, name: str) -> None:
        self.calls.append(f"load {name}")
        self.status[name] = "loading"
        threading.Thread(target=self._load, args=(name,), daemon=True).start()

    def _load(self, name: str) -> None:
        try:
            self.loaded[name] = EmbeddedServer.start(self.instance, self.models[name], self.logs / f"{name}.log")
        except EngineError:
            self.status[name] = "failed"
        else:
            self.status[name] = "loaded"

    def unload(self, name: str) -> None:
        self.calls.append(f"unload {name}")
        self.loaded.pop(name).stop()
        self.status[name] = "unloaded"

    def listing(self) -> dict[str, Any]:
        return {"object": "list", "data": [self._entry(name) for name in self.models]}

    def _entry(self, name: str) -> dict[str, Any]:
        value = self.status.get(name, "unloaded")
        status: dict[str, Any] = {"value": "unloaded" if value == "failed" else value, "args": ["llama-server", "--alias", name]}
        if value == "failed":
            status |= {"failed": True, "exit_code": 1}
        if name in self.loaded:
            status["args"] += ["--port", str(urlsplit(self.loaded[name].url).port)]
        return {"id": name, "object": "model", "owned_by": "llamacpp", "status": status}


class _Server(JsonServer):
    router: FakeRouter


class _Handler(JsonHandler):
    server: _Server

    def do_GET(self) -> None:  # noqa: N802  as the library calls it
        router, address = self.server.router, urlsplit(self.path)
        name = parse_qs(address.query).get("model", [""])[0]
        if name:
            self._proxy(name, address.path, None)
        elif address.path == "/props":
            settings = {"params": {}, "n_ctx": 0}
            props = {"role": "router", "max_instances": 4, "model_alias": "llama-server", "model_path": "none"}
            self._answer(200, {**props, "default_generation_settings": settings, "build_info": "b11549-0c1e570"})
        elif address.path in ("/models", "/v1/models"):
            self._answer(200, router.listing())
        else:
            self._refuse(400, "model name is missing from the request")

    def do_POST(self) -> None:  # noqa: N802  as the library calls it
        router = self.server.router
        content = self.rfile.read(int(self.headers["Content-Length"]))
        name = json.loads(content).get("model", "")
        if name not in router.models:
            self._refuse(404 if self.path == "/models/load" else 400, "model is not found")
        elif self.path == "/models/load":
            if name in router.loaded:
                self._refuse(400, "model is already running")
                return
            router.load(name)
            self._answer(200, {"success": True})
        elif self.path == "/models/unload":
            if name not in router.loaded:
                self._refuse(400, "model is not running")
                return
            router.unload(name)
            self._answer(200, {"success": True})
        else:
            self._proxy(name, self.path, content)

    def _proxy(self, name: str, path: str, content: bytes | None) -> None:
        if name not in self.server.router.loaded:
            self._refuse(400, "model is not loaded")
            return
        child = http.client.HTTPConnection("127.0.0.1", urlsplit(self.server.router.loaded[name].url).port or 0)
        headers = {"Content-Type": "application/json"} if content is not None else {}
        child.request("GET" if content is None else "POST", path, content, headers)
        answer = child.getresponse()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with suppress(OSError):
            while piece := answer.read1():
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        child.close()
        self.close_connection = True

    def _refuse(self, status: int, message: str) -> None:
        kind = "not_found_error" if status == 404 else "invalid_request_error"
        self._answer(status, {"error": {"code": status, "message": message, "type": kind}})
