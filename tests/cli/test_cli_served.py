"""Running servers on the command line: what they serve, described and measured."""

from __future__ import annotations

from typing import Any

import pytest
from commands import Call

from mmpredict.calibrate.importers.row import BenchRow, Found
from mmpredict.calibrate.served import run as served_run
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["http://127.0.0.1:1", "ollama://x", "--output", "rows.jsonl"], "give one at a time"),
        (["http://127.0.0.1:1", "ollama://x", "--model", "qwen2.5:7b"], "give one at a time"),
        (["http://127.0.0.1:1", "--types", "q8_0"], "--types, --minutes, --resume and --add are for builds that are started"),
        (["--hardware", "rtx-4090"], "are for running servers"),
        (["qwen2.5:7b"], "names no running server"),
        (["ollama://qwen2.5:7b", "--hardware", "no-such"], "unknown hardware"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_measured(arguments: list[str], words: str, call: Call) -> None:
    outcome = call("calibrate", "run", *arguments)
    assert outcome.code == 2, outcome.err
    assert words in outcome.err


def test_measured_servers_are_fitted_together_with_earlier_ones(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two calls, a model each: the second fit has the rows of both."""
    monkeypatch.setattr(served_run, "server_of", lambda name, *_: Pretended(name.rpartition("/")[2]))
    used: list[int] = []
    for number, tag in enumerate(("llama3.2:1b", "qwen2.5:3b"), start=1):
        outcome = call("calibrate", "run", f"ollama://{tag}", "--hardware", "rtx-4090", "--backend", "cuda")
        assert outcome.code == 0, outcome.err
        assert f"36 rows of {tag} (ollama 1)" in outcome.err
        row = next(line for line in outcome.out.splitlines() if "rtx-4090" in line)
        rows, models = (int(cell) for cell in row.split("│")[3:5])
        assert models == number
        used.append(rows)
    assert used[0] > 20 and used[1] > used[0] + 20  # but for prompts of 16 tokens, whose pretended speed is absurd
    assert f"{used[1]} runs of yours of 2 models" in call("estimate", "llama3.1:8b", "--hardware", "rtx-4090").out


class Pretended:
    """An Ollama on a fast card."""

    engine, context_tokens, slots = "ollama 1", 4096, 1

    def __init__(self, tag: str) -> None:
        self.model = tag

    def request(self, prompt_tokens: int, output_tokens: int) -> list[Found]:
        known: dict[str, Any] = {"file": "f", "line": 0, "engine": "ollama", "model": self.model, "backend": "cuda"}
        return [
            BenchRow(test="pp", tokens_per_s=9000.0, n_prompt=prompt_tokens, n_gen=0, depth=0, **known),
            BenchRow(test="tg", tokens_per_s=250.0, n_prompt=0, n_gen=output_tokens - 1, depth=prompt_tokens, **known),
        ]

    def together(self, sequences: int, steps: int) -> list[Found]:
        pytest.fail("it has one slot")

    def close(self) -> None:
        pass
