"""Mooncake's traces (github.com/kvcache-ai/Mooncake, FAST25-release/traces): what was asked of one model, and which prompts agree.

One JSON object per line: ``timestamp`` [ms], ``input_length``, ``output_length`` [tokens] and ``hash_ids``, one number per 512
tokens of the prompt, the last for the rest. Prompts that begin with the same numbers begin with the same tokens.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpredict.workload.traces.entry import Entry, in_order, parsed
from mmpredict.workload.traces.fields import real, whole
from mmpredict.workload.traces.lines import LineError, json_object, lines

BLOCK_TOKENS = 512
CONTINUES_FRAC = 0.25
"""A prompt continues a session if it begins with more than this part of the session's last prompt, counted in blocks [1].

Of 0.1, 0.25, 0.5, 0.75 and 0.9 the one that keeps most of what the conversation trace shares: 34.5 % of all prompt tokens, where
a cache without bound that every request looks into would find 37.4 %; in the synthetic trace 65.1 % of 65.1 %.
"""

MAX_SESSIONS = 20_000
"""Of more sessions the ones longest without a request are forgotten, as a cache would."""


def entries(path: Path) -> Iterator[Entry]:
    """Entries by time, in the trace's seconds, with sessions and shared tokens.

    A prompt belongs to the session of the prompt before it with which it shares the longest beginning, if it repeats more than a
    quarter of that session's last prompt. Else it opens a session: what many sessions have in common, as the words that a service
    puts before every prompt, is shared by none of them.

    Raises:
        FileFormatError: a line is malformed; the message names it.
    """
    sessions = Sessions()

    def entry(text: str, line: int) -> Entry:
        fields = json_object(text)
        prompt_tokens = whole(fields, "input_length")
        session, blocks, cached_tokens = sessions.place(_hash_ids(fields), prompt_tokens)
        shared_tokens = max(0, min(blocks * BLOCK_TOKENS, cached_tokens, prompt_tokens - 1))
        time_s = real(fields, "timestamp") / 1e3
        return Entry(line, time_s, prompt_tokens, whole(fields, "output_length"), session=session, shared_tokens=shared_tokens)

    return in_order(path, parsed(path, lines(path), entry))


@dataclass(slots=True)
class _Last:
    """The last prompt of a session: its blocks, and its length [tokens]."""

    blocks: list[int]
    prompt_tokens: int


class Sessions:
    """Sessions so far, found by the blocks of their last prompts."""

    def __init__(self) -> None:
        self._last: OrderedDict[int, _Last] = OrderedDict()
        self._owner: dict[int, int] = {}
        self._opened = 0

    def place(self, blocks: list[int], prompt_tokens: int) -> tuple[str, int, int]:
        """Add a prompt.

        Args:
            blocks: numbers of its blocks.
            prompt_tokens: its length [tokens].

        Returns:
            Name of its session, number of blocks at its beginning that the session's last prompt begins with too, and length of
            that last prompt [tokens].
        """
        session = next((self._owner[block] for block in reversed(blocks) if block in self._owner), None)
        common, cached_tokens = 0, 0
        if session is not None:
            last = self._last[session]
            common = _common(last.blocks, blocks)
            if common <= CONTINUES_FRAC * len(last.blocks):
                session, common = None, 0
            else:
                cached_tokens = last.prompt_tokens
                self._forget(session)
        if session is None:
            self._opened += 1
            session = self._opened
        self._last[session] = _Last(blocks, prompt_tokens)  # the newest is at the end
        self._owner.update(dict.fromkeys(blocks, session))
        if len(self._last) > MAX_SESSIONS:
            self._forget(next(iter(self._last)))
        return f"s{session}", common, cached_tokens

    def _forget(self, session: int) -> None:
        for block in self._last.pop(session).blocks:
            if self._owner.get(block) == session:
                del self._owner[block]


def _common(first: list[int], second: list[int]) -> int:
    for place, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return place
    return min(len(first), len(second))


def _hash_ids(fields: dict[str, Any]) -> list[int]:
    found = fields.get("hash_ids", [])
    if not isinstance(found, list) or not all(type(one) is int for one in found):
        raise LineError("hash_ids is no list of whole numbers")
    return found
