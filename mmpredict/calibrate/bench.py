"""Measuring one running server: prefills, decode steps, steady speeds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

from mmpredict.live.answer import Completion
from mmpredict.live.client import CompletionClient, unique_prompt
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.live.server_process import ending_servers

REQUEST_TIMEOUT_S = 300.0
SHORT_PROMPT_TOKENS = 8
ENDLESS_TOKENS = 3000
STEADY_PROMPT_TOKENS = 64

Phase = Literal["prefill", "decode"]


@dataclass(frozen=True, slots=True)
class DecodeRun:
    """Decode steps of concurrent sequences.

    Attributes:
        duration_s: of the steps observed [s].
        steps: how many were observed while all sequences decoded [1].
        depth: of each sequence before the first of them [tokens].
        prompt_s: the server's time for the first sequence's prompt [s].
        prompt_masked: cells of other sequences that this prompt passed over, where it was alone [tokens].
        masked: cells of other sequences that a decoded token passed over, on average [tokens].
    """

    duration_s: float
    steps: int
    depth: float
    prompt_s: float
    prompt_masked: float
    masked: float


class Bench:
    """One server under measurement.

    Args:
        url: its address.
        vocabulary: of its model [1].
        seed: of its prompts; every prompt is another.
    """

    def __init__(self, url: str, vocabulary: int, seed: int = 0) -> None:
        self._client = CompletionClient(url)
        self._vocabulary = vocabulary
        self._seed = seed
        self._lock = threading.Lock()
        self._held: dict[int, int] = {}  # slot → cells that it holds: those of its last request, until its next one

    def close(self) -> None:
        """Give the connections up."""
        self._client.close()

    def prefill(self, tokens: int) -> Completion:
        """One prompt of ``tokens`` and its first output token."""
        return self.complete(tokens, 1)

    def complete(self, prompt_tokens: int, output_tokens: int) -> Completion:
        """One request alone."""
        answer = self._client.stream(self._prompt(prompt_tokens), output_tokens, REQUEST_TIMEOUT_S)
        self._hold([answer])
        return answer

    def masked_cells(self, *answers: Completion) -> int:
        """Cells that slots hold beside those of the last requests ``answers`` [tokens]."""
        return sum(cells for slot, cells in self._held.items() if slot not in {answer.slot for answer in answers})

    def _hold(self, answers: Sequence[Completion]) -> None:
        for answer in answers:
            self._held[answer.slot] = answer.prompt_tokens + answer.output_tokens - 1

    def embed(self, tokens: int) -> float:
        """Time in which a text of ``tokens`` is embedded, request and answer included [s]."""
        body: dict[str, object] = {"content": self._prompt(tokens)}
        begin_s = perf_counter()
        self._client.ask("/embedding", body, REQUEST_TIMEOUT_S)
        return perf_counter() - begin_s

    def decode(self, sequences: int, prompt_tokens: int, steps: int) -> DecodeRun:
        """Concurrent generations, observed while all of them decode."""
        lead = 2 * sequences  # steps in which the last prompts may still be under way
        prompts = [self._prompt(prompt_tokens) for _ in range(sequences)]
        with ThreadPoolExecutor(sequences) as pool, ending_servers():
            answers = list(pool.map(lambda prompt: self._client.stream(prompt, steps + lead, REQUEST_TIMEOUT_S), prompts))
        self._hold(answers)
        idle = self.masked_cells(*answers)
        begin_s = max(answer.first_token_s for answer in answers)
        end_s = min(answer.last_token_s for answer in answers)
        times = [[moment for moment in answer.token_times_s if begin_s <= moment <= end_s] for answer in answers]
        counts = [len(moments) - 1 for moments in times]
        best = max(range(sequences), key=lambda index: counts[index])
        observed, duration_s = counts[best], times[best][-1] - times[best][0] if times[best] else 0.0
        if observed < 1 or duration_s <= 0.0:  # who was not let run for a while receives all tokens at once
            return DecodeRun(0.0, 0, 0.0, answers[0].prompt_s, idle, idle)
        begun = [sum(moment <= times[best][0] for moment in answer.token_times_s) for answer in answers]
        depth = prompt_tokens + sum(begun) / sequences - 1
        masked = idle + (sequences - 1) * (depth + observed / 2)
        return DecodeRun(duration_s, observed, depth, answers[0].prompt_s, idle, masked)

    def speed(self, phase: Phase, duration_s: float, limit_s: float | None = None) -> float:
        """Steady speed over about ``duration_s`` [tokens/s]: output tokens for decode, prompt tokens for prefill.

        Args:
            phase: what to do all the time.
            duration_s: how long to watch [s].
            limit_s: give up this long after the begin, with what was seen until then [s].
        """
        return self._decode_speed(duration_s, limit_s) if phase == "decode" else self._prefill_speed(duration_s)

    def _prefill_speed(self, duration_s: float) -> float:
        begin_s = perf_counter()
        tokens = 0
        while perf_counter() - begin_s < duration_s:
            tokens += self.prefill(STEADY_PROMPT_TOKENS).prompt_tokens
        return tokens / (perf_counter() - begin_s)

    def _decode_speed(self, duration_s: float, limit_s: float | None) -> float:
        moments: list[float] = []

        def watch(moment_s: float) -> None:
            moments.append(moment_s)
            if moments[-1] - moments[0] >= duration_s and len(moments) > 2:
                raise _EnoughError

        begin_s = perf_counter()
        try:
            self._client.stream(self._prompt(SHORT_PROMPT_TOKENS), ENDLESS_TOKENS, limit_s or REQUEST_TIMEOUT_S, watch)
        except _EnoughError:
            pass
        except RequestFailure as failure:
            if failure.reason is not FailureReason.TIMEOUT:
                raise
        if len(moments) < 2:
            return 1.0 / (perf_counter() - begin_s)  # slower than this
        return (len(moments) - 1) / (moments[-1] - moments[0])

    def _prompt(self, tokens: int) -> list[int]:
        with self._lock:
            self._seed += 1
            return unique_prompt(tokens, self._seed, self._vocabulary)


class _EnoughError(Exception):
    """Ends a generation that has been watched long enough."""


def together(actions: Sequence[Callable[[], float]]) -> list[float]:
    """Run actions at the same time, each in a thread of its own, and return their results in order."""
    with ThreadPoolExecutor(len(actions)) as pool, ending_servers():
        return [future.result() for future in [pool.submit(action) for action in actions]]
