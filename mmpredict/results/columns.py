"""The rows that simulation and live execution both produce: every column once, with its unit and meaning.

Times are seconds since the start of the run; a time that was never reached is ``nan``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

NAN = float("nan")
NO_WORK = ("queue", "attempt")
"""Kinds of activities in which no server did anything that is kept."""


def _column(unit: str, meaning: str, **options: Any) -> Any:
    return field(metadata={"unit": unit, "meaning": meaning}, **options)


@dataclass(slots=True)
class RequestRow:
    """One request, from arrival to its last token."""

    request: str = _column("", "identifier of the request, unique within a run")
    model: str = _column("", "model that answered")
    instance: str = _column("", "server instance that answered")
    arrival_s: float = _column("s", "when the request came into being")
    prompt_tokens: int = _column("tokens", "length of the prompt")
    output_tokens: int = _column("tokens", "tokens generated")
    dispatched_s: float = _column("s", "when the request was sent to its instance", default=NAN)
    load_wait_s: float = _column(
        "s",
        "part of the time before dispatch in which the instance was not ready, or waited for its turn to be loaded",
        default=NAN,
    )
    prefill_start_s: float = _column("s", "when the first prompt token was scheduled", default=NAN)
    first_token_s: float = _column("s", "when the first content token was received", default=NAN)
    finish_s: float = _column("s", "when the last token was received", default=NAN)
    cached_tokens: int = _column("tokens", "prompt tokens taken from a slot's cache", default=0)
    slot: int = _column("", "slot of the instance, -1 when unknown", default=-1)
    status: str = _column("", "ok, or the class of failure", default="ok")
    detail: str = _column("", "the failure in the words of the server or the system; empty for ok", default="")
    attempts: int = _column("1", "how many times the request was sent", default=1)
    asked_model: str = _column("", "model that was asked for, where another one answered or was tried last; else empty", default="")
    deadline_s: float = _column("s", "how long after its arrival its answer is of use; nan for ever", default=NAN)
    prefill_slowdown: float = _column("1", "prefill_start_s to the first token ÷ the same alone on the machine", default=NAN)
    decode_slowdown: float = _column("1", "first to last token ÷ the same alone on the machine", default=NAN)
    energy_j: float = _column("J", "share of the energy used while it was worked on; nan when not known", default=NAN)


@dataclass(slots=True)
class ActivityRow:
    """One stretch of work of an instance: the timeline."""

    instance: str = _column("", "server instance")
    kind: str = _column("", "load, prefill, decode or unload; queue: a request waits; attempt: sent in vain, and then again")
    start_s: float = _column("s", "begin")
    end_s: float = _column("s", "end")
    request: str = _column("", "request served, empty for loads and unloads", default="")
    slowdown: float = _column("1", "time taken ÷ time alone on the machine; nan when not known", default=NAN)
    cause: str = _column("", "what it was done for, or waited for; empty when it is plain", default="")


@dataclass(slots=True)
class StateRow:
    """The use of one resource at one moment."""

    time_s: float = _column("s", "moment")
    resource: str = _column(
        "",
        "memory (bytes), cores (busy cores), gpu and bandwidth (parts of all), swapped (bytes beyond what models may take), power "
        "(W); of one part of the machine or one instance: memory:NAME, vram:NAME, gtt:NAME (bytes), power:NAME (W), "
        "temperature:NAME (degrees Celsius)",
    )
    used: float = _column("resource's unit", "amount in use")
    capacity: float = _column("resource's unit", "amount there is; nan when not known")


@dataclass(frozen=True, slots=True)
class Column:
    """Name, unit and meaning of one column."""

    name: str
    unit: str
    meaning: str


def columns(row: type[RequestRow] | type[ActivityRow] | type[StateRow]) -> tuple[Column, ...]:
    """The columns of a row type, in order."""
    return tuple(Column(f.name, f.metadata["unit"], f.metadata["meaning"]) for f in fields(row))


ROW_TYPES: dict[str, type[RequestRow] | type[ActivityRow] | type[StateRow]] = {
    "requests": RequestRow,
    "activities": ActivityRow,
    "states": StateRow,
}
