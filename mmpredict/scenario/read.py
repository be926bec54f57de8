"""Reading a scenario file; one clear line for each mistake."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mmpredict.errors import FileFormatError, InputError
from mmpredict.scenario import arrivals_section, memory_section, quantity_section
from mmpredict.scenario.document import LOAD_KEYS, Scenario
from mmpredict.scenario.engine_section import EngineSection
from mmpredict.scenario.generated_sections import CallSection
from mmpredict.scenario.recommend_section import RecommendSection
from mmpredict.scenario.recovery_section import RecoverySection
from mmpredict.scenario.request_section import RequestSection
from mmpredict.scenario.server_section import ServerSection

MAX_FILE_BYTES = 16_000_000

_NUMBER = "quantity.number"
_FAMILIES = (arrivals_section.FAMILY, memory_section.FAMILY)
_TAGS: dict[str, list[str]] = {**LOAD_KEYS, **arrivals_section.KEYS, **memory_section.KEYS, **quantity_section.KEYS, _NUMBER: []}
_KEYS = {
    "requests": list(RequestSection.model_fields),
    "server": list(ServerSection.model_fields),
    "engine": list(EngineSection.model_fields),
    "recovery": list(RecoverySection.model_fields),
    "recommend": list(RecommendSection.model_fields),
    "calls": list(CallSection.model_fields),
    "": [name for name in Scenario.model_fields if name != "base"],
    **_TAGS,
}
_MAX_SHOWN = 200


def read_scenario(path: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        InputError: the file cannot be read.
        FileFormatError: it is not TOML, has an unknown key or an unusable value; the message names it.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise FileFormatError(f"{path} is larger than {MAX_FILE_BYTES} bytes; it is no scenario")
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"cannot read scenario {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{path} is not TOML: {error}") from error
    if "base" in data:  # a field that no file sets
        raise FileFormatError(f"{path}: unknown key 'base'; allowed: {', '.join(sorted(_KEYS['']))}")
    data["base"] = path.resolve().parent
    try:
        return Scenario.model_validate(data)
    except ValidationError as error:
        raise FileFormatError(f"{path}: {_explain(error)}") from error


def _explain(error: ValidationError) -> str:
    found: list[Any] = error.errors()  # a misspelt key is also a missing one; its own complaint says more
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    place = [str(part) for part in first["loc"]]
    where = ".".join(part for part in place if part not in _TAGS) or "scenario"
    match first["type"]:
        case "extra_forbidden":
            section = next((part for part in reversed(place[:-1]) if part in _KEYS), "")
            return f"unknown key {where!r}; {_advice(place[-1], _KEYS[section])}"
        case "union_tag_invalid":
            family, _, kind = first["ctx"]["tag"].partition(".")
            return f"{where}: unknown kind {_short(kind)}; {_advice(kind, _kinds(family))}"
        case "union_tag_not_found":
            family = "load" if place[-1].isdigit() else place[-1] if place[-1] in _FAMILIES else quantity_section.FAMILY
            wanted = "a number, or a table" if family == quantity_section.FAMILY else "a table"
            kinds = ", ".join(_kinds(family))
            if isinstance(first["input"], dict):
                return f"{where}.kind is missing; allowed: {kinds}"
            return f"{where}: write {wanted} with kind = one of {kinds} (found {_short(first['input'])})"
        case "missing":
            return f"{where} is missing"
        case "value_error":
            return f"{where}: {first['ctx']['error']}"
        case _:
            return f"{where}: {first['msg']} (found {_short(first['input'])})"


def _advice(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name[:_MAX_SHOWN], list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(sorted(known))}"


def _kinds(family: str) -> list[str]:
    return [tag.partition(".")[2] for tag in _TAGS if tag.startswith(f"{family}.") and tag != _NUMBER]


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}…"
