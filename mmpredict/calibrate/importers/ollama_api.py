"""Last answers of Ollama's ``/api/generate`` and ``/api/chat``: durations in nanoseconds, fields that are zero left out.

``prompt_eval_count`` includes tokens that were in the cache already, ``prompt_eval_duration`` does not, and nothing tells how many
there were: a prompt row therefore carries a doubt. ``eval_duration`` times one token less than ``eval_count``.
Source: ``api/types.go`` (Metrics) and ``llm/llama_server.go`` of github.com/ollama/ollama.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmpredict.calibrate.importers import fields as read
from mmpredict.calibrate.importers.fields import Fields
from mmpredict.calibrate.importers.objects import objects
from mmpredict.calibrate.importers.row import BenchRow, Found, Rejected, RowError
from mmpredict.calibrate.importers.server_timings import generation_speed, prompt_speed

ENGINE = "ollama"
CACHE_DOUBT = "the prompt's tokens may include cached ones that were not evaluated"
_LOAD_ONLY = ("load", "unload")


def read_answers(text: str, file: str) -> Iterator[Found]:
    """Rows of answers, one JSON object after another; parts of a stream before its end, and mere loads, are passed over."""
    for item in objects(text):
        if isinstance(item, Rejected):
            yield item
            continue
        line, answer = item
        if answer.get("done") is False or answer.get("done_reason") in _LOAD_ONLY:
            continue
        try:
            model, measured_on = read.text(answer, "model"), read.date(answer, "created_at")
        except RowError as error:
            yield Rejected(line, str(error))
            continue
        yield from answer_rows(answer, file, line, {"model": model, "date": measured_on})


def answer_rows(answer: Fields, file: str, line: int, known: dict[str, Any]) -> Iterator[Found]:
    """Rows of one answer.

    Args:
        answer: ``prompt_eval_count``, ``prompt_eval_duration`` [ns], ``eval_count``, ``eval_duration`` [ns].
        file, line: where it stands.
        known: other fields of the rows.
    """
    if "eval_duration" not in answer and "prompt_eval_duration" not in answer:
        yield Rejected(line, "it has neither prompt_eval_duration nor eval_duration")
        return
    origin: dict[str, Any] = {"file": file, "line": line, "engine": ENGINE, "served": True, **known}
    for phase in (_prompt, _generation):
        try:
            row = phase(answer, origin)
        except RowError as error:
            yield Rejected(line, str(error))
        else:
            if row is not None:
                yield row


def _prompt(answer: Fields, origin: dict[str, Any]) -> BenchRow | None:
    tokens = read.whole(answer, "prompt_eval_count")
    duration_ns = read.real(answer, "prompt_eval_duration", high=read.MAX_DURATION_S * 1e9, zero=True)
    if not tokens or not duration_ns:  # zeros are left out
        return None
    speed = prompt_speed(tokens, duration_ns / 1e6, read.real(answer, "prompt_eval_rate"))
    return BenchRow(test="pp", tokens_per_s=speed, n_prompt=tokens, n_gen=0, doubt=CACHE_DOUBT, **origin)


def _generation(answer: Fields, origin: dict[str, Any]) -> BenchRow | None:
    tokens = read.whole(answer, "eval_count")
    duration_ns = read.real(answer, "eval_duration", high=read.MAX_DURATION_S * 1e9, zero=True)
    if not tokens and not duration_ns:
        return None
    if not tokens or not duration_ns:
        raise RowError("it has only one of eval_count and eval_duration")
    speed = generation_speed(tokens, duration_ns / 1e6, read.real(answer, "eval_rate"))
    depth = read.whole(answer, "prompt_eval_count")
    return BenchRow(test="tg", tokens_per_s=speed, n_prompt=0, n_gen=tokens, depth=depth, **origin)
