"""Servers that take text rather than numbers of tokens: what the executor needs of them, whichever protocol they speak."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from mmpredict.errors import InputError
from mmpredict.live.answer import Completion
from mmpredict.live.failure import FailureReason, RequestFailure
from mmpredict.live.held import HeldServer
from mmpredict.live.word_prompt import Texts

UNKNOWN_MEMORY = math.nan


class Asking(Protocol):
    """Asks a server of one protocol."""

    def __call__(
        self, text: str, output_tokens: int, timeout_s: float, on_token: Callable[[float], None] | None, reuse: bool
    ) -> Completion:
        """Generate after ``text``; see ``CompletionClient.stream``."""


@dataclass(frozen=True, slots=True)
class TextServer:
    """A model at a server of text, as the executor sees it (see ``Server``).

    Attributes:
        ask: asks it.
        texts: what numbers of prompts stand for.
        attached: see ``Server``.
        memory: memory that it takes, as the server says [bytes]; ``nan`` if it does not.
        held: leaves it as it was found.
        notes: told once if prompts have not the length that was asked for.
    """

    ask: Asking
    texts: Texts
    attached: bool
    memory: float
    held: HeldServer
    notes: list[str]
    _noted: list[str] = field(default_factory=list)

    def prompt(self, tokens: int, seed: int) -> list[int]:
        """See ``Server``.

        Raises:
            RequestFailure: what the server puts around every prompt leaves no room for a word.
        """
        try:
            return self.texts.alphabet.prompt(tokens, seed)
        except InputError as error:
            raise RequestFailure(FailureReason.BAD_REQUEST, str(error)) from error

    def stream(
        self,
        prompt: Sequence[int],
        output_tokens: int,
        timeout_s: float,
        on_token: Callable[[float], None] | None = None,
        reuse: bool = False,
    ) -> Completion:
        """See ``Server``."""
        answer = self.ask(self.texts.text(prompt), output_tokens, timeout_s, on_token, reuse)
        expected = len(prompt) + self.texts.alphabet.around_tokens
        if answer.prompt_tokens not in (-1, expected) and not self._noted:
            self._noted.append(f"a prompt of {expected} tokens was {answer.prompt_tokens} by the server's count")
            self.notes.extend(self._noted)
        return replace(answer, tokens=self.texts.numbers(answer.texts)) if reuse else answer

    def alive(self) -> bool:
        """See ``Server``; a server of others tells only when it is asked."""
        return True

    def memory_bytes(self) -> float:
        """See ``Server``."""
        return self.memory

    def stop(self) -> None:
        """See ``Server``."""
        self.held.stop()
