"""Whatever goes wrong with a server is a row with its reason; the other requests are answered, and no process stays."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from process_engine import ProcessEngine, fake, specs_of, together

from mmpredict.errors import StorageError
from mmpredict.live import sampling
from mmpredict.live.execute import execute_plan
from mmpredict.live.failure import FailureReason
from mmpredict.live.journal import Journal, read_journal
from mmpredict.results.metrics import summarize
from mmpredict.results.records import Records
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.simulation.policies.recovery import FAILURES, Recovery
from mmpredict.workload.request import Request, Workload

BAD, GOOD = "bad", "good"
MEMORY_BYTES = 1e12
OK_TOKENS = 12


def run(
    place: Path,
    commands: dict[str, list[str]],
    requests: tuple[Request, ...] = (Request("b", BAD, 8, 40), Request("g", GOOD, 8, OK_TOKENS)),
    recovery: Recovery | None = None,
    watch: Callable[[str, ProcessEngine], None] = lambda label, engine: None,
    limit_s: float = 30.0,
) -> Records:
    """Execute a plan of two models beside each other; what is returned is also what the journal holds."""
    engine = ProcessEngine(commands)
    plan = replace(together(BAD, GOOD), recovery=recovery or Recovery())
    with Journal(place / "rows.jsonl") as journal:
        records = execute_plan(
            plan,
            Workload(requests),
            specs_of(BAD, GOOD),
            MEMORY_BYTES,
            place,
            limit_s=limit_s,
            progress=lambda label, _: watch(label, engine),
            engine=engine,
            journal=journal,
        )
    assert read_journal(place / "rows.jsonl")["together"].to_dict() == records.to_dict()
    assert not any(server.alive() for server in engine.loaded.values())
    return records


@pytest.fixture(autouse=True)
def _no_process_left() -> Iterator[None]:
    before = set(psutil.Process().children(recursive=True))
    yield
    assert set(psutil.Process().children(recursive=True)) <= before


def status(records: Records) -> dict[str, str]:
    return {row.request: row.status for row in records.requests}


def lost(records: Records, name: str = "b") -> tuple[str, str, int]:
    """Status, detail and attempts of the request that failed, of which nothing was kept."""
    row = next(row for row in records.requests if row.request == name)
    assert (row.output_tokens, row.first_token_s == row.first_token_s, row.finish_s == row.finish_s) == (0, False, False)
    assert not any(activity.request == name for activity in records.activities if activity.kind != "attempt")
    return row.status, row.detail, row.attempts


def test_the_plan_knows_every_class_of_failure() -> None:
    assert set(FAILURES) == set(FailureReason)


def test_a_server_killed_amid_a_stream(tmp_path: Path) -> None:
    def kill(label: str, engine: ProcessEngine) -> None:
        if "in flight" in label and engine.loaded[BAD].alive():
            os.kill(engine.loaded[BAD].process.pid, signal.SIGKILL)

    requests = (Request("b", BAD, 8, 2000), Request("g", GOOD, 8, OK_TOKENS), Request("later", BAD, 8, 4, after=("b",)))
    records = run(tmp_path, {BAD: fake(), GOOD: fake()}, requests, watch=kill)
    assert status(records) == {"b": "server-died", "g": "ok", "later": "server-died"}
    assert lost(records)[2] == 1
    assert lost(records, "later")[2] == 1
    assert summarize(records).failed == 2


@pytest.mark.parametrize(
    ("mode", "reason", "words"),
    [
        ("die-mid-stream", "server-died", "amid its answer"),
        ("garbage", "server-error", "not an event"),
        ("bad-chunk", "server-error", "no number"),
        ("busy", "queue-full", "no slot available"),
        ("loading", "refused", "Loading model"),
        ("bad-request", "bad-request", "exceeds the available context size"),
    ],
)
def test_what_a_server_does_wrong_is_its_requests_status(mode: str, reason: str, words: str, tmp_path: Path) -> None:
    records = run(tmp_path, {BAD: fake(mode), GOOD: fake()})
    assert status(records) == {"b": reason, "g": "ok"}
    assert words in lost(records)[1]
    good = next(row for row in records.requests if row.request == "g")
    assert (good.output_tokens, good.attempts, good.detail, good.asked_model) == (OK_TOKENS, 1, "", "")


@pytest.mark.parametrize("mode", ["slow-loris", "pings", "silent"])
def test_a_server_that_never_comes_to_an_end_is_given_up_at_the_deadline(mode: str, tmp_path: Path) -> None:
    requests = (Request("b", BAD, 8, 40, deadline_s=1.5), Request("g", GOOD, 8, OK_TOKENS, deadline_s=25.0))
    records = run(tmp_path, {BAD: fake(mode), GOOD: fake()}, requests)
    assert status(records) == {"b": "deadline", "g": "ok"}
    assert summarize(records).deadlines_met_frac == 0.5


def test_a_deadline_that_is_over_before_the_request_can_be_sent(tmp_path: Path) -> None:
    requests = (Request("b", BAD, 8, 40, deadline_s=1e-6), Request("g", GOOD, 8, OK_TOKENS))
    records = run(tmp_path, {BAD: fake(), GOOD: fake()}, requests)
    reason, words, attempts = lost(records)
    assert (reason, attempts) == ("deadline", 0)
    assert "1e-06 s was over" in words


def test_a_run_ends_at_its_limit_even_if_more_was_to_come(tmp_path: Path) -> None:
    begin_s = time.perf_counter()
    records = run(tmp_path, {BAD: fake(), GOOD: fake()}, (Request("b", BAD, 8, 40, arrival_s=1e6),), limit_s=1.5)
    assert time.perf_counter() - begin_s >= 1.5
    assert status(records) == {"b": "timeout"}


def test_a_busy_server_is_asked_again_where_the_plan_says_so(tmp_path: Path) -> None:
    records = run(tmp_path, {BAD: fake("busy-once"), GOOD: fake()}, recovery=Recovery(retries=2, backoff_s=0.01))
    row = next(row for row in records.requests if row.request == "b")
    assert (row.status, row.attempts, row.model, row.asked_model, row.output_tokens) == ("ok", 2, BAD, "", 40)
    (attempt,) = [activity for activity in records.activities if activity.kind == "attempt"]
    assert (attempt.instance, attempt.request) == (BAD, "b")
    assert attempt.cause.startswith("queue-full: no slot available")
    assert attempt.end_s <= row.dispatched_s


@pytest.mark.parametrize("recovery", [Recovery(fallback={BAD: (GOOD,)}), Recovery(smaller=True)])
def test_another_model_answers_where_the_plan_says_so(recovery: Recovery, tmp_path: Path) -> None:
    records = run(tmp_path, {GOOD: fake()}, recovery=recovery)
    row = next(row for row in records.requests if row.request == "b")
    assert (row.status, row.model, row.instance, row.asked_model, row.attempts) == ("ok", GOOD, GOOD, BAD, 1)
    (attempt,) = [activity for activity in records.activities if activity.kind == "attempt"]
    assert attempt.cause.startswith("out-of-memory: bad could not be loaded")


def test_an_instance_that_cannot_be_loaded_costs_its_own_requests_only(tmp_path: Path) -> None:
    requests = (Request("b", BAD, 8, 40), Request("g", GOOD, 8, OK_TOKENS), Request("after", BAD, 8, 4, after=("g",)))
    records = run(tmp_path, {GOOD: fake()}, requests)
    assert status(records) == {"b": "out-of-memory", "g": "ok", "after": "out-of-memory"}
    assert lost(records)[2] == lost(records, "after")[2] == 0
    loads = {row.instance: row.cause for row in records.activities if row.kind == "load"}
    assert loads == {BAD: "out-of-memory", GOOD: ""}
    assert [row.instance for row in records.activities if row.kind == "unload"] == [GOOD]


def test_where_nothing_can_be_loaded_nobody_waits(tmp_path: Path) -> None:
    records = run(tmp_path, {}, (Request("b", BAD, 8, 40, arrival_s=1e6), Request("g", GOOD, 8, 1, after=("b",), delay_s=1e6)))
    assert status(records) == {"b": "out-of-memory", "g": "out-of-memory"}


def test_steps_of_the_wall_clock_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jumps = iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: (-1.0) ** next(jumps) * 1e9)
    monkeypatch.setattr(time, "time_ns", lambda: (-1) ** next(jumps) * 10**18)
    begin_s = time.perf_counter()
    records = run(tmp_path, {BAD: fake(), GOOD: fake()})
    took_s = time.perf_counter() - begin_s
    assert set(status(records).values()) == {"ok"}
    for row in records.requests:
        assert 0 <= row.arrival_s <= row.dispatched_s <= row.prefill_start_s <= row.first_token_s <= row.finish_s <= took_s
        assert row.finish_s - row.dispatched_s >= (row.output_tokens - 1) / 200.0  # a clock that is right cannot show less
    moments = [row.time_s for row in records.states]
    assert moments == sorted(moments) and moments[0] >= 0 and moments[-1] <= took_s


def test_a_full_disk_ends_a_run_that_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sampling meets it first: nobody waits for the long answer."""
    monkeypatch.setattr(sampling, "INTERVAL_S", 0.05)
    full = threading.Event()

    class Full(Journal):
        def add(self, plan: str, row: object) -> None:
            if full.is_set():
                raise StorageError("cannot write the rows: No space left on device")
            super().add(plan, row)  # type: ignore[arg-type]

    engine = ProcessEngine({BAD: fake(), GOOD: fake()})
    begin_s = time.perf_counter()
    with Full(tmp_path / "rows.jsonl") as journal, pytest.raises(StorageError, match="No space left"):
        execute_plan(
            together(BAD, GOOD),
            Workload((Request("b", BAD, 8, 100_000),)),
            specs_of(BAD, GOOD),
            MEMORY_BYTES,
            tmp_path,
            progress=lambda label, _: full.set() if "in flight" in label else None,
            engine=engine,
            journal=journal,
        )
    assert time.perf_counter() - begin_s < 60.0
    assert not any(server.alive() for server in engine.loaded.values())
    assert read_journal(tmp_path / "rows.jsonl")["together"].states


def test_progress_tells_how_many_tokens_come(tmp_path: Path) -> None:
    labels: list[str] = []
    run(tmp_path, {BAD: fake(), GOOD: fake()}, (Request("b", BAD, 8, 300),), watch=lambda label, _: labels.append(label))
    rates = [float(label.split()[3]) for label in labels if "in flight" in label]
    assert all(label.endswith("tokens/s") for label in labels if "in flight" in label)
    assert 0 < max(rates) < 2 * 200.0


@pytest.mark.live
def test_a_frozen_server_is_given_up_and_ended(small_model: Path, tmp_path: Path) -> None:
    """A stopped process answers no signal but the one that kills."""
    from mmpredict.live import embedded
    from mmpredict.models.resolve import resolve

    frozen: list[int] = []

    def freeze(label: str, _: float) -> None:
        if "in flight" in label and not frozen:
            frozen.append(next(iter(embedded._running)).pid)
            os.kill(frozen[0], signal.SIGSTOP)

    name = str(small_model)
    plan = Plan("one", (InstancePlan("it", name, 1, spincount=1000, context_tokens=4096),), (Stage(("it",)),))
    workload = Workload((Request("long", name, 8, 2000, deadline_s=4.5), Request("other", name, 8, 2000)))
    records = execute_plan(plan, workload, {name: resolve(name)}, 8e9, tmp_path, limit_s=6.0, progress=freeze)
    assert status(records) == {"long": "deadline", "other": "timeout"}
    assert [row.attempts for row in records.requests] == [1, 1]
    assert [row.kind for row in records.activities] == ["load", "unload"]
    assert frozen and not psutil.pid_exists(frozen[0])


@pytest.mark.live
def test_memory_that_runs_out_while_a_model_is_loaded(small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource
    import subprocess

    from mmpredict.live import embedded
    from mmpredict.models.resolve import resolve

    spawn = embedded.spawn

    def spawn_small(instance: InstancePlan, log_path: Path) -> subprocess.Popen[bytes]:
        process = spawn(instance, log_path)
        if instance.name == BAD:
            resource.prlimit(process.pid, resource.RLIMIT_DATA, (400_000_000, 400_000_000))
        return process

    monkeypatch.setattr(embedded, "spawn", spawn_small)
    name = str(small_model)
    instances = (
        InstancePlan(BAD, name, 1, spincount=1000, context_tokens=32_768),
        InstancePlan(GOOD, GOOD, 1, spincount=1000, context_tokens=256),
    )
    plan = Plan("two", instances, (Stage((BAD, GOOD)),))
    spec = resolve(name)
    workload = Workload((Request("b", name, 8, 8), Request("g", GOOD, 8, 8)))
    records = execute_plan(plan, workload, {name: spec, GOOD: spec}, 64e9, tmp_path)
    assert status(records) == {"b": "out-of-memory", "g": "ok"}
    assert "insufficient memory" in lost(records)[1]  # llama.cpp's own words
