"""What of a conversation is sent again with its next turn.

A prompt is a list of segments. What a cache can save is the common beginning of two of them, so every rule here is only about which
turns stay: where the first one goes, the rest has to be evaluated again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mmpredict.errors import InputError
from mmpredict.workload.request import MAX_TOKENS

if TYPE_CHECKING:
    import numpy as np

Segment = tuple[int, int]
"""(which text, its length [tokens]); the same text has the same number."""

Turn = tuple[Segment, ...]
"""What a person said and what was answered, or a summary."""


def total_tokens(segments: Sequence[Segment]) -> int:
    """Length of a list of segments [tokens]."""
    return sum(tokens for _, tokens in segments)


def common_tokens(first: Sequence[Segment], second: Sequence[Segment]) -> int:
    """Length of the beginning that two lists of segments have in common [tokens]."""
    common = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        common += one[1]
    return common


@dataclass(frozen=True, slots=True)
class Kept:
    """What stays of the turns.

    Attributes:
        old: turns that a summary takes the place of, if any.
        turns: turns that stay.
    """

    turns: Sequence[Turn]
    old: Sequence[Turn] = ()


class Retention(Protocol):
    """A rule."""

    @property
    def summary_tokens(self) -> int:
        """Length of a summary, if the rule makes any [tokens]."""

    def kept(self, turns: Sequence[Turn], other_tokens: int, rng: np.random.Generator) -> Kept:
        """What stays of the turns so far; called once before every turn.

        Args:
            turns: what stayed last time, and the turn since then.
            other_tokens: rest of the next prompt: what the system and the person say [tokens].
            rng: source of chance.
        """


@dataclass(frozen=True, slots=True)
class Everything:
    """All turns stay: prompts grow without bound, and begin with all that was cached."""

    summary_tokens: int = 0

    def kept(self, turns: Sequence[Turn], other_tokens: int, rng: np.random.Generator) -> Kept:
        """All of them."""
        return Kept(turns)


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """The oldest turns go as soon as a prompt would be longer than ``window_tokens``."""

    window_tokens: int
    summary_tokens: int = 0

    def __post_init__(self) -> None:
        _require_window(self.window_tokens)

    def kept(self, turns: Sequence[Turn], other_tokens: int, rng: np.random.Generator) -> Kept:
        """The latest that fit."""
        length = other_tokens + sum(total_tokens(turn) for turn in turns)
        first = 0
        while first < len(turns) and length > self.window_tokens:
            length -= total_tokens(turns[first])
            first += 1
        return Kept(turns[first:])


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary takes the place of all but the latest turns as soon as a prompt would be longer than ``window_tokens``.

    Attributes:
        window_tokens: what a prompt may be long [tokens].
        summary_tokens: length of a summary; the model is asked for it in a request of its own [tokens].
        recent_turns: turns that stay as they are [1].
    """

    window_tokens: int
    summary_tokens: int
    recent_turns: int = 1

    def __post_init__(self) -> None:
        _require_window(self.window_tokens)
        if not 1 <= self.summary_tokens < self.window_tokens:
            raise InputError(f"summary_tokens is {self.summary_tokens}; it must be 1 or more, below window_tokens")
        _require_recent(self.recent_turns)

    def kept(self, turns: Sequence[Turn], other_tokens: int, rng: np.random.Generator) -> Kept:
        """The latest turns, and those of which there is to be a summary; it is not made where it would save nothing."""
        if other_tokens + sum(total_tokens(turn) for turn in turns) <= self.window_tokens:
            return Kept(turns)
        first_recent = max(0, len(turns) - self.recent_turns)
        old = turns[:first_recent]
        if sum(total_tokens(turn) for turn in old) <= self.summary_tokens:
            return Kept(turns)
        return Kept(turns[first_recent:], old)


@dataclass(frozen=True, slots=True)
class Selective:
    """Of the turns that are no longer recent only some stay, for good, as if judged by their use.

    Attributes:
        keep_frac: probability that a turn stays [1].
        recent_turns: turns that stay in any case [1].
    """

    keep_frac: float
    recent_turns: int = 1
    summary_tokens: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.keep_frac <= 1.0:
            raise InputError(f"keep_frac is {self.keep_frac}; it must be between 0 and 1")
        _require_recent(self.recent_turns)

    def kept(self, turns: Sequence[Turn], other_tokens: int, rng: np.random.Generator) -> Kept:
        """All but possibly the one that has just ceased to be recent."""
        judged = len(turns) - self.recent_turns - 1
        if judged < 0 or rng.random() < self.keep_frac:
            return Kept(turns)
        return Kept([*turns[:judged], *turns[judged + 1 :]])


def _require_window(window_tokens: int) -> None:
    if not 1 <= window_tokens <= MAX_TOKENS:
        raise InputError(f"window_tokens is {window_tokens}; it must be between 1 and {MAX_TOKENS}")


def _require_recent(recent_turns: int) -> None:
    if not 0 <= recent_turns <= MAX_TOKENS:
        raise InputError(f"recent_turns is {recent_turns}; it must be 0 or more")
