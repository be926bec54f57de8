"""A model of a running Ollama under measurement.

Ollama computes no prompt again whose beginning it has in its cache, and counts it all the same; every prompt here therefore
begins with words of its own. It reloads a model whose context is asked for anew, so all requests ask for the same.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np

from mmpredict.calibrate.importers.ollama_api import answer_rows
from mmpredict.calibrate.importers.row import BenchRow, Found, Rejected
from mmpredict.live.client import CompletionClient
from mmpredict.live.describe import describe_tag, ollama_address
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.models.answers import Processes, Version, parsed

CONTEXT_TOKENS = 4096
REQUEST_TIMEOUT_S = 600.0
LEAST_STEPS = 8
MOST_TIMES_OFF = 3.0
"""Of the length asked for; a vocabulary that differs more is not of words."""
WORDS = (
    *("time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school", "state", "family"),
    *("group", "country", "problem", "hand", "part", "place", "case", "week", "company", "system", "program", "question"),
    *("work", "number", "night", "point", "home", "water", "room", "mother", "area", "money", "story", "fact", "month", "lot"),
)
"""Common enough that nearly every vocabulary has a token for each, so that prompts have about the length asked for."""


class Ollama:
    """A model of the Ollama at ``OLLAMA_HOST``, or its usual address; see ``Server``.

    It is measured one sequence at a time: how many Ollama decodes together is not asked for by a request.

    Args:
        tag: the model.
        backend: the programming interface of its GPU, which Ollama does not tell.
        model: what the tag stands for; by default what it stands for in Ollama's library.

    Raises:
        EngineError: no Ollama answers, or it does not have the model.
        InputError: the answer cannot be used.
    """

    slots = 1

    def __init__(self, tag: str, backend: str | None, model: str | None) -> None:
        spec = describe_tag(tag)
        self._client = CompletionClient(ollama_address())
        self._number = 0
        self._tokens_per_word = 1.0
        self.model = tag
        self.context_tokens = min(CONTEXT_TOKENS, spec.shape.context_length)
        build = parsed(Version, self._client.ask("/api/version"), "Ollama's /api/version").version
        self.engine = f"ollama {build}".strip()
        self._known: dict[str, Any] = {
            "model": model or tag,
            "build": build or None,
            "backend": backend,
            "date": date.today().isoformat(),
        }

    def request(self, prompt_tokens: int, output_tokens: int) -> list[Found]:
        """Rows of Ollama's own times for prompt and generation, which a model may end early."""
        body: dict[str, object] = {
            "model": self.model,
            "prompt": self._prompt(prompt_tokens),
            "raw": True,
            "stream": False,
            "options": {"num_ctx": self.context_tokens, "num_predict": output_tokens, "temperature": 0, "seed": 0},
        }
        answer = self._client.ask("/api/generate", body, REQUEST_TIMEOUT_S)
        if not isinstance(answer, dict):
            raise RequestFailure(FailureReason.SERVER_ERROR, "the answer to /api/generate is no object")
        if answer.get("done") is False:
            return [Rejected(0, "Ollama cut the answer off, as the model repeated itself")]
        known = self._known | {"gpu_layers": self._gpu_layers()}
        found = [self._checked(row, prompt_tokens) for row in answer_rows(answer, ollama_address(), 0, known)]
        evaluated = next((row.n_prompt for row in found if isinstance(row, BenchRow) and row.n_prompt), None)
        if evaluated:
            self._tokens_per_word *= evaluated / prompt_tokens
        return found

    def together(self, sequences: int, steps: int) -> list[Found]:
        """No row: Ollama serves a model's requests one after another unless it is told otherwise, and so they are measured."""
        return [Rejected(0, f"{sequences} sequences at a time: Ollama is measured with one slot")]

    def close(self) -> None:
        """Give the connections up."""
        self._client.close()

    def _prompt(self, tokens: int) -> str:
        self._number += 1
        words = max(1, round(tokens / self._tokens_per_word) - 1)
        return " ".join([str(self._number), *np.random.default_rng(self._number).choice(WORDS, words).tolist()])

    def _checked(self, row: Found, prompt_tokens: int) -> Found:
        if not isinstance(row, BenchRow):
            return row
        if row.n_prompt and not 1 / MOST_TIMES_OFF < row.n_prompt / prompt_tokens < MOST_TIMES_OFF:
            return Rejected(0, f"{prompt_tokens} words are {row.n_prompt} tokens of this vocabulary")
        if row.test == "tg" and (row.n_gen or 0) < LEAST_STEPS:
            return Rejected(0, f"the model ended its answer after {row.n_gen} tokens")
        # The prompt begins with words of its own, so the doubt that it was cached does not hold.
        return replace(row, doubt=None, depth=0 if row.test == "pp" else row.depth)

    def _gpu_layers(self) -> int | None:
        """0 if the processor has all of it, -1 if the GPU has, 1 for a part of it; ``None`` if Ollama does not say."""
        listed = parsed(Processes, self._client.ask("/api/ps"), "Ollama's /api/ps").models
        own = next((one for one in listed if self.model in (one.name, one.model, one.name.removesuffix(":latest"))), None)
        if own is None or not own.size:
            return None
        return 0 if not own.size_vram else -1 if own.size_vram >= own.size else 1
