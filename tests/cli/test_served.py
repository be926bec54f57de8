"""Names that stand for the model of a running server."""

from __future__ import annotations

import pytest
from commands import Call

from mmpredict.cli.served import PREFIXES, model_of
from mmpredict.live.describe import is_served


def test_other_names_stay_as_they_are() -> None:
    for name in ("qwen2.5:7b", "model.gguf", "httpx", "https://example.org"):
        assert model_of(name) == name


def test_the_prefixes_are_those_of_the_descriptions() -> None:
    assert all(is_served(f"{prefix}x") for prefix in PREFIXES)


@pytest.mark.parametrize(("name", "remedy"), [("http://127.0.0.1:1", "llama-server -m"), ("ollama://qwen2.5:7b", "ollama serve")])
def test_a_server_that_is_not_there_is_said(name: str, remedy: str, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    for verb in (["estimate", name], ["models", "show", name]):
        outcome = call(*verb)
        assert outcome.code == 1
        assert remedy in outcome.err
