"""Requests of a trace of any known format."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mmpredict.errors import UnknownNameError
from mmpredict.workload.request import Request
from mmpredict.workload.source import Source
from mmpredict.workload.traces import azure, burstgpt, llama_swap, mooncake
from mmpredict.workload.traces.entry import Entry
from mmpredict.workload.traces.options import TraceOptions
from mmpredict.workload.traces.own import read_requests

OWN = "jsonl"


@dataclass(frozen=True, slots=True)
class _Format:
    """How to read a format.

    Attributes:
        entries: its reader.
        from_first: whether its time is counted from its first request; else from its zero.
    """

    entries: Callable[[Path], Iterator[Entry]]
    from_first: bool


_FORMATS = {
    "azure": _Format(azure.entries, from_first=True),
    "burstgpt": _Format(burstgpt.entries, from_first=True),
    "llama-swap": _Format(llama_swap.entries, from_first=True),
    "mooncake": _Format(mooncake.entries, from_first=False),
}
FORMATS = (OWN, *_FORMATS)
"""Short names of the formats."""


@dataclass(slots=True)
class TraceCount:
    """What was found, counted while a trace is read.

    Attributes:
        requests: requests given out [1].
        skipped: lines left out because they have no prompt or no answer, as those of failed requests [1].
    """

    requests: int = 0
    skipped: int = 0


def read_trace(
    path: Path, trace_format: str, source: Source, options: TraceOptions | None = None, count: TraceCount | None = None
) -> Iterator[Request]:
    """Requests of a trace, in order of arrival, called ``<name>.<line>``; those of our own format keep their ids behind the name.

    Args:
        path: the file; compressed by gzip or not.
        trace_format: one of ``FORMATS``.
        source: name, seed, beginning, priority and deadline; an empty name leaves the ids of our own format as they are.
        options: which of them, how fast, and who is asked.
        count: counts what was found.

    Raises:
        InputError: the file cannot be read, or does not say who is asked.
        FileFormatError: a line is malformed; the message names it.
        UnknownNameError: no such format, or a model of the trace that is not in ``options.names``.
    """
    options, count = options or TraceOptions(), count or TraceCount()
    if trace_format == OWN:
        return _counted(_own(path, source, options), options, count)
    if trace_format not in _FORMATS:
        raise UnknownNameError("trace format", trace_format, FORMATS)
    return _counted(_foreign(path, _FORMATS[trace_format], source, options, count), options, count)


def _counted(requests: Iterator[Request], options: TraceOptions, count: TraceCount) -> Iterator[Request]:
    for request in itertools.islice(requests, options.limit):  # a line after the last one wanted is never read
        count.requests += 1
        yield request


def _foreign(path: Path, form: _Format, source: Source, options: TraceOptions, count: TraceCount) -> Iterator[Request]:
    asked = options.asked(source)
    name, priority, deadline_s = source.name or "trace", source.priority, source.deadline_s
    zero_s: float | None = None if form.from_first else 0.0
    begun = _Begun(options)
    for entry in form.entries(path):
        if zero_s is None:
            zero_s = entry.time_s
        time_s = entry.time_s - zero_s
        if options.stop_s is not None and time_s >= options.stop_s:
            return
        if time_s < options.start_s:
            continue
        if not entry.prompt_tokens or not entry.output_tokens:
            count.skipped += 1
            continue
        yield Request(
            f"{name}.{entry.line}",
            asked.model(entry.model, entry.session),
            entry.prompt_tokens,
            entry.output_tokens,
            source.start_s + (time_s - options.start_s) / options.speed,
            priority,
            entry.session and f"{name}.{entry.session}",
            begun.shared_tokens(entry.session, entry.shared_tokens),
            deadline_s=deadline_s,
        )


def _own(path: Path, source: Source, options: TraceOptions) -> Iterator[Request]:
    asked = options.asked(source)
    prefix = source.name and f"{source.name}."
    gone: set[str] = set()
    begun = _Begun(options)
    for request in read_requests(path):
        if options.stop_s is not None and request.arrival_s >= options.stop_s:
            return
        if request.arrival_s < options.start_s:
            gone.add(request.id)
            continue
        after = tuple(f"{prefix}{name}" for name in request.after if name not in gone)
        yield replace(
            request,
            id=f"{prefix}{request.id}",
            model=asked.model(request.model, request.session),
            arrival_s=source.start_s + (request.arrival_s - options.start_s) / options.speed,
            priority=request.priority or source.priority,
            session=request.session and f"{prefix}{request.session}",
            shared_tokens=begun.shared_tokens(request.session, request.shared_tokens),
            after=after,
            delay_s=request.delay_s / options.speed if after else 0.0,
            deadline_s=source.deadline_s if request.deadline_s is None else request.deadline_s,
        )


class _Begun:
    """Sessions that have begun: of a trace whose beginning is left out, no cache holds what they said before."""

    def __init__(self, options: TraceOptions) -> None:
        self._seen: set[str] | None = set() if options.start_s else None

    def shared_tokens(self, session: str, shared_tokens: int) -> int:
        """What the session's next request shares with the one before it [tokens]."""
        if self._seen is None or not session or session in self._seen:
            return shared_tokens
        self._seen.add(session)
        return 0
