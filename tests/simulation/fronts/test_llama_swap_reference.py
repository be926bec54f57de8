"""llama-swap's scheduler again, written plainly as what happens next, without the code under test: both agree on every moment."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served_runs import MODELS, run

from mmpredict.simulation.serving import Group, LlamaSwapServing
from mmpredict.workload.request import Request

NEVER = math.inf


@dataclass
class Swap:
    evicts: set[str]
    waiters: list[Request]
    starts_at: float  # when all that must stop have
    seen_at: float = NEVER


@dataclass
class Reference:
    """One thing after another; every server has one slot."""

    rules: LlamaSwapServing
    requests: list[Request]
    loads: dict[str, float]

    def __post_init__(self) -> None:
        self.now = 0.0
        self.queue: list[Request] = []
        self.swaps: dict[str, Swap] = {}
        self.ready: dict[str, float] = {}
        self.stopping: dict[str, float] = {}
        self.expires: dict[str, float] = {}
        self.at_server: dict[str, list[Request]] = {model: [] for model in MODELS}
        self.done_at: dict[str, float] = {}
        self.sent: dict[str, float] = {}
        self.found: dict[str, tuple[str, float, float]] = {}

    def simulate(self) -> dict[str, tuple[str, float, float]]:
        coming = sorted(self.requests, key=lambda request: request.arrival_s)
        while len(self.found) < len(self.requests):
            choices = [(coming[0].arrival_s if coming else NEVER, 0, "")]
            choices += [(until, 1, model) for model, until in self.stopping.items()]
            choices += [(swap.starts_at, 2, model) for model, swap in self.swaps.items() if swap.seen_at == NEVER]
            choices += [(swap.seen_at, 3, model) for model, swap in self.swaps.items()]
            choices += [(at, 4, model) for model, at in self.done_at.items()]
            choices += [(at, 5, model) for model, at in self.expires.items()]
            self.now, what, model = min(choices)
            if what == 0:
                self.arrive(coming.pop(0))
            elif what == 1:
                del self.stopping[model]
            elif what == 2:
                seen = self.now if model in self.ready else self.now + 0.25
                while model not in self.ready and seen < self.now + self.loads[model] - 1e-9:
                    seen += 1.0
                self.swaps[model].seen_at = seen
            elif what == 3:
                swap = self.swaps.pop(model)
                self.ready.setdefault(model, self.now)
                for request in swap.waiters:
                    self.serve(request)
                self.look_again()
            elif what == 4:
                self.done(model)
            else:
                self.stop(model)
        return self.found

    def arrive(self, request: Request) -> None:
        model = request.model
        waiting = [r for r in self.queue if r.model == model] + self.at_server[model]
        waiting += self.swaps[model].waiters if model in self.swaps else []
        if len(waiting) >= self.rules.concurrency_limit:
            self.found[request.id] = ("too many requests", math.nan, math.nan)
        elif not self.place(request):
            mine = self.rules.priorities.get(model, 0)
            before = [r for r in self.queue if self.rules.priorities.get(r.model, 0) >= mine]
            after = [r for r in self.queue if self.rules.priorities.get(r.model, 0) < mine]
            self.queue = [*before, request, *after]

    def place(self, request: Request) -> bool:
        model = request.model
        if model in self.swaps:
            self.swaps[model].waiters.append(request)
            return True
        evicts = {other for other in {*self.ready, *self.stopping, *self.swaps} if other != model and self.excludes(model, other)}
        for target, swap in self.swaps.items():
            if target in evicts or model in swap.evicts or evicts & swap.evicts:
                return False
        if model in self.ready and not evicts:
            self.serve(request)
            return True
        if any(self.at_server[other] for other in evicts):
            return False
        for other in evicts:
            self.stop(other)
        until = [self.stopping[other] for other in {*evicts, model} if other in self.stopping]
        self.expires.pop(model, None)
        self.swaps[model] = Swap(evicts, [request], max(until, default=self.now))
        return True

    def excludes(self, model: str, other: str) -> bool:
        mine, theirs = (
            next((name for name, group in self.rules.groups.items() if one in group.members), "") for one in (model, other)
        )
        default = Group(())
        if mine == theirs:
            return self.rules.groups.get(mine, default).swap
        return self.rules.groups.get(mine, default).exclusive and not self.rules.groups.get(theirs, default).persistent

    def stop(self, model: str) -> None:
        self.ready.pop(model, None)
        self.expires.pop(model, None)
        self.stopping.setdefault(model, self.now + self.rules.stop_s)

    def serve(self, request: Request) -> None:
        model = request.model
        self.sent[request.id] = self.now
        self.expires.pop(model, None)
        self.at_server[model].append(request)
        if len(self.at_server[model]) == 1:
            self.begin(model)

    def begin(self, model: str) -> None:
        request = self.at_server[model][0]
        self.done_at[model] = self.now + 0.01 * request.prompt_tokens + (request.output_tokens - 1)

    def done(self, model: str) -> None:
        request = self.at_server[model].pop(0)
        self.found[request.id] = ("ok", self.sent[request.id], self.now)
        del self.done_at[model]
        if self.at_server[model]:
            self.begin(model)
            return
        if self.rules.ttl_s:
            check = self.ready[model]
            while check - self.now <= self.rules.ttl_s:
                check += 1.0
            self.expires[model] = check
        self.look_again()

    def look_again(self) -> None:
        waiting, self.queue = self.queue, []
        self.queue = [request for request in waiting if not self.place(request)]


def scenario(seed: int) -> Reference:
    """A random case; no two moments coincide but those that follow from one another."""
    random = Random(seed)
    models = list(MODELS[: random.randint(2, 5)])
    random.shuffle(models)
    cut = random.randint(0, len(models))
    middle = random.randint(cut, len(models))
    groups = {}
    for name, members in (("one", models[:cut]), ("two", models[cut:middle])):
        if members and random.random() < 0.7:
            flags = [random.random() < 0.5 for _ in range(3)]
            groups[name] = Group(tuple(members), *flags)
    rules = LlamaSwapServing(
        groups=groups,
        ttl_s=random.choice([0.0, random.uniform(0.5, 6)]),
        concurrency_limit=random.choice([1, 2, 10]),
        priorities={model: random.randint(-1, 1) for model in models if random.random() < 0.5},
        stop_s=random.uniform(0.05, 2.0),
    )
    pace_s = random.choice([0.3, 1.0, 4.0])
    requests, at_s = [], 0.0
    for number in range(random.randint(1, 40)):
        at_s += random.expovariate(1 / pace_s)
        requests.append(Request(f"r{number:02}", random.choice(models), random.randint(1, 300), random.randint(1, 4), at_s))
    return Reference(rules, requests, {model: random.uniform(0.1, 5) for model in models})


@given(st.integers(0, 10**9))
def test_an_independent_simulation_agrees_on_every_moment(seed: int) -> None:
    case = scenario(seed)
    records = run(case.rules, *case.requests, loads_s=case.loads)
    expected = case.simulate()
    for row in records.requests:
        status, sent_s, finish_s = expected[row.request]
        assert row.status == status
        assert (row.dispatched_s, row.finish_s) == pytest.approx((sent_s, finish_s), rel=0, abs=1e-9, nan_ok=True)


def test_the_random_cases_meet_every_rule() -> None:
    met: set[str] = set()
    for seed in range(150):
        case = scenario(seed)
        records = run(case.rules, *case.requests, loads_s=case.loads)
        met |= {row.status for row in records.requests}
        met |= {row.cause.split()[0] for row in records.activities if row.kind == "unload"}
        loads = [(row.start_s, row.end_s) for row in records.activities if row.kind == "load"]
        met |= {"loads overlap" for before, after in pairwise(loads) if after[0] < before[1]}
    assert met == {"ok", "too many requests", "room", "time", "loads overlap"}
