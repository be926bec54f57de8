"""The executor does the same with every engine: the same rows, honest where an engine tells less."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from engines import KINDS, engine
from real_plans import MEMORY_BYTES

from mmpredict.live.engine import Engine
from mmpredict.live.execute import execute_plan
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.live.ollama_client import OllamaClient
from mmpredict.models.resolve import resolve
from mmpredict.models.spec import ModelSpec
from mmpredict.results.records import Records
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.workload.request import Request, Workload

CONTEXT_TOKENS = 512
RUN_BEFORE = ("attached", "openai")
TOLD_SLOT = ("embedded", "binary", "attached", "router")

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def model(text_model: Path) -> str:
    return str(text_model)


@pytest.fixture(scope="module")
def specs(model: str) -> dict[str, ModelSpec]:
    return {model: resolve(model)}


def instance_of(model: str) -> InstancePlan:
    return InstancePlan(
        "text", model, 1, spincount=1000, context_tokens=CONTEXT_TOKENS, slots=2, batch_tokens=256, ubatch_tokens=256
    )


@dataclass(frozen=True)
class Served:
    kind: str
    engine: Engine
    plan: Plan


@pytest.fixture(scope="module", params=KINDS)
def served(request: pytest.FixtureRequest, model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One engine, for all tests of this module that run a plan with it."""
    instance = instance_of(model)
    with engine(request.param, model, instance, tmp_path_factory.mktemp(request.param)) as made:
        yield Served(request.param, made, Plan("only", (instance,), (Stage(("text",), 2),)))


def run(served: Served, specs: dict[str, ModelSpec], logs: Path, *requests: Request, limit_s: float = 60.0) -> Records:
    return execute_plan(served.plan, Workload(requests), specs, MEMORY_BYTES, logs, limit_s=limit_s, engine=served.engine)


@pytest.fixture(scope="module")
def records(served: Served, specs: dict[str, ModelSpec], model: str, tmp_path_factory: pytest.TempPathFactory) -> Records:
    requests = (Request("one", model, 40, 20), Request("two", model, 24, 12), Request("late", model, 16, 1, arrival_s=0.2))
    return run(served, specs, tmp_path_factory.mktemp("logs"), *requests)


def test_every_request_is_answered_in_full(records: Records) -> None:
    assert {row.request: (row.status, row.output_tokens) for row in records.requests} == {
        "one": ("ok", 20),
        "two": ("ok", 12),
        "late": ("ok", 1),
    }
    for row in records.requests:
        assert row.arrival_s <= row.dispatched_s <= row.prefill_start_s <= row.first_token_s <= row.finish_s
        assert (row.first_token_s < row.finish_s) == (row.output_tokens > 1)


def test_prompts_have_the_length_asked_for(served: Served, records: Records) -> None:
    assert all(row.cached_tokens == 0 for row in records.requests)
    assert not [note for note in served.engine.notes if "by the server's count" in note]


def test_a_load_is_told_of_where_there_was_one(served: Served, records: Records) -> None:
    kinds = Counter(row.kind for row in records.activities)
    loads = 0 if served.kind in RUN_BEFORE else 1
    assert (kinds["load"], kinds["unload"]) == (loads, loads)
    waits = {row.request: row.load_wait_s for row in records.requests}
    assert (waits["one"] > 0) == bool(loads)
    assert any("not measured" in note for note in served.engine.notes) == (not loads)


def test_what_is_not_told_is_not_invented(served: Served, records: Records) -> None:
    assert all((row.slot >= 0) == (served.kind in TOLD_SLOT) for row in records.requests)
    used = [row.used for row in records.states if row.resource == "memory"]
    if served.kind == "openai":
        assert all(math.isnan(one) for one in used)
    else:
        assert max(used) > 75e6


def test_a_conversation_goes_on(served: Served, specs: dict[str, ModelSpec], model: str, tmp_path: Path) -> None:
    first = Request("first", model, 40, 6, session="s")
    second = Request("second", model, 60, 4, session="s", shared_tokens=46, after=("first",))
    rows = {row.request: row for row in run(served, specs, tmp_path, first, second).requests}
    assert {row.status for row in rows.values()} == {"ok"}
    if served.kind in TOLD_SLOT:
        assert rows["second"].cached_tokens == 45  # all but the last token, which nobody has evaluated
    elif served.kind == "openai":
        assert rows["second"].cached_tokens >= 40  # of the answer as much as its text comes back as the same tokens
    else:
        assert rows["second"].cached_tokens == -1


def test_a_prompt_beyond_the_context_is_a_bad_request(
    served: Served, specs: dict[str, ModelSpec], model: str, tmp_path: Path
) -> None:
    served.engine.prepare(served.plan, specs, cold=False)
    server = served.engine.load(served.plan.instances[0], tmp_path / "log")
    try:
        prompt = server.prompt(CONTEXT_TOKENS + 100, 1)
        with pytest.raises(RequestFailure) as caught:
            server.stream(prompt, 1, 30.0)
        assert caught.value.reason is FailureReason.BAD_REQUEST
    finally:
        server.stop()


def test_a_run_that_is_too_long_is_given_up(served: Served, specs: dict[str, ModelSpec], model: str, tmp_path: Path) -> None:
    requests = (Request("long", model, 8, 480), Request("never", model, 8, 1, arrival_s=1.0))
    rows = {row.request: row for row in run(served, specs, tmp_path, *requests, limit_s=0.5).requests}
    assert rows["never"].status == "timeout"
    assert rows["long"].status == "timeout" or served.kind == "ollama"  # which may cut an answer off that repeats itself


def test_an_interrupted_run_waits_for_nothing_and_leaves_nothing(
    served: Served, specs: dict[str, ModelSpec], model: str, tmp_path: Path
) -> None:
    told: list[str] = []

    def interrupt(label: str, _: float) -> None:
        told.append(label)
        if label == "second on text":
            raise KeyboardInterrupt

    requests = Workload((Request("long", model, 8, 490), Request("second", model, 8, 1, arrival_s=0.1)))
    with pytest.raises(KeyboardInterrupt):
        execute_plan(served.plan, requests, specs, MEMORY_BYTES, tmp_path, progress=interrupt, engine=served.engine)
    assert "long ok" not in told
    if served.kind == "ollama":
        with OllamaClient(str(getattr(served.engine, "url", ""))) as client:
            assert client.loaded() == ()
