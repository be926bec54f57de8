"""What of a conversation is sent again: ``memory = { kind = "window", window_tokens = 4096 }``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Tag

from mmpredict.scenario.strict import Strict, by_kind, keys_by_tag
from mmpredict.workload.retention import Everything, Retention, Selective, SlidingWindow, Summary


class AllKeys(Strict):
    """Everything that was said."""

    kind: Literal["all"]

    def rule(self) -> Retention:
        """The rule."""
        return Everything()


class WindowKeys(Strict):
    """The latest turns that fit into the window."""

    kind: Literal["window"]
    window_tokens: int

    def rule(self) -> Retention:
        """The rule."""
        return SlidingWindow(self.window_tokens)


class SummaryKeys(Strict):
    """A summary, and the latest turns."""

    kind: Literal["summary"]
    window_tokens: int
    summary_tokens: int
    recent_turns: int = 1

    def rule(self) -> Retention:
        """The rule."""
        return Summary(self.window_tokens, self.summary_tokens, self.recent_turns)


class SelectiveKeys(Strict):
    """The latest turns, and some of those before."""

    kind: Literal["selective"]
    keep_frac: float
    recent_turns: int = 1

    def rule(self) -> Retention:
        """The rule."""
        return Selective(self.keep_frac, self.recent_turns)


FAMILY = "memory"
KEYS = keys_by_tag(FAMILY, AllKeys, WindowKeys, SummaryKeys, SelectiveKeys)
MemorySection = Annotated[
    Annotated[AllKeys, Tag("memory.all")]
    | Annotated[WindowKeys, Tag("memory.window")]
    | Annotated[SummaryKeys, Tag("memory.summary")]
    | Annotated[SelectiveKeys, Tag("memory.selective")],
    by_kind(FAMILY),
]
"""A rule of what is sent again."""
