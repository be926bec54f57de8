"""Writing a profile as TOML that ``load_profile`` reads back as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from mmpredict.hardware.profile import HardwareProfile

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def profile_text(profile: HardwareProfile, remarks: tuple[str, ...] = ()) -> str:
    """The profile without the limits of a power mode, as a TOML document.

    Args:
        profile: to write.
        remarks: sentences for the head of the file.
    """
    data = profile.unlimited.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    head = [f"# {' '.join(remark.split())}" for remark in remarks]
    return "\n".join([*head, *([""] if head else []), *_table(data, "")]).strip("\n") + "\n"


def _table(data: dict[str, Any], path: str) -> Iterator[str]:
    """Lines of a table: what fits on one line first, since TOML gives everything after a header to that header."""
    for name, value in data.items():
        if not _is_table(value) and not _is_tables(value):
            yield f"{_key(name)} = {_value(value)}"
    for name, value in data.items():
        inner = f"{path}.{_key(name)}" if path else _key(name)
        if _is_table(value):
            if not value or not all(map(_is_table, value.values())):  # a table of tables alone needs no header of its own
                yield from ("", f"[{inner}]")
            yield from _table(value, inner)
        elif _is_tables(value):
            for one in value:
                yield from ("", f"[[{inner}]]")
                yield from _table(one, inner)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and "value" not in value  # a quantity is written on its line


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and value < 2**53 else repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(name)} = {_value(inner)}" for name, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(inner) for inner in value) + "]"
    return json.dumps(str(value), ensure_ascii=False)
