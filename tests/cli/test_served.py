"""Names that stand for the model of a running server."""

from __future__ import annotations

import pytest
from commands import Call

from mmpredict.cli.served import model_of


def test_other_names_stay_as_they_are() -> None:
    for name in ("qwen2.5:7b", "model.gguf", "httpx", "https://example.org"):
        assert model_of(name) == name


@pytest.mark.parametrize(("name", "remedy"), [("http://127.0.0.1:1", "llama-server -m"), ("ollama://qwen2.5:7b", "ollama serve")])
def test_a_server_that_is_not_there_is_said(name: str, remedy: str, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    for verb in (["estimate", name], ["models", "show", name]):
        outcome = call(*verb)
        assert outcome.code == 1
        assert remedy in outcome.err
