"""Reading Ollama's streamed answers (NDJSON) line by line.

Fields and units: Ollama ``api/types.go`` and ``server/routes.go``; durations are in nanoseconds, and what is zero is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from mmpredict.live.answer import HTTP_INTERNAL_ERROR, Completion, json_object, reported, usable_number
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.live.reading import Reading

SECONDS_PER_NS = 1e-9
TOLD = ("prompt_eval_count", "eval_count", "prompt_eval_duration", "eval_duration", "load_duration")
REPEATS_UNTIL_CUT = 30
"""Ollama ends an answer, without a last line, once so many tokens in a row repeated the one before (``llm/llama_server.go``)."""


def ollama_answer(
    sent_s: float, output_tokens: int, on_token: Callable[[float], None] | None = None, reuse: bool = False
) -> Reading:
    """Read a streamed answer of ``/api/generate`` or ``/api/chat``.

    A token counts from its text on: Ollama's last line, and the lines of a token whose text is not yet complete, carry none. What
    a model thinks is text too.

    Args:
        sent_s: when the request was sent [s].
        output_tokens: the number of tokens asked for.
        on_token: called with the arrival [s] of each line that carries text.
        reuse: whether the prompt may have been in a cache, which Ollama does not tell, and the texts are asked for.
    """
    times: list[float] = []
    texts: list[str] = []
    last, repeats, now_s = "", 0, sent_s
    while (arrival := (yield)) is not None:
        now_s, line = arrival
        if not line.strip():
            continue
        event = _event(line)
        text = _text(event)
        if text:
            times.append(now_s)
            repeats = repeats + 1 if text.strip() == last else 0
            last = text.strip()
            if len(times) > output_tokens:
                raise RequestFailure(FailureReason.SERVER_ERROR, f"the server sent more than the {output_tokens} tokens asked for")
            if reuse:
                texts.append(text)
            if on_token is not None:
                on_token(now_s)
        if event.get("done") is True:
            return _completion(event, sent_s, now_s, times, texts, output_tokens, reuse)
    if repeats >= REPEATS_UNTIL_CUT:
        return _completion({}, sent_s, now_s, times, texts, output_tokens, reuse)
    raise RequestFailure(FailureReason.SERVER_ERROR, "the answer ended without its last line")


def _event(line: bytes) -> dict[str, Any]:
    event = json_object(line)
    if event is None:
        raise RequestFailure(FailureReason.SERVER_ERROR, f"not an event: {line[:200].decode(errors='replace')}")
    if "error" in event:
        raise reported(event["error"], HTTP_INTERNAL_ERROR, line)
    return event


def _text(event: dict[str, Any]) -> str:
    message = event.get("message")
    places = message if isinstance(message, dict) else event
    names = ("thinking", "content") if places is message else ("thinking", "response")
    return "".join(text for name in names if isinstance(text := places.get(name), str))


def _completion(
    event: dict[str, Any], sent_s: float, now_s: float, times: list[float], texts: list[str], asked: int, reuse: bool
) -> Completion:
    told = {name: _number(event, name) for name in TOLD}
    output_tokens = len(times) if math.isnan(told["eval_count"]) else int(told["eval_count"])
    if not output_tokens:
        raise RequestFailure(FailureReason.SERVER_ERROR, "the answer holds no token")
    # The token that ends an answer, and those whose text never became complete, have no line of their own.
    arrivals = times if len(times) >= output_tokens else [*times, now_s]
    ended_itself = event.get("done_reason") == "stop"
    return Completion(
        sent_s=sent_s,
        first_token_s=arrivals[0],
        last_token_s=arrivals[-1],
        token_times_s=tuple(times),
        output_tokens=output_tokens,
        prompt_tokens=-1 if math.isnan(told["prompt_eval_count"]) else int(told["prompt_eval_count"]),
        cached_tokens=-1 if reuse else 0,
        prompt_s=told["prompt_eval_duration"] * SECONDS_PER_NS,
        generation_s=told["eval_duration"] * SECONDS_PER_NS,
        slot=-1,
        truncated=output_tokens < asked and not ended_itself,
        texts=tuple(texts),
        load_s=0.0 if math.isnan(told["load_duration"]) else told["load_duration"] * SECONDS_PER_NS,
    )


def _number(event: dict[str, Any], name: str) -> float:
    """A count or a duration; ``nan`` if it is left out.

    Raises:
        RequestFailure: it is something else.
    """
    if name not in event:
        return math.nan
    value = usable_number(event[name])
    if value is None:
        raise RequestFailure(FailureReason.SERVER_ERROR, f"the answer's {name} cannot be used")
    return value
