"""Executing a plan on two real servers: the same records as the simulation's, and a clean end however it ends."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from test_lifeline import LIMIT_S, wait_for_end

from mmpredict.calibrate import tasks
from mmpredict.calibrate.bench import Bench, together
from mmpredict.calibrate.company import SetUp
from mmpredict.calibrate.fit import fit
from mmpredict.calibrate.protocol import EXPERTS, HEADS, LARGE, Protocol
from mmpredict.calibrate.run import Calibration
from mmpredict.cost.chain import CalibratedSource, CostModel
from mmpredict.cost.coefficients import Coefficients
from mmpredict.errors import DoesNotFitError, EngineMissingError, InputError
from mmpredict.hardware.library import find_profile
from mmpredict.live import embedded, engine_child
from mmpredict.live.embedded import EmbeddedServer
from mmpredict.live.execute import execute_plan
from mmpredict.models.resolve import resolve
from mmpredict.models.spec import ModelSpec
from mmpredict.results.metrics import summarize
from mmpredict.results.records import Records
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.simulation.repeat import predict_plan
from mmpredict.simulation.run import simulate
from mmpredict.strategy.options import ServerOptions
from mmpredict.strategy.table import make_plan
from mmpredict.workload.request import Request, Workload

UNSEEN = "synthetic:smollm2-135m@q4_0"  # no shape of the calibration
SEEN = "synthetic:probe-narrow@q4_0"
MODELS = (UNSEEN, SEEN)
CONTEXT_TOKENS = 2048
MEMORY_BYTES = 8e9
FACTOR = 2.0  # between a makespan predicted from so short a calibration and the real one
ATTEMPTS = 3  # others may use the machine too, which only ever makes a run slower
SET_UPS = ("within", "yielding", "spinning")
SAMPLING_LAG_S = 0.3  # a memory figure may miss a server that became ready while it was taken

WORKLOAD = Workload(
    (
        Request("one", UNSEEN, 96, 48),
        Request("two", SEEN, 32, 48),
        Request("three", UNSEEN, 24, 1),
        Request("four", SEEN, 64, 24, arrival_s=0.3),
        Request("five", UNSEEN, 16, 64, arrival_s=0.6),
    )
)
LONG = Workload((Request("long", UNSEEN, 8, 900), Request("short", SEEN, 8, 8), Request("late", UNSEEN, 8, 900, arrival_s=2.0)))

pytestmark = [pytest.mark.live, pytest.mark.skipif(sys.platform != "linux", reason="signals of Linux")]


@pytest.fixture(scope="module", autouse=True)
def _use_cache(cache: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMPREDICT_CACHE", str(cache))
        yield


@pytest.fixture(scope="module")
def specs() -> dict[str, ModelSpec]:
    return {name: resolve(name) for name in MODELS}


@dataclass(frozen=True)
class ShortProtocol(Protocol):
    """One weight type and small shapes; three rounds, so that one disturbed figure is not the median."""

    weight_types: tuple[str, ...] = ("q4_0",)
    shape_types: tuple[str, ...] = ("q4_0",)
    prefill_tokens: tuple[int, ...] = (2, 32)
    long_prompt_tokens: tuple[int, ...] = (64,)
    decode_sequences: tuple[int, ...] = (1, 2)
    depth_tokens: tuple[int, ...] = (520,)
    decode_steps: int = 8
    rounds: int = 3
    company_s: float = 0.3
    alone_s: float = 0.3

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(name for name in super().models if not any(probe in name for probe in (LARGE, HEADS, EXPERTS)))


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Coefficients:
    """A real calibration of this machine for servers of one thread: quick, and steady whoever else uses the machine."""
    calibration = Calibration(find_profile(), "2026-11-20", ShortProtocol())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "thread_counts", lambda cores: (1,))
        patch.setattr(tasks, "set_ups", lambda cores, protocol: [SetUp(name, 1, None, 1) for name in SET_UPS])
        patch.setattr(tasks, "measure_stacked", lambda *_: iter(()))
        _, rows = calibration.run(path=tmp_path_factory.mktemp("calibration") / "measurements.jsonl")
    assert UNSEEN not in {row.model for row in rows}
    return fit(calibration.header, rows, calibration.specs)


def plan_of(strategy: str, models: tuple[str, ...] = MODELS) -> Plan:
    """Servers of one thread each."""
    return make_plan(strategy, models, len(models) if strategy == "parallel-divided" else 1, ServerOptions(CONTEXT_TOKENS))


@dataclass(frozen=True)
class Pair:
    """One plan, simulated and executed."""

    plan: Plan
    simulated: Records
    measured: Records


@pytest.fixture(scope="module", params=["sequential", "parallel-divided"])
def pair(
    request: pytest.FixtureRequest, calibrated: Coefficients, specs: dict[str, ModelSpec], tmp_path_factory: pytest.TempPathFactory
) -> Pair:
    plan = plan_of(request.param)
    simulated = simulate(plan, WORKLOAD, specs, CostModel(calibrated), MEMORY_BYTES)
    measured = execute_plan(plan, WORKLOAD, specs, MEMORY_BYTES, tmp_path_factory.mktemp("logs"))
    return Pair(plan, simulated, measured)


def engine_pids() -> list[int]:
    """Servers that this process started, and has not waited for."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if engine_child.__file__ in child.cmdline():
                found.append(child.pid)
        except psutil.Error:
            continue
    return found


@pytest.fixture(autouse=True)
def _no_server_left() -> Iterator[None]:
    yield
    assert not embedded._running
    assert engine_pids() == []


def test_both_tell_of_the_same_requests(pair: Pair) -> None:
    told = [
        [
            (
                row.request,
                row.model,
                row.instance,
                row.arrival_s,
                row.prompt_tokens,
                row.output_tokens,
                row.cached_tokens,
                row.status,
            )
            for row in records.requests
        ]
        for records in (pair.simulated, pair.measured)
    ]
    assert told[0] == told[1]
    assert [row[:2] for row in told[1]] == [(r.id, r.model) for r in sorted(WORKLOAD.requests, key=lambda r: (r.arrival_s, r.id))]


def test_both_tell_of_the_same_activities(pair: Pair) -> None:
    simulated, measured = (
        Counter((row.instance, row.kind, row.request) for row in records.activities) for records in (pair.simulated, pair.measured)
    )
    assert simulated == measured
    assert {kind for _, kind, _ in measured} == {"load", "prefill", "decode", "unload"}
    assert set(measured.values()) == {1}


def test_both_use_the_same_slots(pair: Pair) -> None:
    if pair.plan.strategy == "sequential":  # elsewhere the order in which requests arrive is a matter of microseconds
        assert [row.slot for row in pair.simulated.requests] == [row.slot for row in pair.measured.requests]
    for row in pair.measured.requests:
        assert 0 <= row.slot < pair.plan.instance(row.instance).slots


@pytest.mark.parametrize("origin", ["simulated", "measured"])
def test_times_are_in_order(pair: Pair, origin: str) -> None:
    records: Records = getattr(pair, origin)
    assert records.origin == origin
    done = {(row.instance, row.kind, row.request): (row.start_s, row.end_s) for row in records.activities}
    for row in records.requests:
        assert row.arrival_s <= row.dispatched_s <= row.prefill_start_s <= row.first_token_s <= row.finish_s
        assert (row.first_token_s < row.finish_s) == (row.output_tokens > 1)
        assert done[row.instance, "prefill", row.request] == (row.prefill_start_s, row.first_token_s)
        assert done[row.instance, "decode", row.request] == (row.first_token_s, row.finish_s)
        loaded_s, unloaded_s = done[row.instance, "load", ""][1], done[row.instance, "unload", ""][0]
        assert loaded_s <= row.dispatched_s
        assert row.finish_s <= unloaded_s
        assert 0 <= row.load_wait_s <= row.dispatched_s
    assert all(0 <= start_s <= end_s for start_s, end_s in done.values())


@pytest.mark.parametrize("origin", ["simulated", "measured"])
def test_stages_follow_each_other(pair: Pair, origin: str) -> None:
    records: Records = getattr(pair, origin)
    spans = {
        kind: {row.instance: (row.start_s, row.end_s) for row in records.activities if row.kind == kind}
        for kind in ("load", "unload")
    }
    first, second = (instance.name for instance in pair.plan.instances)
    if pair.plan.strategy == "sequential":
        assert spans["load"][second][0] >= spans["unload"][first][1]
        inside = sorted((row.dispatched_s, row.finish_s) for row in records.requests)
        assert all(ended_s <= begun_s for (_, ended_s), (begun_s, _) in pairwise(inside))
    else:
        assert spans["load"][second][0] < spans["load"][first][1]
        assert min(row.dispatched_s for row in records.requests) >= max(end_s for _, end_s in spans["load"].values())


@pytest.mark.parametrize("origin", ["simulated", "measured"])
def test_memory_holds_at_least_the_weights(pair: Pair, origin: str, specs: dict[str, ModelSpec]) -> None:
    records: Records = getattr(pair, origin)
    states = [row for row in records.states if row.resource == "memory"]
    loaded = {row.instance: row.end_s for row in records.activities if row.kind == "load"}
    unloaded = {row.instance: row.start_s for row in records.activities if row.kind == "unload"}
    lag_s = SAMPLING_LAG_S if origin == "measured" else 0.0
    weights = {instance.name: specs[instance.model].weight_bytes for instance in pair.plan.instances}
    covered = set()
    for state in states:
        assert state.capacity == MEMORY_BYTES
        assert state.used < MEMORY_BYTES
        resident = [name for name in weights if loaded[name] + lag_s <= state.time_s < unloaded[name]]
        assert state.used > sum(weights[name] for name in resident) or not resident
        covered.update(resident)
    assert covered == set(weights)


def test_memory_is_as_predicted(pair: Pair) -> None:
    simulated, measured = summarize(pair.simulated).memory_peak_bytes, summarize(pair.measured).memory_peak_bytes
    print(f"memory: predicted {simulated / 1e6:.0f} MB, measured {measured / 1e6:.0f} MB")
    assert measured == pytest.approx(simulated, rel=0.25)


@pytest.mark.parametrize(("strategy", "models"), [("sequential", (UNSEEN,)), ("sequential", MODELS), ("parallel-divided", MODELS)])
def test_makespan_of_a_model_that_was_not_calibrated_on(
    strategy: str, models: tuple[str, ...], calibrated: Coefficients, specs: dict[str, ModelSpec], tmp_path: Path
) -> None:
    plan = plan_of(strategy, models)
    workload = Workload(tuple(request for request in WORKLOAD.requests if request.model in models))
    expected = predict_plan(plan, workload, specs, CalibratedSource(calibrated), MEMORY_BYTES, draws=50).metrics["makespan_s"]
    runs_s: list[float] = []
    while len(runs_s) < ATTEMPTS and not (runs_s and min(runs_s) < expected.value * FACTOR):
        runs_s.append(summarize(execute_plan(plan, workload, specs, MEMORY_BYTES, tmp_path)).makespan_s)
    print(f"{strategy}: predicted {expected.value:.2f} s ({expected.low:.2f} to {expected.high:.2f}), measured {runs_s} s")
    assert min(runs_s) / FACTOR < expected.value < min(runs_s) * FACTOR


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


def test_stages_without_requests_are_not_started(specs: dict[str, ModelSpec], tmp_path: Path) -> None:
    plan = plan_of("sequential")
    assert plan.stages == (Stage((UNSEEN,), 1), Stage((SEEN,), 1))
    records = execute_plan(plan, Workload((Request("only", SEEN, 8, 2),)), specs, MEMORY_BYTES, tmp_path)
    assert {row.instance for row in records.activities} == {SEEN}
    assert len(list(tmp_path.iterdir())) == 1
