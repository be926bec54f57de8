"""One request of a run: sent to its server, and where the plan says so again or elsewhere, until it is answered or given up."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mmpredict.hardware.telemetry import memory_kills
from mmpredict.live.engine import Server
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.live.meter import TokenMeter
from mmpredict.live.recorder import Recorder
from mmpredict.results.columns import ActivityRow, RequestRow
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.policies.recovery import models_in_turn, next_step
from mmpredict.workload.request import Request


@dataclass(slots=True)
class Sending:
    """Sends the requests of a run; several threads do it at a time.

    Attributes:
        plan: instances, and what is done with requests that fail.
        sizes: model → bytes of its weights.
        recorder: takes the rows.
        clock: of the run [s].
        begin_s: the run's begin by ``time.perf_counter()`` [s].
        limit_s: requests that are not done this long after the begin are given up [s].
        servers: instance → server that is loaded.
        failures: instance → why it could not be loaded.
        ended: set where the run is broken off.
        meter: counts tokens.
        sessions: (session, instance) → tokens that its last request there left.
        kills: processes that had been ended for want of memory when the run began; ``None`` where the system does not tell [1].
    """

    plan: Plan
    sizes: Mapping[str, float]
    recorder: Recorder
    clock: Callable[[], float]
    begin_s: float
    limit_s: float
    servers: dict[str, Server] = field(default_factory=dict)
    failures: dict[str, RequestFailure] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)
    meter: TokenMeter = field(default_factory=TokenMeter)
    sessions: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    kills: int | None = field(default_factory=memory_kills)

    def send(self, request: Request, arrival_s: float, name: str, load_wait_s: float, seed: int) -> RequestRow:
        """Send a request when it is due, until it is answered or given up; its row is recorded and returned.

        Args:
            request: what is asked.
            arrival_s: when it came into being, or will do [s].
            name: instance that is asked first.
            load_wait_s: how long it waited for that to be loaded [s].
            seed: of its prompt, different for each request.

        Raises:
            StorageError: the row cannot be written.
        """
        row = RequestRow(request.id, request.model, name, arrival_s, request.prompt_tokens, request.output_tokens)
        row.load_wait_s, row.attempts = load_wait_s, 0
        row.deadline_s = math.nan if request.deadline_s is None else request.deadline_s
        tried: list[str] = []
        others = self._others(request.model)
        while True:
            tried.append(name)
            begin_s = self.clock()
            try:
                self._attempt(row, request, name, seed)
                break
            except RequestFailure as failure:
                reason, detail = self._cause(failure, name, row), failure.detail
            step = next_step(self.plan.recovery, reason, tried, others, self._available())
            if step is None:
                row.status, row.detail, row.output_tokens = str(reason), detail, 0
                break
            cause = f"{reason}: {detail}" if detail else str(reason)
            self.recorder.add(ActivityRow(name, "attempt", begin_s, self.clock(), request.id, cause=cause))
            self.ended.wait(step.after_s)
            name = step.instance
        self.recorder.add(row)
        return row

    def _others(self, model: str) -> Sequence[str]:
        """Instances that may answer in place of the first of a model."""
        models = models_in_turn(self.plan.recovery, model, self.sizes)
        return [instance.name for one in models for instance in self.plan.instances if instance.model == one]

    def _available(self) -> set[str]:
        return {name for name, server in list(self.servers.items()) if server.alive()}

    def _attempt(self, row: RequestRow, request: Request, name: str, seed: int) -> None:
        """Send a request once, and fill in its row.

        Raises:
            RequestFailure: there is no complete answer.
        """
        model = self.plan.instance(name).model
        row.instance, row.model, row.asked_model = name, model, "" if model == request.model else request.model
        if name in self.failures:
            raise self.failures[name]
        self._left_s(row)
        server = self.servers[name]
        # Random tokens after those that the request shares with its session, if that has come so far on this instance.
        shared = self.sessions.get((request.session, name), [])[: request.shared_tokens] if request.session else []
        prompt = shared + server.prompt(request.prompt_tokens - len(shared), seed)
        if (early_s := row.arrival_s - self.clock()) > 0.0:
            self.ended.wait(early_s)
        row.dispatched_s = self.clock()
        timeout_s = self._left_s(row)
        row.attempts += 1
        self.meter.begin(request.id)
        try:
            answer = server.stream(
                prompt, request.output_tokens, timeout_s, on_token=lambda _: self._count(request.id), reuse=bool(request.session)
            )
        finally:
            self.meter.end(request.id)
        if request.session:
            self.sessions[request.session, name] = [*prompt, *answer.tokens]
        row.dispatched_s = answer.sent_s - self.begin_s
        row.first_token_s = answer.first_token_s - self.begin_s
        row.prefill_start_s = max(row.dispatched_s, row.first_token_s - answer.prompt_s)
        row.finish_s = answer.last_token_s - self.begin_s
        row.output_tokens = answer.output_tokens
        row.cached_tokens = answer.cached_tokens
        row.slot = answer.slot
        self.recorder.add(ActivityRow(name, "prefill", row.prefill_start_s, row.first_token_s, row.request))
        self.recorder.add(ActivityRow(name, "decode", row.first_token_s, row.finish_s, row.request))

    def _left_s(self, row: RequestRow) -> float:
        """Time until the request is given up [s].

        Raises:
            RequestFailure: there is none left, or the run was broken off.
        """
        if self.ended.is_set():
            raise RequestFailure(FailureReason.INTERRUPTED, "the run was ended")
        now_s = self.clock()
        if now_s >= self.limit_s:
            raise RequestFailure(FailureReason.TIMEOUT, f"the run's limit of {self.limit_s:g} s was over")
        if now_s >= self._deadline_s(row):
            raise RequestFailure(FailureReason.DEADLINE, f"its deadline of {row.deadline_s:g} s was over")
        return min(self.limit_s, self._deadline_s(row)) - now_s

    @staticmethod
    def _deadline_s(row: RequestRow) -> float:
        """When the request's own deadline is over [s]."""
        return math.inf if math.isnan(row.deadline_s) else row.arrival_s + row.deadline_s

    def _count(self, stream: str) -> None:
        if self.ended.is_set():
            raise RequestFailure(FailureReason.INTERRUPTED, "the run was ended amid the answer")
        self.meter.count(stream)

    def _cause(self, failure: RequestFailure, name: str, row: RequestRow) -> FailureReason:
        """What really stands behind a failure: the client sees the connection alone."""
        if self.ended.is_set():
            return FailureReason.INTERRUPTED
        if name not in self.servers:
            return failure.reason
        if failure.reason is FailureReason.SERVER_DIED or not self.servers[name].alive():
            kills = memory_kills()
            ran_out = kills is not None and self.kills is not None and kills > self.kills
            return FailureReason.OUT_OF_MEMORY if ran_out else FailureReason.SERVER_DIED
        if failure.reason is FailureReason.TIMEOUT and self._deadline_s(row) < self.limit_s:
            return FailureReason.DEADLINE
        return failure.reason
