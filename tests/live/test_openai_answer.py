"""Reading answers of OpenAI's protocol: llama.cpp's own bytes, other servers' forms, and bytes of any kind."""

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
from mmpredict.live.openai_answer import openai_answer

# Recorded from xllamacpp 2026.10.11549, /v1/completions, 3 prompt tokens, 2 output tokens; ids cut short.
RECORDED = (
    b'data: {"choices":[{"text":"t36e8","index":0,"logprobs":null,"finish_reason":null}],"created":1795765422,"model":"m",'
    b'"system_fingerprint":"b0-unknown","object":"text_completion","id":"c"}\n\n'
    b'data: {"choices":[{"text":"t116f","index":0,"logprobs":null,"finish_reason":null}],"created":1795765422,"model":"m",'
    b'"system_fingerprint":"b0-unknown","object":"text_completion","id":"c"}\n\n'
    b'data: {"choices":[{"text":"","index":0,"logprobs":null,"finish_reason":"length"}],"created":1795765422,"model":"m",'
    b'"system_fingerprint":"b0-unknown","object":"text_completion","usage":{"completion_tokens":2,"prompt_tokens":3,'
    b'"total_tokens":5,"prompt_tokens_details":{"cached_tokens":0}},"id":"c","timings":{"cache_n":0,"prompt_n":3,'
    b'"prompt_ms":14.272,"predicted_n":2,"predicted_ms":14.264}}\n\n'
    b"data: [DONE]\n\n"
)


def stream(*events: object) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def chat(finish: str | None = None, **delta: object) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


@given(st.lists(st.integers(0, len(RECORDED)), max_size=20))
def test_the_cuts_between_chunks_do_not_matter(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(RECORDED)]
    done = arrived(openai_answer(0.0, 2), [RECORDED[a:b] for a, b in pairwise(edges)])
    assert (done.prompt_tokens, done.cached_tokens, done.output_tokens, done.slot) == (3, 0, 2, -1)
    assert (done.prompt_s, done.generation_s) == (pytest.approx(0.014272), pytest.approx(0.014264))
    assert len(done.token_times_s) == 2


def test_vllm_sends_a_role_first_and_the_usage_alone() -> None:
    answer = stream(
        chat(role="assistant", content=""),
        chat(reasoning_content="hm"),
        chat(content="yes"),
        chat(finish="length"),
        {"choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": 2, "total_tokens": 32}},
    )
    done = arrived(openai_answer(0.0, 2, reuse=True), [b": ping\n\n", b"event: x\nid: 1\n", answer, b"data: [DONE]\n\n"])
    assert (done.prompt_tokens, done.output_tokens, done.cached_tokens, done.texts) == (30, 2, -1, ("hm", "yes"))
    assert math.isnan(done.prompt_s) and math.isnan(done.generation_s)


def test_a_server_that_tells_no_usage_is_counted() -> None:
    done = arrived(openai_answer(0.0, 9), [stream(chat(content="a"), chat(content="b"), chat(finish="stop"))])
    assert (done.output_tokens, done.prompt_tokens, done.truncated) == (2, -1, False)


def test_a_full_context_truncates() -> None:
    assert arrived(openai_answer(0.0, 9), [stream(chat(content="a"), chat(finish="length"))]).truncated


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        ([stream(chat(content="a"), {"error": {"message": "CUDA out of memory.", "code": 500}})], FailureReason.OUT_OF_MEMORY),
        ([stream({"error": {"message": "too long", "type": "BadRequestError", "code": 400}})], FailureReason.BAD_REQUEST),
        ([stream(chat(content="a"))], FailureReason.SERVER_ERROR),
        ([stream(chat(content="a"), chat(content="b"), chat(content="c"))], FailureReason.SERVER_ERROR),
        ([stream(chat(finish="stop"))], FailureReason.SERVER_ERROR),
        ([b"<html>\n"], FailureReason.SERVER_ERROR),
        ([b"data: " + b"x" * (1024 * 1024 + 1)], FailureReason.SERVER_ERROR),
    ],
)
def test_what_is_no_answer_fails(chunks: list[bytes], reason: FailureReason) -> None:
    with pytest.raises(RequestFailure) as caught:
        arrived(openai_answer(0.0, 2), chunks)
    assert caught.value.reason is reason


@settings(max_examples=150)
@given(st.data())
def test_nothing_but_a_failure_comes_out_of_odd_events(data: st.DataObject) -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 0}}}
    events: list[dict[str, Any]] = [chat(content="a"), chat(finish="length"), usage]
    victim = data.draw(st.sampled_from([*events, events[0]["choices"][0], usage["usage"]]))
    victim[data.draw(st.sampled_from([*victim, "error", "timings", "delta"]))] = data.draw(json_values)
    with suppress(RequestFailure):
        arrived(openai_answer(0.0, 2, reuse=True), [stream(*events)])


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"\n", b"data: ", b"[DONE]\n", b'{"choices":[{}]}\n', b"[" * 100_000])))
def test_nothing_but_a_failure_comes_out_of_odd_bytes(chunks: list[bytes]) -> None:
    with suppress(RequestFailure):
        arrived(openai_answer(0.0, 2), chunks)
