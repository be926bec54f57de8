"""llama-server's ``timings`` object, alone or inside an answer (``tools/server/server-task.cpp``).

The first generated token comes from the prompt's last batch, so ``predicted_ms`` is the time of one token less than
``predicted_n``. The printed rate divides by the number of tokens in older builds and by one less in newer ones; here it is
always one less.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmpredict.calibrate.importers import fields as read
from mmpredict.calibrate.importers.fields import Fields
from mmpredict.calibrate.importers.llama_bench import ENGINE
from mmpredict.calibrate.importers.objects import objects
from mmpredict.calibrate.importers.row import BenchRow, Found, Rejected, RowError

RELATIVE_TOLERANCE = 0.01
PRINTED_STEP = 0.0051
"""Half of the last digit of a time or a rate in the log, and a little."""

SPECULATIVE = "the tokens were drafted: a step gave more than one, so this is no speed of decoding"
SHARED_STEPS = "other requests ran in the same steps"


def read_timings(text: str, file: str) -> Iterator[Found]:
    """Rows of answers of llama-server, one JSON object after another; parts of a stream before its end have no timings."""
    for item in objects(text):
        if isinstance(item, Rejected):
            yield item
            continue
        line, answer = item
        timings = answer.get("timings", answer)
        if isinstance(timings, dict) and ("predicted_ms" in timings or "prompt_ms" in timings):
            yield from _rows(answer, timings, file, line)
        elif "timings" in answer or not ("choices" in answer or "content" in answer):
            yield Rejected(line, "it has no timings with prompt_ms or predicted_ms")


def generation_speed(n_gen: int, duration_ms: float, printed_per_s: float | None) -> float:
    """Steps per second of one sequence [tokens/s].

    Raises:
        RowError: a single token takes no step, or the printed rate belongs to other numbers.
    """
    require_steps(n_gen)
    if printed_per_s is not None and not any(_agree(tokens, duration_ms, printed_per_s) for tokens in (n_gen - 1, n_gen)):
        raise RowError(f"generation: {n_gen} tokens in {duration_ms:g} ms are not {printed_per_s:g} tokens/s")
    return within_bounds((n_gen - 1) / (duration_ms / 1e3))


def prompt_speed(n_prompt: int, duration_ms: float, printed_per_s: float | None) -> float:
    """Evaluated prompt tokens per second [tokens/s].

    Raises:
        RowError: nothing was evaluated, or the printed rate belongs to other numbers.
    """
    if n_prompt < 1:
        raise RowError("no token of the prompt was evaluated")
    if printed_per_s is not None and not _agree(n_prompt, duration_ms, printed_per_s):
        raise RowError(f"prompt: {n_prompt} tokens in {duration_ms:g} ms are not {printed_per_s:g} tokens/s")
    return within_bounds(n_prompt / (duration_ms / 1e3))


def require_steps(n_gen: int) -> None:
    """Nothing, if any step was timed.

    Raises:
        RowError: a single token takes no step.
    """
    if n_gen < 2:
        raise RowError(f"{n_gen} generated token(s): the first comes from the prompt, so no step was timed")


def within_bounds(tokens_per_s: float) -> float:
    """The same speed.

    Raises:
        RowError: no machine is that fast.
    """
    if tokens_per_s > read.MAX_RATE:
        raise RowError(f"{tokens_per_s:g} tokens/s is more than any machine gives")
    return tokens_per_s


def _agree(tokens: int, duration_ms: float, per_s: float) -> bool:
    slack = RELATIVE_TOLERANCE * tokens + PRINTED_STEP * (per_s + duration_ms) / 1e3
    return abs(per_s * duration_ms / 1e3 - tokens) <= slack


def _rows(answer: Fields, timings: Fields, file: str, line: int) -> Iterator[Found]:
    try:
        known: dict[str, Any] = {"file": file, "line": line, "engine": ENGINE, "served": True}
        known["model"] = read.text(answer, "model")
        known["file_type"] = read.type_of(known["model"])
        cached = read.whole(timings, "cache_n")
        n_prompt, n_gen = read.needed_whole(timings, "prompt_n"), read.whole(timings, "predicted_n") or 0
        drafted = read.whole(timings, "draft_n") or 0
    except RowError as error:
        yield Rejected(line, str(error))
        return
    if n_prompt:
        try:
            duration_ms = read.needed_real(timings, "prompt_ms", high=read.MAX_DURATION_S * 1e3)
            speed = prompt_speed(n_prompt, duration_ms, read.real(timings, "prompt_per_second", zero=True))
            yield BenchRow(test="pp", tokens_per_s=speed, n_prompt=n_prompt, n_gen=0, depth=cached, **known)
        except RowError as error:
            yield Rejected(line, str(error))
    if n_gen:
        try:
            if drafted:
                raise RowError(SPECULATIVE)
            duration_ms = read.needed_real(timings, "predicted_ms", high=read.MAX_DURATION_S * 1e3)
            speed = generation_speed(n_gen, duration_ms, read.real(timings, "predicted_per_second", zero=True))
            depth = None if cached is None else cached + n_prompt
            yield BenchRow(test="tg", tokens_per_s=speed, n_prompt=0, n_gen=n_gen, depth=depth, **known)
        except RowError as error:
            yield Rejected(line, str(error))
