"""Reading Ollama's answers: the real program's lines, however they are cut, and bytes of any kind."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from arriving import arrived
from hypothesis import given, settings
from hypothesis import strategies as st
from test_answer import json_values

from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.live.ollama_answer import REPEATS_UNTIL_CUT, ollama_answer

CREATED = {"model": "qwen2.5:0.5b", "created_at": "2026-08-21T18:48:22.123456789Z"}
FIRST = {**CREATED, "response": "", "done": False}  # the first line of a runner that sends one before its first token
TOKENS = [{**CREATED, "response": text, "done": False} for text in (" a", " b", " c")]
# Field by field as server/routes.go writes it.
LAST: dict[str, Any] = {
    **CREATED,
    "response": "",
    "done": True,
    "done_reason": "length",
    "total_duration": 4_935_886_791,
    "load_duration": 534_986_708,
    "prompt_eval_count": 26,
    "prompt_eval_duration": 107_345_000,
    "eval_count": 3,
    "eval_duration": 237_432_000,
}


def lines(*events: object) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


WHOLE = lines(FIRST, *TOKENS, LAST)


@given(st.lists(st.integers(0, len(WHOLE)), max_size=20))
def test_the_cuts_between_chunks_do_not_matter(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WHOLE)]
    seen: list[float] = []
    done = arrived(ollama_answer(0.0, 3, seen.append), [WHOLE[a:b] for a, b in pairwise(edges)])
    assert (done.prompt_tokens, done.output_tokens, done.cached_tokens, done.slot) == (26, 3, 0, -1)
    assert (done.prompt_s, done.generation_s) == (pytest.approx(0.107345), pytest.approx(0.237432))
    assert (done.truncated, done.load_s) == (False, pytest.approx(0.534986708))
    assert list(done.token_times_s) == seen and len(seen) == 3
    assert (done.first_token_s, done.last_token_s) == (seen[0], seen[-1])


def test_thoughts_and_messages_are_tokens_and_empty_lines_are_none() -> None:
    thinking = {**CREATED, "message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": False}
    said = {**CREATED, "message": {"role": "assistant", "content": "yes"}, "done": False}
    empty = {**CREATED, "message": {"role": "assistant", "content": ""}, "done": False}
    end = {**LAST, "message": {"role": "assistant", "content": ""}, "eval_count": 2}
    done = arrived(ollama_answer(0.0, 2, reuse=True), [lines(empty), lines(thinking), lines(empty), lines(said), lines(end)])
    assert (done.texts, len(done.token_times_s), done.cached_tokens) == (("hm", "yes"), 2, -1)


def test_an_answer_that_the_model_ended_is_short_and_not_truncated() -> None:
    end = {**LAST, "done_reason": "stop", "eval_count": 4}
    done = arrived(ollama_answer(0.0, 100), [lines(*TOKENS), lines(end)])
    assert (done.output_tokens, done.truncated, len(done.token_times_s)) == (4, False, 3)
    assert done.last_token_s > done.token_times_s[-1]  # the token of the end has no text


def test_an_answer_that_filled_the_context_is_truncated() -> None:
    assert arrived(ollama_answer(0.0, 100), [lines(*TOKENS, LAST)]).truncated


def test_what_is_zero_is_left_out() -> None:
    bare = {key: value for key, value in LAST.items() if not key.startswith("prompt_")}
    done = arrived(ollama_answer(0.0, 3), [lines(*TOKENS, bare)])
    assert done.prompt_tokens == -1
    assert math.isnan(done.prompt_s)


def test_an_answer_that_repeats_itself_is_cut_off_by_ollama() -> None:
    same = {**CREATED, "response": " x", "done": False}
    done = arrived(ollama_answer(0.0, 100), [lines(*[same] * (REPEATS_UNTIL_CUT + 1))])
    assert (done.output_tokens, done.truncated, done.prompt_tokens) == (REPEATS_UNTIL_CUT + 1, True, -1)
    with pytest.raises(RequestFailure, match="without its last line"):
        arrived(ollama_answer(0.0, 100), [lines(*[same] * REPEATS_UNTIL_CUT)])


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("llama-server process has terminated: cudaMalloc failed: out of memory", FailureReason.OUT_OF_MEMORY),
        ("model requires more system memory (9.3 GiB) than is available (5.1 GiB)", FailureReason.OUT_OF_MEMORY),
        ("an error was encountered while running the model: unexpected EOF", FailureReason.SERVER_DIED),
        ({"odd": 1}, FailureReason.SERVER_ERROR),
    ],
)
def test_an_error_amid_the_stream_is_classified(error: object, reason: FailureReason) -> None:
    with pytest.raises(RequestFailure) as caught:
        arrived(ollama_answer(0.0, 3), [lines(TOKENS[0]), lines({"error": error})])
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        ([WHOLE], "more than the 2 tokens"),
        ([lines(LAST | {"eval_count": 0})], "no token"),
        ([b"data: {}\n"], "not an event"),
        ([b"x" * (1024 * 1024 + 1)], "a line of more than"),
        ([lines(TOKENS[0], LAST | {"eval_duration": float("nan")})], "eval_duration cannot be used"),
    ],
)
def test_what_is_no_answer_fails(chunks: list[bytes], words: str) -> None:
    with pytest.raises(RequestFailure, match=words):
        arrived(ollama_answer(0.0, 2), chunks)


@settings(max_examples=150)
@given(st.data())
def test_nothing_but_a_failure_comes_out_of_odd_lines(data: st.DataObject) -> None:
    events = [dict(event) for event in (*TOKENS, LAST)]
    victim = data.draw(st.sampled_from(events))
    victim[data.draw(st.sampled_from([*victim, "error", "message"]))] = data.draw(json_values)
    with suppress(RequestFailure):
        arrived(ollama_answer(0.0, 3, reuse=True), [lines(event) for event in events])


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"\n", b'{"done":true}\n', b'{"response":"x"}\n', b"[" * 100_000])))
def test_nothing_but_a_failure_comes_out_of_odd_bytes(chunks: list[bytes]) -> None:
    with suppress(RequestFailure):
        arrived(ollama_answer(0.0, 2), chunks)
