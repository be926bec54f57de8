"""What an answer comes to, and reading llama-server's line by line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mmpredict.live.failure import FailureReason, RequestFailure, tells_of_death, tells_of_memory
from mmpredict.live.reading import Reading

MAX_TIMING = 1e15  # far beyond any count or duration; keeps absurd numbers out
SECONDS_PER_MS = 1e-3
TIMING_FIELDS = ("prompt_n", "cache_n", "predicted_n", "prompt_ms", "predicted_ms")

HTTP_TOO_MANY_REQUESTS = 429
HTTP_INTERNAL_ERROR = 500
HTTP_UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class Completion:
    """One finished request. Clock values are ``time.perf_counter()`` of this process.

    Attributes:
        sent_s: when the request was about to be sent [s].
        first_token_s, last_token_s: when the first and the last token arrived [s].
        token_times_s: arrival of every event that carried tokens [s]; fewer than ``output_tokens`` where the server held
            back a token whose text was not yet complete UTF-8.
        output_tokens: tokens generated; fewer than asked for if ``truncated``, or if the model ended its answer itself.
        prompt_tokens: tokens of the whole prompt, -1 if the server does not say.
        cached_tokens: those of them that were not computed again, -1 if the server does not say.
        prompt_s, generation_s: the server's own measure of both phases, ``nan`` if it has none; the first token belongs to the
            prompt phase [s].
        slot: the server's slot that did the work, -1 if it does not say.
        truncated: the context was full before all tokens were generated, or the server cut the answer off.
        tokens: numbers of the tokens generated, where the server was asked for them.
        texts: the text of every event that carried tokens, where tokens have no numbers and the server was asked for them.
        load_s: that the request waited for its model to be loaded, by the server's own account; 0 if it does not say [s].
    """

    sent_s: float
    first_token_s: float
    last_token_s: float
    token_times_s: tuple[float, ...]
    output_tokens: int
    prompt_tokens: int
    cached_tokens: int
    prompt_s: float
    generation_s: float
    slot: int
    truncated: bool
    tokens: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()
    load_s: float = 0.0


def llama_answer(sent_s: float, output_tokens: int, on_token: Callable[[float], None] | None = None) -> Reading:
    """Read a streamed ``/completion`` answer.

    Args:
        sent_s: when the request was sent [s].
        output_tokens: the number of tokens asked for.
        on_token: called with the arrival [s] of each event that carries tokens.
    """
    times: list[float] = []
    tokens: list[int] = []
    counted = 0
    while (arrival := (yield)) is not None:
        now_s, line = arrival
        event = event_of(line)
        if event is None:
            continue
        if event.get("stop") is True:
            return _completion(event, sent_s, now_s, times, counted, tokens)
        # A progress event comes with "tokens": [0] although none has been generated.
        if event.get("content") or (event.get("tokens") and event.get("tokens_predicted") != 0):
            times.append(now_s)
            told = event.get("tokens")
            tokens += [token for token in told if type(token) is int] if isinstance(told, list) else []
            counted = event["tokens_predicted"] if type(event.get("tokens_predicted")) is int else len(times)
            if max(counted, len(times)) > output_tokens:
                raise RequestFailure(FailureReason.SERVER_ERROR, f"the server sent more than the {output_tokens} tokens asked for")
            if on_token is not None:
                on_token(now_s)
    raise RequestFailure(FailureReason.SERVER_ERROR, "the answer ended without its timings")


def rejection(status: int, body: bytes) -> RequestFailure:
    """The failure that an HTTP status other than 200 stands for; ``body`` is what came with it."""
    answer = json_object(body)
    return reported(None if answer is None else answer.get("error"), status, body)


def reported(error: Any, status: int, raw: bytes) -> RequestFailure:
    """The failure that the server reports; a code within its report overrides the HTTP status."""
    message = error
    if isinstance(error, dict):
        status = error["code"] if type(error.get("code")) is int else status
        message = error.get("message")
    text = message if isinstance(message, str) else raw.decode(errors="replace")
    inner = json_object(text) if message is text else None
    if inner is not None and "error" in inner:  # Ollama passes its runner's whole report on as text
        return reported(inner["error"], status, text.encode(errors="replace"))
    reason = FailureReason.SERVER_ERROR
    if tells_of_memory(text):
        reason = FailureReason.OUT_OF_MEMORY
    elif tells_of_death(text):
        reason = FailureReason.SERVER_DIED
    elif status == HTTP_UNAVAILABLE and "loading model" in text.lower():
        reason = FailureReason.REFUSED
    elif status in (HTTP_TOO_MANY_REQUESTS, HTTP_UNAVAILABLE):
        reason = FailureReason.QUEUE_FULL
    elif 400 <= status < HTTP_INTERNAL_ERROR:
        reason = FailureReason.BAD_REQUEST
    return RequestFailure(reason, text or f"HTTP status {status}")


def event_of(line: bytes) -> dict[str, Any] | None:
    """The object that a line carries; ``None`` for an empty line and for a comment, such as llama-server's ping."""
    name, _, text = line.partition(b":")
    event = json_object(text) if name in (b"data", b"error") else None
    if event is None and (line.startswith(b":") or not line.strip()):
        return None
    if event is None:
        raise RequestFailure(FailureReason.SERVER_ERROR, f"not an event: {line[:200].decode(errors='replace')}")
    if "error" in event or name == b"error":
        raise reported(event.get("error"), HTTP_INTERNAL_ERROR, text)
    return event


def json_object(text: bytes | str) -> dict[str, Any] | None:
    """The JSON object that ``text`` is; ``None`` if it is something else."""
    try:  # bytes would be searched for their encoding first, which takes a third of the time
        value = json.loads(text if isinstance(text, str) else text.decode(errors="surrogatepass"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def usable_number(value: object) -> float | None:
    """``value`` if it can be a count or a duration."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < MAX_TIMING else None


def _completion(
    event: dict[str, Any], sent_s: float, now_s: float, times: list[float], counted: int, tokens: list[int]
) -> Completion:
    timings = event.get("timings")
    numbers: dict[str, float] = {}
    for key in TIMING_FIELDS:
        value = usable_number(timings.get(key)) if isinstance(timings, dict) else None
        if value is None:
            raise RequestFailure(FailureReason.SERVER_ERROR, f"the server's timings lack a usable {key}")
        numbers[key] = value
    output_tokens, cached_tokens = int(numbers["predicted_n"]), int(numbers["cache_n"])
    # Tokens whose text never became complete have no event of their own; they came no later than the last event.
    arrivals = times if times and counted >= output_tokens else [*times, now_s]
    slot = event.get("id_slot")
    return Completion(
        sent_s=sent_s,
        first_token_s=arrivals[0],
        last_token_s=arrivals[-1],
        token_times_s=tuple(times),
        output_tokens=output_tokens,
        prompt_tokens=int(numbers["prompt_n"]) + cached_tokens,
        cached_tokens=cached_tokens,
        prompt_s=numbers["prompt_ms"] * SECONDS_PER_MS,
        generation_s=numbers["predicted_ms"] * SECONDS_PER_MS,
        slot=slot if type(slot) is int else -1,
        truncated=event.get("truncated") is True,
        tokens=tuple(tokens),
    )
