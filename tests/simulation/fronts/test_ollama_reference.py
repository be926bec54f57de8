"""Ollama's scheduler again, written plainly as what happens next, without the code under test: both agree on every moment."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from served_runs import GB, MODELS, SPEC, run

from mmpredict.cost.admission.ollama import predicted_bytes
from mmpredict.simulation.serving import OllamaServing
from mmpredict.simulation.site import Site
from mmpredict.workload.request import Request

NEVER = math.inf


@dataclass
class Runner:
    model: str
    context: int
    keep: float
    refs: int = 0
    queue: list[Request] = field(default_factory=list)
    serving: Request | None = None
    done_at: float = NEVER
    timer_at: float = NEVER


@dataclass
class Reference:
    """One thing after another; ``parallel`` is 1."""

    rules: OllamaServing
    requests: list[Request]
    loads: dict[str, float]
    device: dict[str, float]
    site: Site

    def __post_init__(self) -> None:
        self.now = 0.0
        self.tied = False  # polls of a load and of a GPU at one moment: then either may come first
        self.loaded: dict[str, Runner] = {}
        self.pending: list[Request] = []
        self.head: Request | None = None
        self.load_seen_at = NEVER
        self.waits_for_unload = False
        self.events: list[tuple[str, Runner]] = []
        self.killed: Runner | None = None
        self.kill_done_at = NEVER
        self.memory_back_at = NEVER
        self.retries: list[tuple[float, Runner]] = []
        self.stalled: list[Request | str] = []
        self.found: dict[str, tuple[str, float, float, float]] = {}
        self.granted: dict[str, float] = {}
        self.sent: dict[str, float] = {}

    def simulate(self) -> dict[str, tuple[str, float, float, float]]:
        coming = sorted(self.requests, key=lambda request: request.arrival_s)
        while len(self.found) < len(self.requests):
            runners = list(self.loaded.values())
            choices = [(coming[0].arrival_s if coming else NEVER, "arrival"), (self.load_seen_at, "load")]
            choices += [(self.kill_done_at, "killed"), (self.memory_back_at, "memory")]
            choices += [(min((r.done_at for r in runners), default=NEVER), "done")]
            choices += [(min((r.timer_at for r in runners), default=NEVER), "timer")]
            choices += [(min((at for at, _ in self.retries), default=NEVER), "retry")]
            self.tied |= self.load_seen_at < NEVER and abs(self.load_seen_at - self.memory_back_at) < 1e-9
            self.now, what = min(choices)
            if self.now == NEVER:
                assert self.head is not None
                return self.found | {r.id: ("starved", math.nan, math.nan, math.nan) for r in [self.head, *self.pending]}
            if what == "arrival":
                self.lock(coming.pop(0))
            elif what == "load":
                self.load_seen_at = NEVER
                self.lock("load")
            elif what == "done":
                self.done(min(runners, key=lambda r: r.done_at))
            elif what == "timer":
                runner = min(runners, key=lambda r: r.timer_at)
                runner.timer_at = NEVER
                self.events.append(("expired", runner))
            elif what == "retry":
                at, runner = min(self.retries, key=lambda retry: retry[0])
                self.retries.remove((at, runner))
                self.events.append(("expired", runner))
            elif what == "killed":
                assert self.killed is not None
                del self.loaded[self.killed.model]
                self.killed, self.kill_done_at = None, NEVER
                polls = min(20, max(1, math.ceil(self.rules.recovery_s / 0.25))) if self.site.gpus else 0
                stalled, self.stalled = self.stalled, []
                for one in stalled:
                    self.lock(one)
                self.memory_back_at = self.now + 0.25 * polls
            else:
                self.memory_back_at = NEVER
                if self.waits_for_unload:
                    self.waits_for_unload = False
                    self.go_on()
            self.complete()
        return self.found

    def lock(self, what: Request | str) -> None:
        if self.killed is not None:
            self.stalled.append(what)
        elif isinstance(what, str):
            assert self.head is not None
            runner = Runner(self.head.model, self.context(self.head), self.lasting(self.rules.keep_alive_s))
            self.loaded[self.head.model] = runner
            self.grant(self.head, runner)
            self.head = None
            self.take()
        else:
            runner_or_none = self.loaded.get(what.model)
            if runner_or_none is not None and runner_or_none.context == self.context(what):
                self.grant(what, runner_or_none)
            elif len(self.pending) >= self.rules.max_queue:
                self.found[what.id] = ("queue full", math.nan, math.nan, math.nan)
            else:
                self.pending.append(what)
                self.take()

    def take(self) -> None:
        while self.head is None and self.pending:
            self.head = self.pending.pop(0)
            self.go_on()

    def go_on(self) -> None:
        request = self.head
        assert request is not None
        runner = self.loaded.get(request.model)
        if runner is not None and runner.context == self.context(request):
            self.head = None
            self.grant(request, runner)
            self.take()
            return
        if runner is not None:
            victim = runner
        elif len(self.loaded) >= (self.rules.max_loaded_models or 3) or (self.loaded and self.crowded(request)):
            order = sorted(self.loaded.values(), key=lambda r: (r.keep, self.rules.digests[r.model]))
            victim = next((r for r in order if r.refs == 0), order[0])
        else:
            seen = self.now
            while seen < self.now + self.loads[request.model] - 1e-9:
                seen += 0.25
            self.load_seen_at = seen
            return
        victim.keep, victim.timer_at = 0.0, NEVER
        self.waits_for_unload = True
        if victim.refs == 0:
            self.events.append(("expired", victim))

    def crowded(self, request: Request) -> bool:
        if not self.site.gpus:
            return False
        free = self.site.gpu_bytes - sum(self.device[model] for model in self.loaded)
        return predicted_bytes(SPEC, self.context(request)) > 0.8 * free

    def grant(self, request: Request, runner: Runner) -> None:
        self.granted[request.id] = self.now
        runner.refs += 1
        runner.timer_at = NEVER
        if request.keep_alive_s is not None:
            runner.keep = self.lasting(request.keep_alive_s)
        runner.queue.append(request)
        self.serve(runner)

    def serve(self, runner: Runner) -> None:
        if runner.serving is None and runner.queue:
            runner.serving = runner.queue.pop(0)
            self.sent[runner.serving.id] = self.now
            runner.done_at = self.now + 0.01 * runner.serving.prompt_tokens + (runner.serving.output_tokens - 1)

    def done(self, runner: Runner) -> None:
        request = runner.serving
        assert request is not None
        self.found[request.id] = ("ok", self.granted[request.id], self.sent[request.id], self.now)
        runner.serving, runner.done_at = None, NEVER
        self.serve(runner)
        self.events.append(("ended", runner))

    def complete(self) -> None:
        while self.events and self.killed is None and self.memory_back_at == NEVER:
            what, runner = self.events.pop(0)
            if what == "ended":
                runner.refs -= 1
                if runner.refs == 0 and runner.keep <= 0:
                    self.events.append(("expired", runner))
                elif runner.refs == 0:
                    runner.timer_at = self.now + runner.keep
            elif self.loaded.get(runner.model) is not runner:
                continue
            elif runner.refs:
                self.retries.append((self.now + 0.01, runner))
            else:
                self.killed, self.kill_done_at = runner, self.now + self.rules.kill_s

    @staticmethod
    def lasting(keep: float) -> float:
        return NEVER if keep < 0 else keep

    @staticmethod
    def context(request: Request) -> int:
        # the model was trained on 2048 tokens
        return min(request.context_tokens or 4096, SPEC.shape.context_length or 4096)


def scenario(seed: int) -> Reference:
    """Arrivals, lengths, options of a random case; no two moments coincide but those that follow from one another."""
    random = Random(seed)
    models = MODELS[: random.randint(2, 5)]
    ranks = random.sample(range(10), len(MODELS))
    rules = OllamaServing(
        keep_alive_s=random.choice([-1.0, 0.0, random.uniform(1, 20), 300.0]),
        max_loaded_models=random.choice([0, 1, 2, 3]),
        max_queue=random.choice([1, 3, 512]),
        digests={model: str(rank) for model, rank in zip(MODELS, ranks, strict=True)},
        kill_s=random.uniform(0.05, 0.5),
        recovery_s=random.uniform(0.1, 2.0),
    )
    pace_s = random.choice([0.3, 1.0, 4.0])
    requests = []
    at_s = 0.0
    for number in range(random.randint(1, 40)):
        at_s += random.expovariate(1 / pace_s)
        keep = random.choice([None, None, None, 0.0, -1.0, random.uniform(0.5, 9)])
        context = random.choice([None, None, None, 1024])
        requests.append(
            Request(
                f"r{number:02}", random.choice(models), random.randint(1, 300), random.randint(1, 4), at_s,
                keep_alive_s=keep, context_tokens=context,
            )
        )  # fmt: skip
    loads = {model: random.uniform(0.1, 5) for model in models}
    device = {model: random.uniform(0.2, 1) * GB for model in models}
    site = random.choice([Site(100 * GB), Site(100 * GB, gpus=1, gpu_bytes=random.uniform(0.4, 3) * GB)])
    return Reference(rules, requests, loads, device, site)


@given(st.integers(0, 10**9))
def test_an_independent_simulation_agrees_on_every_moment(seed: int) -> None:
    case = scenario(seed)
    records = run(case.rules, *case.requests, loads_s=case.loads, device=case.device, site=case.site)
    expected = case.simulate()
    assume(not case.tied)
    for row in records.requests:
        status, granted_s, sent_s, finish_s = expected[row.request]
        assert row.status == status
        found = (row.arrival_s + row.load_wait_s, row.dispatched_s, row.finish_s)
        assert found == pytest.approx((granted_s, sent_s, finish_s), rel=0, abs=1e-9, nan_ok=True)


def test_the_random_cases_meet_every_rule() -> None:
    met: set[str] = set()
    for seed in range(150):
        case = scenario(seed)
        records = run(case.rules, *case.requests, loads_s=case.loads, device=case.device, site=case.site)
        met |= {row.status for row in records.requests}
        met |= {row.cause.split()[0] for row in records.activities if row.kind == "unload"}
        rooms = [row for row in records.activities if row.kind == "unload" and row.cause.startswith("room")]
        met |= {"gpu eviction" for _ in rooms if case.site.gpus and case.rules.max_loaded_models in (0, 3)}
        queued = [row for row in records.activities if row.kind == "queue" and row.cause.endswith("in use")]
        met |= {"busy victim" for row in queued if not row.cause.startswith(f"{row.instance} ")}
    assert met == {"ok", "queue full", "starved", "room", "keep-alive", "gpu eviction", "busy victim"}


def test_the_reference_is_not_blind() -> None:
    case = scenario(3)
    other = replace(case, rules=replace(case.rules, kill_s=case.rules.kill_s + 0.3, max_loaded_models=1))
    assert case.simulate() != other.simulate()
