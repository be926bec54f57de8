"""Prompts of an exact number of tokens for servers that take text: words that are one token each, told by the server's own counts.

Every word stands behind a space, as tokenizers keep words apart at spaces: then no word joins with its neighbour, and a text has as
many tokens as it has words, plus what the server puts around every prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from string import ascii_letters
from threading import Lock

import numpy as np

from mmpredict.errors import EngineError, InputError

CANDIDATES = (
    *("time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school", "state", "family"),
    *("group", "country", "problem", "hand", "part", "place", "case", "week", "company", "system", "program", "question"),
    *("work", "number", "night", "point", "home", "water", "room", "mother", "area", "money", "story", "fact", "month", "lot"),
    *("right", "study", "book", "eye", "job", "word", "business", "issue", "side", "kind", "head", "house", "service", "friend"),
    *("father", "power", "hour", "game", "line", "end", "member", "law", "car", "city", "name", "team", "minute", "idea", "body"),
    *ascii_letters,
)
"""Common enough that nearly every vocabulary has a token for each."""
LEAST_WORDS = 16

Count = Callable[[str], int]
"""Tokens of a prompt with this text, as the server counts them [tokens]."""


@dataclass(frozen=True, slots=True)
class Alphabet:
    """Words of one token each.

    Attributes:
        words: them, each with the space before it.
        around_tokens: what the server puts around every prompt, such as a first token or a chat template [tokens].
    """

    words: tuple[str, ...]
    around_tokens: int

    def prompt(self, tokens: int, seed: int) -> list[int]:
        """Numbers of words that make ``tokens`` tokens with what is put around them, a function of the arguments.

        Prompts of different seeds differ in the first word; in the second, where their seeds are a multiple of the number of words
        apart.

        Raises:
            InputError: so few tokens leave no room for a word, or ``seed`` is negative.
        """
        count = tokens - self.around_tokens
        if count < 1 or seed < 0:
            raise InputError(
                f"no prompt of {tokens} tokens with seed {seed} from words: the server puts {self.around_tokens} tokens around "
                f"every prompt; ask for {self.around_tokens + 1} or more"
            )
        numbers: list[int] = np.random.default_rng(seed).integers(0, len(self.words), count).tolist()
        numbers[:2] = (seed % len(self.words), seed // len(self.words) % len(self.words))[:count]
        return numbers


@dataclass(slots=True)
class Texts:
    """Numbers that stand for texts: those of an alphabet's words, and higher ones for pieces of answers.

    A conversation goes on with what a server said. A server of text tells no numbers of tokens, so every piece that it sent gets
    one here. What the pieces are when they come back as a prompt is the tokenizer's matter: not always the same tokens.
    """

    alphabet: Alphabet
    _pieces: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def numbers(self, pieces: Sequence[str]) -> tuple[int, ...]:
        """Numbers that stand for ``pieces`` from now on."""
        with self._lock:
            first = len(self.alphabet.words) + len(self._pieces)
            self._pieces += pieces
        return tuple(range(first, first + len(pieces)))

    def text(self, numbers: Sequence[int]) -> str:
        """The text that ``numbers`` stand for."""
        words = self.alphabet.words
        return "".join(words[number] if number < len(words) else self._pieces[number - len(words)] for number in numbers)


def find_alphabet(count: Count, answered: Count | None = None, candidates: Sequence[str] = CANDIDATES) -> Alphabet:
    """Find words that are one token each.

    Args:
        count: tokens of a text, possibly without what the server puts around prompts.
        answered: tokens of a whole prompt, as an answer tells them; the same as ``count`` if it is not given.
        candidates: words to look among.

    Raises:
        EngineError: too few of them are one token.
    """
    words = tuple(f" {word}" for word in candidates)
    single = _singles(words, count)
    if len(single) < LEAST_WORDS:
        raise EngineError(
            f"only {len(single)} of {len(words)} common words are one token each by the server's counts, so prompts of an exact "
            "length cannot be made"
        )
    text = "".join(single)
    return Alphabet(single, (answered or count)(text) - len(single))


def _singles(words: tuple[str, ...], count: Count) -> tuple[str, ...]:
    """Those that are one token; a group that is as long twice as once and as many tokens more is all of them."""
    text = "".join(words)
    if count(text + text) - count(text) == len(words):
        return words
    if len(words) == 1:
        return ()
    half = len(words) // 2
    return _singles(words[:half], count) + _singles(words[half:], count)
