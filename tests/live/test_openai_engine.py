"""Servers of OpenAI's protocol that understand less than llama.cpp: no plain text, no word about the end."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from mmpredict.errors import EngineError, InputError, UnknownNameError
from mmpredict.live import openai_client
from mmpredict.live.choice import KINDS, EngineChoice, engine_of
from mmpredict.live.embedded import EmbeddedServer
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.live.openai_client import OpenAIClient
from mmpredict.live.openai_engine import OpenAIEngine
from mmpredict.models.resolve import resolve
from mmpredict.scenario.engine_section import EngineSection, Kind
from mmpredict.simulation.plan import InstancePlan, Plan, Stage


@pytest.fixture
def plan(text_model: Path) -> Plan:
    instance = InstancePlan("text", str(text_model), 1, spincount=1000, context_tokens=1024, slots=1)
    return Plan("only", (instance,), (Stage(("text",)),))


@pytest.mark.live
def test_without_plain_text_prompts_stand_within_the_template(
    plan: Plan, text_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_client, "COMPLETIONS", "/v1/nothing")
    specs = {str(text_model): resolve(str(text_model))}
    with EmbeddedServer.start(plan.instances[0], text_model, tmp_path / "log") as server:
        engine = OpenAIEngine(f"{server.url}/v1/")
        engine.prepare(plan, specs, cold=False)
        loaded = engine.load(plan.instances[0], tmp_path / "log")
        answer = loaded.stream(loaded.prompt(200, 3), 5, 30.0)
        assert (answer.prompt_tokens, answer.output_tokens) == (200, 5)
        with pytest.raises(RequestFailure, match=r"bad-request.*around every prompt"):
            loaded.prompt(5, 0)
        loaded.stop()
        assert server.alive()
        assert any("chat template" in note for note in engine.notes)
        other = OpenAIEngine(server.url, names={str(text_model): "nope"})
        with pytest.raises(UnknownNameError, match="how it calls a model"):
            other.prepare(plan, specs, cold=False)


def test_a_server_that_knows_no_word_for_going_on_is_asked_without(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[bool, bool]] = []

    def stream(self: OpenAIClient, *_: object, chat: bool, endless: bool) -> None:
        asked.append((chat, endless))
        if endless:
            raise RequestFailure(FailureReason.BAD_REQUEST, "unknown field ignore_eos")

    monkeypatch.setattr(OpenAIClient, "stream", stream)
    with OpenAIClient("http://127.0.0.1:1") as client:
        way = OpenAIEngine()._way(client, "m")
    assert (way.chat, way.endless, asked) == (False, False, [(False, True), (False, False)])


def test_no_server_and_no_address_are_said(plan: Plan) -> None:
    with pytest.raises(EngineError, match=r"no server of OpenAI's protocol answers at http://127.0.0.1:1"):
        OpenAIEngine("http://127.0.0.1:1/v1").prepare(plan, {}, cold=False)
    with pytest.raises(InputError, match=r"\[engine.urls\]"):
        OpenAIEngine().prepare(plan, {}, cold=False)
    with pytest.raises(InputError, match=r"write http://127.0.0.1:PORT"):
        OpenAIEngine("http://example.org").prepare(plan, {}, cold=False)


def test_every_kind_of_the_scenario_has_an_engine() -> None:
    assert get_args(Kind) == KINDS
    for kind in KINDS:
        section = EngineSection(kind=kind)
        assert kind.replace("-", "") in type(engine_of(EngineChoice(**section.model_dump()))).__name__.lower()
