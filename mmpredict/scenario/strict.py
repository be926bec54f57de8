"""What all parts of a scenario file have in common."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Discriminator


class Strict(BaseModel):
    """A part that does not change, and in which every key is known."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def by_kind(family: str, number: bool = False) -> Discriminator:
    """Chooses among the sections of a family by their key ``kind``.

    The choice is called ``<family>.<kind>``, and so stands in the places that pydantic's errors name.

    Args:
        family: of sections.
        number: whether a plain number is a choice too, ``<family>.number``.
    """

    def tag(value: Any) -> str | None:
        if number and isinstance(value, (int, float)):
            return f"{family}.number"
        kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
        return f"{family}.{kind}" if isinstance(kind, str) else None

    return Discriminator(tag)


def keys_by_tag(family: str, *sections: type[Strict]) -> dict[str, list[str]]:
    """``<family>.<kind>`` → keys, of sections that are chosen by kind."""
    return {f"{family}.{get_args(one.model_fields['kind'].annotation)[0]}": list(one.model_fields) for one in sections}
