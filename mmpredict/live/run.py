"""The run of one plan: stage after stage, loaded, served, unloaded; it ends cleanly however it ends."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from mmpredict.errors import EngineError, EngineMissingError
from mmpredict.hardware.sensor import Sensor
from mmpredict.hardware.telemetry import memory_kills
from mmpredict.live.engine import Engine, Server
from mmpredict.live.failure import load_failure
from mmpredict.live.recorder import Recorder
from mmpredict.live.sampling import Sampler
from mmpredict.live.sending import Sending
from mmpredict.live.server_process import ending_servers
from mmpredict.results.columns import ActivityRow, RequestRow
from mmpredict.results.energy import share_energy
from mmpredict.results.records import Records
from mmpredict.simulation.dispatch import StageQueue
from mmpredict.simulation.plan import Plan, Stage
from mmpredict.workload.followers import Followers
from mmpredict.workload.request import Request, Workload

MAX_STREAMS = 256
LONGEST_WAIT_S = 0.5
"""After which the loop looks whether sampling still goes well [s]."""

LEAD_S = 0.02
"""So much before a request is due, its thread takes it up and prepares it [s]: what has slept for seconds finds neither code nor
data in caches, and would send it 4 to 11 ms late, 20 on a restless machine (``docs/executing.md``)."""

Progress = Callable[[str, float], None]
"""(what is happening, fraction of the requests done)."""


@dataclass(frozen=True, slots=True)
class Coming:
    """A request, and when it comes into being [s]."""

    request: Request
    arrival_s: float

    @property
    def priority(self) -> int:
        """Higher ones are sent first [1]."""
        return self.request.priority


@dataclass(frozen=True, slots=True)
class Task:
    """What is run, and how.

    Attributes:
        plan: instances and stages.
        workload: requests.
        instance_of: request id → instance.
        sizes: model → bytes of its weights.
        engine: starts servers; it is prepared.
        memory_capacity_bytes: what the instances may use together [bytes].
        cores: of the machine [1].
        log_directory: where servers log.
        limit_s: requests that are not done this long after the begin are given up [s].
        sensors: of the machine; they are closed at the end.
        progress: told what happens.
    """

    plan: Plan
    workload: Workload
    instance_of: Mapping[str, str]
    sizes: Mapping[str, float]
    engine: Engine
    memory_capacity_bytes: float
    cores: int
    log_directory: Path
    limit_s: float
    sensors: Sequence[Sensor] = ()
    progress: Progress | None = None


@dataclass(slots=True)
class Run:
    """One execution of a task; used once.

    Attributes:
        task: what is run.
        recorder: takes the rows.
        begin_s: by ``time.perf_counter()`` [s].
        sending: sends the requests.
        sampler: looks at servers and machine meanwhile.
        followers: requests that come when others are done.
        sent: requests that were handed to a stream so far [1].
        done: those of them that are answered or given up [1].
    """

    task: Task
    recorder: Recorder
    begin_s: float = field(default_factory=perf_counter)
    sending: Sending = field(init=False)
    sampler: Sampler = field(init=False)
    followers: Followers = field(default_factory=Followers)
    sent: int = 0
    done: int = 0

    def __post_init__(self) -> None:
        task = self.task
        self.sending = Sending(task.plan, task.sizes, self.recorder, self._now_s, self.begin_s, task.limit_s)
        self.sampler = Sampler(
            lambda: dict(self.sending.servers),
            task.sensors,
            task.memory_capacity_bytes,
            task.cores,
            self._now_s,
            self.recorder.add,
            self._tick,
        )

    def records(self) -> Records:
        """Run the plan.

        Raises:
            EngineMissingError: the engine is not installed.
            StorageError: a log or the rows cannot be written.
        """
        with self.sampler:
            for stage in self.task.plan.stages:
                names = set(stage.instances)
                requests = [request for request in self.task.workload.requests if self.task.instance_of[request.id] in names]
                if requests:
                    self._stage(stage, requests)
        return share_energy(self.recorder.records.sort())

    def _now_s(self) -> float:
        return perf_counter() - self.begin_s

    def _stage(self, stage: Stage, requests: list[Request]) -> None:
        opened_s = self._now_s()
        with ThreadPoolExecutor(len(stage.instances)) as pool, self._ending_well():
            ready = dict(zip(stage.instances, pool.map(self._load, stage.instances), strict=True))
        queue: StageQueue[Coming] = StageQueue(stage, Counter(self.task.instance_of[request.id] for request in requests))
        for request in requests:
            self._come(queue, request, self.followers.add(request))
        in_flight: dict[Future[RequestRow], Request] = {}
        with ThreadPoolExecutor(min(MAX_STREAMS, len(requests))) as pool, self._ending_well():
            while queue.unsent or in_flight:
                lead_s = LEAD_S if stage.concurrency is None else 0.0  # with a limit, who comes meanwhile may go first
                for coming, name in queue.take(len(in_flight), self._moment_s(stage) + lead_s):
                    load_wait_s = max(0.0, ready[name] - max(opened_s, coming.arrival_s))
                    self.sent += 1
                    future = pool.submit(self._request, coming, name, load_wait_s, self.sent)
                    in_flight[future] = coming.request
                may_send = stage.concurrency is None or len(in_flight) < stage.concurrency
                known = may_send and queue.next_s < math.inf
                pause_s = max(0.0, queue.next_s - self._moment_s(stage) - lead_s) if known else math.inf
                for future in self._await(set(in_flight), min(pause_s, LONGEST_WAIT_S)):
                    future.result()
                    finished = in_flight.pop(future)
                    for request, arrival_s in self.followers.finished(finished.id, self._now_s()):
                        if self.task.instance_of[request.id] in stage.instances:
                            self._come(queue, request, arrival_s)
                if self.sampler.trouble is not None:
                    raise self.sampler.trouble
        self.sampler.look_at_memory()
        for name in stage.instances:
            self._unload(name)

    def _moment_s(self, stage: Stage) -> float:
        """Now; or the end of time, where nothing can be answered any more and all that is still to come is given up at once [s]."""
        now_s = self._now_s()
        served = any(name in self.sending.servers for name in stage.instances)
        return now_s if served and now_s < self.task.limit_s else math.inf

    def _come(self, queue: StageQueue[Coming], request: Request, arrival_s: float | None) -> None:
        if arrival_s is not None:
            queue.add(Coming(request, arrival_s), self.task.instance_of[request.id])

    @staticmethod
    def _await(in_flight: set[Future[RequestRow]], pause_s: float) -> set[Future[RequestRow]]:
        if in_flight:
            return wait(in_flight, timeout=pause_s, return_when=FIRST_COMPLETED)[0]
        threading.Event().wait(pause_s)
        return set()

    def _load(self, name: str) -> float:
        """Load an instance, or note why it cannot be; returns when that was known [s]."""
        instance = self.task.plan.instance(name)
        self._report(f"loading {name}")
        start_s, kills = self._now_s(), memory_kills()
        number = len(self.recorder.records.activities)
        log_path = self.task.log_directory / f"{self.task.plan.strategy}-{number}-{_file_name(name)}.log"
        cause = ""
        try:
            server: Server = self.task.engine.load(instance, log_path)
        except EngineMissingError:
            raise
        except EngineError as error:
            failure = load_failure(error, memory_ran_out=kills is not None and (memory_kills() or 0) > kills)
            self.sending.failures[name], cause = failure, str(failure.reason)
            self._report(f"{name}: {failure}")
        else:
            self.sending.servers[name] = server
            if server.attached:  # it was there before, so nobody waits for it
                return 0.0
        self.recorder.add(ActivityRow(name, "load", start_s, self._now_s(), cause=cause))
        return self._now_s()

    def _unload(self, name: str) -> None:
        server = self.sending.servers.pop(name, None)
        if server is not None:
            start_s = self._now_s()
            server.stop()
            if not server.attached:
                self.recorder.add(ActivityRow(name, "unload", start_s, self._now_s()))

    def _request(self, coming: Coming, name: str, load_wait_s: float, seed: int) -> RequestRow:
        request = coming.request
        self._report(f"{request.id} on {name}")
        row = self.sending.send(request, coming.arrival_s, name, load_wait_s, seed)
        self.done += 1
        self._report(f"{request.id} {row.status}")
        return row

    @contextmanager
    def _ending_well(self) -> Iterator[None]:
        """If the block does not end well, whatever waits for servers ends too, so that thread pools can close."""
        with ending_servers():
            try:
                yield
            except BaseException:
                self.sending.ended.set()
                for server in list(self.sending.servers.values()):
                    with suppress(EngineError):
                        server.stop()
                raise

    def _tick(self) -> None:
        rate = self.sending.meter.rate_tokens_per_s(self._now_s())
        if streams := self.sending.meter.streams:
            self._report(f"{streams} in flight, {rate:.1f} tokens/s")

    def _report(self, label: str) -> None:
        if self.task.progress is not None:
            self.task.progress(label, self.done / len(self.task.workload.requests))


def _file_name(text: str) -> str:
    return "".join(character if character.isalnum() or character in "-._" else "-" for character in text)[-80:]
