"""One recorded request, as all formats say it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mmpredict.errors import FileFormatError
from mmpredict.workload.traces.lines import LineError

WINDOW = 1000
"""A line may stand so many lines behind those that came later than it, as where several servers write one trace."""

_Fields = TypeVar("_Fields")


@dataclass(slots=True)
class Entry:
    """One line of a trace; not frozen, as millions of them are made and thrown away.

    Attributes:
        line: where it stands.
        time_s: when it came; from when on is the format's own matter [s].
        prompt_tokens, output_tokens: what was asked and answered; 0 if it failed [tokens].
        model: as the trace calls it; empty if it does not.
        session: as the trace calls it; empty if it does not.
        shared_tokens: as of ``Request`` [tokens].
    """

    line: int
    time_s: float
    prompt_tokens: int
    output_tokens: int
    model: str = ""
    session: str = ""
    shared_tokens: int = 0


def parsed(path: Path, found: Iterable[tuple[int, _Fields]], parse: Callable[[_Fields, int], Entry]) -> Iterator[Entry]:
    """Entries of a file's lines.

    Raises:
        FileFormatError: a line is malformed; the message names it.
    """
    for line, fields in found:
        try:
            yield parse(fields, line)
        except LineError as error:
            raise FileFormatError(f"{path}, line {line}: {error}") from error


def in_order(path: Path, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Entries by time, where the file is nearly so.

    Raises:
        FileFormatError: a line is too far from its place.
    """
    heap: list[tuple[float, int, Entry]] = []
    last_s = float("-inf")
    for entry in entries:
        if entry.time_s < last_s:
            raise FileFormatError(
                f"{path}, line {entry.line}: it is {last_s - entry.time_s:g} s older than lines before it; sort the file by time"
            )
        item = (entry.time_s, entry.line, entry)
        if len(heap) < WINDOW:
            heapq.heappush(heap, item)
        else:
            last_s, _, first = heapq.heappushpop(heap, item)
            yield first
    while heap:
        yield heapq.heappop(heap)[2]
