"""Measuring servers that run already: a real llama.cpp one, and an Ollama that answers as the program does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from test_describe import SHOW, answering

from mmpredict.calibrate.bench_rows import speed_rows
from mmpredict.calibrate.importers.files import import_file
from mmpredict.calibrate.importers.row import BenchRow, Found, Rejected
from mmpredict.calibrate.own_fit import fit_own
from mmpredict.calibrate.served import run as served_run
from mmpredict.calibrate.served.ollama import Ollama
from mmpredict.calibrate.served.run import measure, server_of
from mmpredict.errors import EngineError, InputError
from mmpredict.hardware.library import find_profile
from mmpredict.live.embedded import EmbeddedServer
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.models.gguf.model import spec_from_gguf

ANSWER = {"done": True, "prompt_eval_count": 16, "prompt_eval_duration": 10**8, "eval_count": 29, "eval_duration": 28 * 10**7}
PROCESS = {"name": "qwen2.5:0.5b", "model": "qwen2.5:0.5b", "size": 400, "size_vram": 400}


@pytest.mark.live
def test_a_running_server_is_measured_and_fitted(
    server: EmbeddedServer, small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_run, "REPEATS", 2)
    monkeypatch.setattr(served_run, "STEPS", 8)
    told: list[float] = []
    with closing(server_of(server.url)) as target:
        found = measure(target, tmp_path / "rows.jsonl", lambda _, fraction: told.append(fraction))
    imported = import_file(found.path)
    assert (imported.format, len(imported.rows), imported.rejected) == ("rows", found.rows, ())
    assert {(row.test, row.n_prompt, row.n_gen, row.parallel) for row in imported.rows if row.test != "batch"} == {
        ("pp", 16, 0, None),
        ("pp", 64, 0, None),
        ("tg", 0, 8, None),
    }
    assert [row.parallel for row in imported.rows if row.test == "batch"] == [2, 2]
    assert told == sorted(told) and told[-1] == 1.0
    assert not found.rejected and not found.too_long

    fitted = fit_own(speed_rows(imported.rows, find_profile()), find_profile())
    (fit,) = fitted.fits
    assert fit.rates.rows == found.rows
    assert {row.model for row in fit.rows} == {str(small_model)}, "a file that is here says all itself"
    assert fit.rates.errors["decode"].median < 1.0
    assert spec_from_gguf(small_model).weight_bytes < fit.rates.bandwidth_bytes_per_s < 1e12


def test_prompts_that_would_take_too_long_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_run, "LONGEST_REQUEST_S", 0.0)
    found = measure(Still(), tmp_path / "rows.jsonl", lambda *_: None)
    assert found.too_long == served_run.PROMPTS[1:]
    assert found.rows == served_run.REPEATS


def test_rows_until_a_failure_are_on_disk(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"still 1 failed while m was measured \(server-died\); 2 rows are in .*rows.jsonl"):
        measure(Still(fail_at=4), tmp_path / "rows.jsonl", lambda *_: None)
    assert len(import_file(tmp_path / "rows.jsonl").rows) == 2


def test_a_context_without_room_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"m is served with a context of 64 tokens, too few"):
        measure(Still(context_tokens=64), tmp_path / "rows.jsonl", lambda *_: None)


class Still:
    """A server that answers at once."""

    engine, model, slots = "still 1", "m", 1

    def __init__(self, fail_at: int = 10**9, context_tokens: int = 4096) -> None:
        self.context_tokens = context_tokens
        self._left = fail_at - 1

    def request(self, prompt_tokens: int, output_tokens: int) -> list[Found]:
        if not self._left:
            raise RequestFailure(FailureReason.SERVER_DIED)
        self._left -= 1
        return [BenchRow(file="f", line=0, engine="still", test="pp", tokens_per_s=1.0, n_prompt=prompt_tokens, n_gen=0)]

    def together(self, sequences: int, steps: int) -> list[Found]:
        raise AssertionError(f"{sequences} sequences were asked of a server with one slot")

    def close(self) -> None:
        pass


@contextmanager
def ollama(monkeypatch: pytest.MonkeyPatch, answer: object = ANSWER, process: object = PROCESS) -> Iterator[Ollama]:
    bodies: dict[str, Any] = {
        "/api/show": SHOW,
        "/api/version": {"version": "0.17.4"},
        "/api/ps": {"models": [process]},
        "/api/generate": answer,
    }
    with answering({path: json.dumps(body).encode() for path, body in bodies.items()}) as url:
        monkeypatch.setenv("OLLAMA_HOST", url.removeprefix("http://"))
        server = server_of("ollama://qwen2.5:0.5b", "cuda")
        assert isinstance(server, Ollama)
        with closing(server):
            yield server


def test_an_answer_of_ollama_is_a_prompt_and_a_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    with ollama(monkeypatch) as server:
        assert (server.engine, server.context_tokens, server.slots) == ("ollama 0.17.4", 4096, 1)
        prompt, generation = server.request(16, 29)
    assert isinstance(prompt, BenchRow) and isinstance(generation, BenchRow)
    assert (prompt.test, prompt.tokens_per_s, prompt.depth, prompt.doubt) == ("pp", pytest.approx(160.0), 0, None)
    assert (generation.test, generation.tokens_per_s, generation.depth) == ("tg", pytest.approx(100.0), 16)
    assert (prompt.backend, prompt.gpu_layers, prompt.build) == ("cuda", -1, "0.17.4")
    (row,) = speed_rows([prompt], find_profile("rtx-4090")).rows
    assert (row.model, row.file_type, row.backend) == ("qwen2.5-0.5b", "Q4_K_M", "cuda")


@pytest.mark.parametrize(("in_vram", "layers"), [(0, 0), (200, 1), (400, -1)])
def test_where_ollama_has_the_model_is_noted(in_vram: int, layers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with ollama(monkeypatch, process={**PROCESS, "size_vram": in_vram}) as server:
        for row in server.request(16, 29):
            assert isinstance(row, BenchRow) and row.gpu_layers == layers


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"done": False}, "cut the answer off"),
        ({**ANSWER, "eval_count": 5}, "ended its answer after 5 tokens"),
        ({**ANSWER, "prompt_eval_count": 3}, "16 words are 3 tokens"),
    ],
)
def test_answers_that_measure_nothing_are_said(answer: dict[str, object], reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with ollama(monkeypatch, answer) as server:
        found = server.request(16, 29)
    assert any(isinstance(row, Rejected) and reason in row.reason for row in found)


@pytest.mark.parametrize("answer", [[], {"prompt_eval_count": "x"}])
def test_an_answer_of_another_form_is_no_row(answer: object, monkeypatch: pytest.MonkeyPatch) -> None:
    with ollama(monkeypatch, answer) as server:
        try:
            found = server.request(16, 29)
        except RequestFailure as failure:
            assert failure.reason is FailureReason.SERVER_ERROR
        else:
            assert found and all(isinstance(row, Rejected) for row in found)


def test_prompts_differ_from_the_first_word_and_follow_the_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    with ollama(monkeypatch, {**ANSWER, "prompt_eval_count": 32}) as server:
        first = server._prompt(16)
        server.request(16, 29)  # 32 tokens for 16 words
        second = server._prompt(16)
    assert first.split()[0] != second.split()[0]
    assert (len(first.split()), len(second.split())) == (16, 8)


@pytest.mark.parametrize("name", ["qwen2.5:7b", "https://127.0.0.1:1", "ollama://", "http://example.org"])
def test_other_names_are_no_running_servers(name: str) -> None:
    with pytest.raises(InputError):
        server_of(name)
