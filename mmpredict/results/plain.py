"""Results as plain data for JSON, which knows no ``nan``, no infinity and no tuples."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def plain(value: Any) -> Any:
    """Numbers that are not finite as ``None``, tuples as lists, dataclasses as their fields, however deep they lie."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return plain_fields(value) if is_dataclass(value) and not isinstance(value, type) else value


def json_text(document: dict[str, Any]) -> str:
    """A document of plain data as text: the same bytes for the same content.

    Raises:
        ValueError: a number in it is not finite.
    """
    return json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n"


def plain_fields(row: DataclassInstance) -> dict[str, Any]:
    """The fields of a row of results, and of what it is made of, as plain data."""
    return {name: plain(getattr(row, name)) for name in _names(type(row))}


@cache
def _names(kind: type[DataclassInstance]) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind))
