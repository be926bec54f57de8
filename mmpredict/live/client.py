"""Timed completions from llama-servers of this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mmpredict.errors import InputError
from mmpredict.live.answer import Completion, llama_answer
from mmpredict.live.reading import Reading
from mmpredict.live.server_client import ServerClient, check_asked

FIRST_TEXT_TOKEN = 3  # vocabularies start with <unk>, <s> and </s>, or with the like

# Without this, the last event repeats the whole prompt as text: for a long prompt more bytes than all tokens together.
_FINAL_FIELDS = ("stop", "id_slot", "truncated", "timings")


class CompletionClient(ServerClient):
    """A client of one llama-server on this machine; several threads may use it at a time."""

    def stream(
        self,
        prompt: Sequence[int],
        output_tokens: int,
        timeout_s: float,
        on_token: Callable[[float], None] | None = None,
        reuse: bool = False,
        model: str = "",
    ) -> Completion:
        """Have the server generate ``output_tokens`` tokens after ``prompt``, fewer only if the context is full, and time them.

        Args:
            prompt: token numbers.
            output_tokens: tokens to generate, 1 or more.
            timeout_s: for the whole answer [s].
            on_token: called with the ``perf_counter()`` value [s] of each event that carries tokens.
            reuse: whether the server may take the beginning of the prompt from a slot's cache, and tells which tokens it
                generates.
            model: for a router, the name of the model that it passes the request to.

        Raises:
            RequestFailure: there is no complete answer; its ``reason`` says why.
            InputError: ``output_tokens`` or ``timeout_s`` is out of range.
        """
        check_asked(output_tokens, timeout_s)
        body = {
            "prompt": [int(token) for token in prompt],
            "n_predict": output_tokens,
            "ignore_eos": True,
            "temperature": 0,
            "cache_prompt": reuse,
            "return_tokens": reuse,
            "stream": True,
            "response_fields": _FINAL_FIELDS,
            **({"model": model} if model else {}),
        }

        def read(sent_s: float) -> Reading:
            return llama_answer(sent_s, output_tokens, on_token)

        return self.send("/completion", body, timeout_s, read)


def unique_prompt(tokens: int, seed: int, vocabulary: int) -> list[int]:
    """A prompt of random text tokens that is a function of its arguments; other seeds differ in the first token already.

    Args:
        tokens: length, 1 or more [tokens].
        seed: 0 or more.
        vocabulary: size of the model's vocabulary, more than ``FIRST_TEXT_TOKEN``.

    Raises:
        InputError: an argument is out of range.
    """
    if tokens < 1 or seed < 0 or vocabulary <= FIRST_TEXT_TOKEN:
        raise InputError(f"no prompt of {tokens} tokens with seed {seed} from a vocabulary of {vocabulary}")
    prompt: list[int] = np.random.default_rng(seed).integers(FIRST_TEXT_TOKEN, vocabulary, tokens).tolist()
    prompt[0] = FIRST_TEXT_TOKEN + seed % (vocabulary - FIRST_TEXT_TOKEN)
    return prompt
