"""Executing a plan: the same stages, order and concurrency as the simulator, on real servers."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from mmpredict.errors import InputError
from mmpredict.live.embedded import ending_servers
from mmpredict.live.embedded_engine import EmbeddedEngine
from mmpredict.live.engine import Engine, Server
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.models.spec import ModelSpec
from mmpredict.results.columns import ActivityRow, RequestRow, StateRow
from mmpredict.results.records import Records
from mmpredict.simulation.dispatch import StageQueue, assign, check_context, check_order
from mmpredict.simulation.plan import Plan, Stage
from mmpredict.simulation.residency import check_memory
from mmpredict.workload.followers import Followers
from mmpredict.workload.request import Request, Workload

SAMPLE_INTERVAL_S = 0.25
DEFAULT_LIMIT_S = 600.0
MAX_STREAMS = 256

Progress = Callable[[str, float], None]
"""(what is happening, fraction of the requests done)."""


def execute_plan(
    plan: Plan,
    workload: Workload,
    specs: Mapping[str, ModelSpec],
    memory_capacity_bytes: float,
    log_directory: Path,
    cold: bool = False,
    limit_s: float = DEFAULT_LIMIT_S,
    progress: Progress | None = None,
    engine: Engine | None = None,
) -> Records:
    """Run a plan on real servers.

    Args:
        plan: instances and stages.
        workload: requests.
        specs: model name → model; synthetic ones are written first if they are not there.
        memory_capacity_bytes: what the instances may use together [bytes].
        log_directory: where the servers' logs go.
        cold: whether model files are dropped from the page cache first; read into it otherwise, and free memory touched.
        limit_s: requests that are not done this long after the begin are given up and recorded as ``timeout`` [s].
        progress: told what happens.
        engine: starts the servers; the embedded llama.cpp by default.

    Raises:
        InputError: a request asks for a model that the plan does not serve, or for more tokens than the context holds; servers
            of the plan are loaded on demand, which is simulated only.
        DoesNotFitError: weights and KV caches of a stage do not fit into memory, or synthetic models onto the disk.
        EngineError: a server could not be started.
    """
    if plan.on_demand:
        raise InputError(f"plan {plan.strategy!r} is served by {plan.serving.rules}; only plans of stages can be executed")
    instance_of = assign(plan, workload)
    check_context(plan, workload, instance_of)
    check_order(plan, workload, instance_of)
    check_memory(plan, specs, memory_capacity_bytes)
    engine = engine or EmbeddedEngine()
    engine.prepare(plan, specs, cold)
    run = _Run(plan, workload, engine, instance_of, memory_capacity_bytes, log_directory, limit_s, progress)
    with ending_servers():
        return run.records()


@dataclass(frozen=True, slots=True)
class _Coming:
    """A request, and when it comes into being [s]."""

    request: Request
    arrival_s: float

    @property
    def priority(self) -> int:
        """Higher ones are sent first [1]."""
        return self.request.priority


@dataclass(slots=True)
class _Run:
    plan: Plan
    workload: Workload
    engine: Engine
    instance_of: Mapping[str, str]
    memory_capacity_bytes: float
    log_directory: Path
    limit_s: float
    progress: Progress | None
    servers: dict[str, Server] = field(default_factory=dict)
    result: Records = field(default_factory=lambda: Records("measured"))
    followers: Followers = field(default_factory=Followers)
    sessions: dict[str, list[int]] = field(default_factory=dict)
    begin_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def records(self) -> Records:
        stop_sampling = threading.Event()
        sampler = threading.Thread(target=self._sample, args=(stop_sampling,), daemon=True)
        self.begin_s = perf_counter()
        sampler.start()
        try:
            for stage in self.plan.stages:
                requests = [request for request in self.workload.requests if self.instance_of[request.id] in stage.instances]
                if requests:
                    self._stage(stage, requests)
        finally:
            stop_sampling.set()
            sampler.join()
        return self.result.sort()

    def _now_s(self) -> float:
        return perf_counter() - self.begin_s

    def _stage(self, stage: Stage, requests: list[Request]) -> None:
        opened_s = self._now_s()
        with ThreadPoolExecutor(len(stage.instances)) as pool, ending_servers():
            ready = dict(zip(stage.instances, pool.map(self._load, stage.instances), strict=True))
        queue: StageQueue[_Coming] = StageQueue(stage, Counter(self.instance_of[request.id] for request in requests))
        for request in requests:
            self._come(queue, request, self.followers.add(request))
        in_flight: dict[Future[None], Request] = {}
        with ThreadPoolExecutor(min(MAX_STREAMS, len(requests))) as pool, ending_servers():
            while queue.unsent or in_flight:
                for coming, name in queue.take(len(in_flight), self._now_s()):
                    load_wait_s = max(0.0, ready[name] - max(opened_s, coming.arrival_s))
                    in_flight[pool.submit(self._request, coming, load_wait_s)] = coming.request
                may_send = stage.concurrency is None or len(in_flight) < stage.concurrency
                pause_s = max(0.0, queue.next_s - self._now_s()) if may_send and queue.next_s < math.inf else None
                for future in self._await(set(in_flight), pause_s):
                    future.result()
                    done = in_flight.pop(future)
                    for request, arrival_s in self.followers.finished(done.id, self._now_s()):
                        if self.instance_of[request.id] in stage.instances:
                            self._come(queue, request, arrival_s)
        self._note_memory()
        for name in stage.instances:
            start_s = self._now_s()
            with self.lock:
                server = self.servers.pop(name)
            server.stop()
            self.result.activities.append(ActivityRow(name, "unload", start_s, self._now_s()))

    def _come(self, queue: StageQueue[_Coming], request: Request, arrival_s: float | None) -> None:
        if arrival_s is not None:
            queue.add(_Coming(request, arrival_s), self.instance_of[request.id])

    @staticmethod
    def _await(in_flight: set[Future[None]], pause_s: float | None) -> set[Future[None]]:
        if in_flight:
            return wait(in_flight, timeout=pause_s, return_when=FIRST_COMPLETED)[0]
        threading.Event().wait(pause_s)
        return set()

    def _load(self, name: str) -> float:
        instance = self.plan.instance(name)
        self._report(f"loading {name}")
        start_s = self._now_s()
        log_path = self.log_directory / f"{self.plan.strategy}-{len(self.result.activities)}-{_file_name(name)}.log"
        server = self.engine.load(instance, log_path)
        with self.lock:
            self.servers[name] = server
            self.result.activities.append(ActivityRow(name, "load", start_s, self._now_s()))
        return self._now_s()

    def _request(self, coming: _Coming, load_wait_s: float) -> None:
        request, name = coming.request, self.instance_of[coming.request.id]
        row = RequestRow(request.id, request.model, name, coming.arrival_s, request.prompt_tokens, request.output_tokens)
        row.load_wait_s = load_wait_s
        with self.lock:
            self.result.requests.append(row)
            seed = len(self.result.requests)
        self._report(f"{request.id} on {name}")
        prompt = self._prompt(request, name, seed)
        row.dispatched_s = self._now_s()
        try:
            self._answer(row, prompt, request.session)
        except RequestFailure as failure:
            died = not self.servers[name].alive()
            row.status = str(FailureReason.SERVER_DIED if died else failure.reason)
            row.output_tokens = 0
        self._report(f"{request.id} {row.status}")

    def _prompt(self, request: Request, name: str, seed: int) -> list[int]:
        """Random tokens after those that the request shares with its session, if that has come so far."""
        shared = self.sessions.get(request.session, [])[: request.shared_tokens] if request.session else []
        return shared + self.servers[name].prompt(request.prompt_tokens - len(shared), seed)

    def _answer(self, row: RequestRow, prompt: list[int], session: str) -> None:
        timeout_s = self.limit_s - row.dispatched_s
        if timeout_s <= 0:
            raise RequestFailure(FailureReason.TIMEOUT, f"the run's limit of {self.limit_s:g} s was over")
        answer = self.servers[row.instance].stream(prompt, row.output_tokens, timeout_s, reuse=bool(session))
        if session:
            self.sessions[session] = [*prompt, *answer.tokens]
        row.dispatched_s = answer.sent_s - self.begin_s
        row.first_token_s = answer.first_token_s - self.begin_s
        row.prefill_start_s = max(row.dispatched_s, row.first_token_s - answer.prompt_s)
        row.finish_s = answer.last_token_s - self.begin_s
        row.output_tokens = answer.output_tokens
        row.cached_tokens = answer.cached_tokens
        row.slot = answer.slot
        with self.lock:
            self.result.activities += [
                ActivityRow(row.instance, "prefill", row.prefill_start_s, row.first_token_s, row.request),
                ActivityRow(row.instance, "decode", row.first_token_s, row.finish_s, row.request),
            ]

    def _sample(self, stop: threading.Event) -> None:
        while not stop.wait(SAMPLE_INTERVAL_S):
            self._note_memory()

    def _note_memory(self) -> None:
        with self.lock:
            servers = list(self.servers.values())
        if servers:
            used = sum(server.memory_bytes() for server in servers)
            with self.lock:
                self.result.states.append(StateRow(self._now_s(), "memory", used, self.memory_capacity_bytes))

    def _report(self, label: str) -> None:
        if self.progress is not None:
            done = sum(1 for row in self.result.requests if row.status != "ok" or row.finish_s == row.finish_s)
            self.progress(label, done / len(self.workload.requests))


def _file_name(text: str) -> str:
    return "".join(character if character.isalnum() or character in "-._" else "-" for character in text)[-80:]
