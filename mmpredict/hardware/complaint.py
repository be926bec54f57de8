"""What is wrong with a profile, in one sentence that names the key."""

from __future__ import annotations

import difflib
import typing
from typing import Any

from pydantic import BaseModel, ValidationError


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The most telling complaint of a validation: a misspelt key before the missing one that it causes.

    Args:
        error: as raised.
        model: that was validated.
    """
    found: list[Any] = error.errors()
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    place = [str(part) for part in first["loc"] if part != "[key]"]
    where = ".".join(place)
    if first["type"] == "extra_forbidden":
        allowed = sorted(_keys(model, place[:-1]))
        near = difflib.get_close_matches(place[-1], allowed, n=1)
        return f"unknown key {where!r}; " + (f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(allowed)}")
    if first["type"] == "missing":
        return f"{where}: Field required"
    message = first["msg"].removeprefix("Value error, ")
    if not where:
        return message if ": " in message else f"profile: {message}"
    return f"{where}: {message}"


def _keys(model: type[BaseModel], place: list[str]) -> list[str]:
    """Keys that are allowed at a place of a document."""
    for part in place:
        field = model.model_fields.get(part)
        if field is None:  # a number in a list or a free name in a table: already stepped into
            continue
        inner = _model_in(field.annotation)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation holds, however wrapped."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(part) for part in typing.get_args(annotation))
    return next((one for one in inner if one is not None), None)
