"""``[[load]]`` entries whose requests are read from a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.scenario.load_section import LoadSection, ModelKeys
from mmpredict.workload.request import Request, models_of
from mmpredict.workload.traces.options import TraceOptions
from mmpredict.workload.traces.read import FORMATS, OWN, read_trace


class TraceSection(LoadSection, ModelKeys):
    """``kind = "trace"``.

    Attributes:
        format: one of ``FORMATS``.
        file: relative to the scenario's directory.
        speed: so much faster than recorded [1].
        trace_start_s, trace_stop_s: a part of the trace, in its own time [s].
        requests: at most so many.
        names: model in the trace → model to ask.
    """

    kind: Literal["trace"]
    format: str
    file: str
    speed: float = 1.0
    trace_start_s: float = 0.0
    trace_stop_s: float | None = None
    requests: int | None = None
    names: dict[str, str] = {}  # noqa: RUF012  # pydantic copies it

    def stream(self, name: str, base: Path | None) -> Iterator[Request]:
        """Requests in order of arrival; without an ``id``, those of our own format keep theirs."""
        if self.format not in FORMATS:
            raise UnknownNameError("trace format", self.format, FORMATS)
        options = TraceOptions(
            speed=self.speed,
            start_s=self.trace_start_s,
            stop_s=self.trace_stop_s,
            limit=self.requests,
            names=self.names,
            models=self.assignment() if self.model or self.models else None,
        )
        path = Path(self.file) if base is None else base / self.file
        return read_trace(path, self.format, self.source(self.id if self.format == OWN else name), options)

    def asked(self, base: Path | None) -> tuple[str, ...]:
        """Models that may be asked; if neither names nor weights are given, the file is read for them."""
        if self.model or self.models:
            return self.assignment().models
        if self.names:
            return tuple(dict.fromkeys(self.names.values()))
        found = models_of(self.stream("trace", base))
        if not found:
            raise InputError(f"{self.file} holds no request with an answer; choose another file or another part of it")
        return found
