"""Runs of plans that end before their time: servers that die, limits, Ctrl-C, plans that cannot be run."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from real_plans import (
    CONTEXT_TOKENS,
    LONG,
    MEMORY_BYTES,
    MODELS,
    SEEN,
    UNSEEN,
    WORKLOAD,
    engine_pids,
    no_server_left,
    plan_of,
    specs,
    use_cache,
)
from test_lifeline import LIMIT_S, wait_for_end

from mmpredict.calibrate.bench import Bench, together
from mmpredict.errors import DoesNotFitError, EngineMissingError, InputError
from mmpredict.live import embedded
from mmpredict.live.embedded import EmbeddedServer
from mmpredict.live.execute import execute_plan
from mmpredict.models.resolve import resolve
from mmpredict.models.spec import ModelSpec
from mmpredict.results.metrics import summarize
from mmpredict.results.records import Records
from mmpredict.simulation.plan import InstancePlan
from mmpredict.workload.request import Request, Workload

__all__ = ["no_server_left", "specs", "use_cache"]  # fixtures, which pytest finds by their names

pytestmark = pytest.mark.live


def execute_with(watch: Callable[[str], None], strategy: str, specs: dict[str, ModelSpec], logs: Path, **options: float) -> Records:
    """Execute the long workload; ``watch`` is told everything that happens."""
    return execute_plan(plan_of(strategy), LONG, specs, MEMORY_BYTES, logs, progress=lambda label, _: watch(label), **options)


def statuses(records: Records) -> dict[str, str]:
    return {row.request: row.status for row in records.requests}


def test_server_dies_amid_the_run(specs: dict[str, ModelSpec], tmp_path: Path) -> None:
    def kill_soon(label: str) -> None:
        if label == f"long on {UNSEEN}":
            pid = next(server.pid for server in embedded._running if server.name == UNSEEN)
            threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()

    records = execute_with(kill_soon, "parallel-divided", specs, tmp_path)
    assert statuses(records) == {"long": "server-died", "short": "ok", "late": "server-died"}
    assert {row.request for row in records.activities} == {"", "short"}
    summary = summarize(records)
    assert (summary.completed, summary.failed) == (1, 2)
    assert summary.makespan_s != summary.makespan_s
    plain = json.dumps(records.to_dict(), allow_nan=False)
    lost = next(row for row in json.loads(plain)["requests"] if row["request"] == "long")
    assert (lost["output_tokens"], lost["first_token_s"], lost["finish_s"]) == (0, None, None)


def test_server_dies_while_it_loads(specs: dict[str, ModelSpec], tmp_path: Path) -> None:
    def kill_one() -> None:
        while not embedded._running:
            time.sleep(0.005)
        os.kill(next(iter(embedded._running)).pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    records = execute_with(lambda label: killer.start() if not killer.ident else None, "sequential", specs, tmp_path)
    assert statuses(records) == {"long": "load-failed", "late": "load-failed", "short": "ok"}
    lost = next(row for row in records.requests if row.request == "long")
    assert "ended while it loaded its model: killed by SIGKILL" in lost.detail
    assert (lost.attempts, lost.output_tokens, lost.dispatched_s == lost.dispatched_s) == (0, 0, False)
    assert [
        (row.instance, row.kind, row.cause) for row in records.activities if row.kind != "decode" and row.kind != "prefill"
    ] == [
        (UNSEEN, "load", "load-failed"),
        (SEEN, "load", ""),
        (SEEN, "unload", ""),
    ]


def test_time_limit_of_a_run(specs: dict[str, ModelSpec], tmp_path: Path) -> None:
    # The long request is cut off, the late one waits behind it, the short one behind both is not even sent.
    records = execute_with(lambda _: None, "sequential", specs, tmp_path, limit_s=2.0)
    assert statuses(records) == {"long": "timeout", "late": "timeout", "short": "timeout"}
    assert {row.kind for row in records.activities} == {"load", "unload"}
    assert all(row.first_token_s != row.first_token_s for row in records.requests)
    assert summarize(records).completed == 0


@pytest.mark.parametrize(
    ("prompt_tokens", "model", "memory_bytes", "expected", "words"),
    [
        (CONTEXT_TOKENS, UNSEEN, MEMORY_BYTES, InputError, "raise server.context_tokens"),
        (8, "synthetic:probe-deep@q4_0", MEMORY_BYTES, InputError, "no instance"),
        (8, UNSEEN, 50e6, DoesNotFitError, "of memory"),
    ],
)
def test_nothing_begins_that_cannot_end(
    prompt_tokens: int,
    model: str,
    memory_bytes: float,
    expected: type[Exception],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("MMPREDICT_CACHE", str(tmp_path / "cache"))
    specs = {name: resolve(name) for name in MODELS}
    workload = Workload((Request("short", SEEN, 8, 8), Request("other", model, prompt_tokens, 1)))
    with pytest.raises(expected, match=words):
        execute_plan(plan_of("parallel-divided"), workload, specs, memory_bytes, tmp_path / "logs")
    assert list(tmp_path.iterdir()) == []


def test_engine_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MMPREDICT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    specs = {name: resolve(name) for name in MODELS}
    with pytest.raises(EngineMissingError, match="pip install"):
        execute_plan(plan_of("sequential"), WORKLOAD, specs, MEMORY_BYTES, tmp_path / "logs")
    assert list(tmp_path.iterdir()) == []  # no model is written for an engine that is not there


class Interruption:
    """Ctrl-C once a phase is reached: as soon as servers exist, or half a second into the long request."""

    def __init__(self, phase: str) -> None:
        self._phase = phase
        self._thread = threading.Thread(target=self._interrupt)
        self._lock = threading.Lock()
        self.pids: list[int] = []
        self.sent_s = 0.0

    def watch(self, label: str) -> None:
        with self._lock:
            if label.startswith("loading" if self._phase == "loading" else "long on") and not self._thread.ident:
                self._thread.start()

    def _interrupt(self) -> None:
        while not embedded._running:
            time.sleep(0.005)
        time.sleep(0.1 if self._phase == "loading" else 0.5)
        self.pids = engine_pids()
        self.sent_s = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("strategy", ["sequential", "parallel-divided"])
@pytest.mark.parametrize("phase", ["loading", "serving"])
def test_interrupted(phase: str, strategy: str, specs: dict[str, ModelSpec], tmp_path: Path) -> None:
    interruption = Interruption(phase)
    with pytest.raises(KeyboardInterrupt):
        execute_with(interruption.watch, strategy, specs, tmp_path)
    assert time.perf_counter() - interruption.sent_s < LIMIT_S
    assert len(interruption.pids) == (1 if strategy == "sequential" else 2)
    assert wait_for_end(interruption.pids) < LIMIT_S


def test_calibration_interrupted_while_servers_are_watched(small_model: Path, tmp_path: Path) -> None:
    """A server in company may need seconds for a token; Ctrl-C does not wait for it."""
    interruption = Interruption("serving")
    plan = InstancePlan("watched", UNSEEN, 1, context_tokens=4096)
    with EmbeddedServer.start(plan, small_model, tmp_path / "log") as server:
        bench = Bench(server.url, resolve(UNSEEN).shape.n_vocab)
        interruption.watch("long on it")
        with pytest.raises(KeyboardInterrupt):
            together([lambda: bench.speed("decode", 60.0)] * 2)
        assert time.perf_counter() - interruption.sent_s < LIMIT_S
        assert not server.alive()
    bench.close()
