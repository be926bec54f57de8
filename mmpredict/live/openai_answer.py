"""Reading streamed answers of OpenAI's protocol line by line.

Sources: https://platform.openai.com/docs/api-reference (``stream_options.include_usage``); llama.cpp, which adds ``timings``
(``tools/server/server-task.cpp``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mmpredict.live.answer import SECONDS_PER_MS, Completion, event_of, usable_number
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.live.reading import Reading

END = b"[DONE]"
_TEXT_FIELDS = ("reasoning_content", "reasoning", "content")
_FIELDS_WITHOUT_DATA = (b"event:", b"id:", b"retry:")


def openai_answer(
    sent_s: float, output_tokens: int, on_token: Callable[[float], None] | None = None, reuse: bool = False
) -> Reading:
    """Read a streamed answer of ``/v1/completions`` or ``/v1/chat/completions``.

    Args:
        sent_s: when the request was sent [s].
        output_tokens: the number of tokens asked for.
        on_token: called with the arrival [s] of each event that carries text.
        reuse: whether the prompt may have been in a cache, and the texts are asked for.
    """
    answer = _Answer()
    while (arrival := (yield)) is not None:
        now_s, line = arrival
        if line.removeprefix(b"data:").strip() == END:
            break
        event = None if line.startswith(_FIELDS_WITHOUT_DATA) else event_of(line)
        if event is None:
            continue
        answer.end_s = now_s
        text = answer.take(event)
        if text:
            answer.times.append(now_s)
            if len(answer.times) > output_tokens:
                raise RequestFailure(FailureReason.SERVER_ERROR, f"the server sent more than the {output_tokens} tokens asked for")
            if reuse:
                answer.texts.append(text)
            if on_token is not None:
                on_token(now_s)
    if not answer.finish:
        raise RequestFailure(FailureReason.SERVER_ERROR, "the answer ended without saying why")
    return answer.completion(sent_s, output_tokens, reuse)


@dataclass(slots=True)
class _Answer:
    """What has come so far."""

    times: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, Any] = field(default_factory=dict)
    finish: str = ""
    end_s: float = math.nan

    def take(self, event: dict[str, Any]) -> str:
        """Note what an event says, and return the text that it carries."""
        self.usage = _object(event, "usage") or self.usage
        self.timings = _object(event, "timings") or self.timings
        choices = event.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        finish = choice.get("finish_reason")
        self.finish = finish if isinstance(finish, str) else self.finish
        if isinstance(text := choice.get("text"), str):
            return text
        delta = _object(choice, "delta")
        return "".join(text for name in _TEXT_FIELDS if isinstance(text := delta.get(name), str))

    def completion(self, sent_s: float, asked: int, reuse: bool) -> Completion:
        """The whole answer."""
        told = _first(self.usage.get("completion_tokens"), self.timings.get("predicted_n"))
        output_tokens = len(self.times) if math.isnan(told) else int(told)
        if not output_tokens:
            raise RequestFailure(FailureReason.SERVER_ERROR, "the answer holds no token")
        arrivals = self.times if len(self.times) >= output_tokens else [*self.times, self.end_s]
        cached = _first(_object(self.usage, "prompt_tokens_details").get("cached_tokens"), self.timings.get("cache_n"))
        unknown = -1 if reuse else 0  # nothing is in a cache of a prompt that is no other's
        evaluated = _first(self.timings.get("prompt_n")) + _first(self.timings.get("cache_n"))
        prompt_tokens = _first(self.usage.get("prompt_tokens"), evaluated)
        return Completion(
            sent_s=sent_s,
            first_token_s=arrivals[0],
            last_token_s=arrivals[-1],
            token_times_s=tuple(self.times),
            output_tokens=output_tokens,
            prompt_tokens=-1 if math.isnan(prompt_tokens) else int(prompt_tokens),
            cached_tokens=unknown if math.isnan(cached) else int(cached),
            prompt_s=_first(self.timings.get("prompt_ms")) * SECONDS_PER_MS,
            generation_s=_first(self.timings.get("predicted_ms")) * SECONDS_PER_MS,
            slot=-1,
            truncated=output_tokens < asked and self.finish == "length",
            texts=tuple(self.texts),
        )


def _object(place: dict[str, Any], name: str) -> dict[str, Any]:
    value = place.get(name)
    return value if isinstance(value, dict) else {}


def _first(*values: object) -> float:
    """The first that is a number a server can mean; ``nan`` if none is."""
    return next((number for value in values if (number := usable_number(value)) is not None), math.nan)
