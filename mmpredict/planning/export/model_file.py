"""Names and files of a plan's models, as configuration files and command lines can hold them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from mmpredict.errors import InputError
from mmpredict.models.spec import ModelSpec
from mmpredict.planning.candidate import bare_name
from mmpredict.simulation.plan import InstancePlan, Plan

FOLDER = "models"
_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")


def alias_of(model: str) -> str:
    """A name that every server, URL and file system takes: ``qwen2.5-0.5b-q8_0`` for ``synthetic:qwen2.5-0.5b@q8_0``."""
    return _PLAIN.sub("-", bare_name(model)).strip("-.") or "model"


def aliases(plan: Plan) -> dict[str, str]:
    """Instance → a name of its own (see ``alias_of``)."""
    found: dict[str, str] = {}
    for one in plan.instances:
        name = base = alias_of(one.model)
        number = 2
        while name in found.values():
            name, number = f"{base}-{number}", number + 1
        found[one.name] = name
    return found


def file_of(one: InstancePlan, specs: Mapping[str, ModelSpec]) -> str:
    """Path of a model's file: where it is, or where it is to be put, for models that are known by their description only.

    Raises:
        InputError: the path holds what a configuration file cannot.
    """
    path = specs[one.model].path
    text = str(path.resolve()) if path is not None else str(Path(FOLDER) / f"{alias_of(one.model)}.gguf")
    if any(ord(letter) < 32 for letter in text) or "${" in text or '"' in text:
        raise InputError(f"the path {text!r} cannot be written into a configuration file; move or rename the model's file")
    return text


def missing_lines(plan: Plan, specs: Mapping[str, ModelSpec]) -> list[str]:
    """Comments on files that are not here."""
    files = dict.fromkeys(file_of(one, specs) for one in plan.instances if specs[one.model].path is None)
    return [f"# put the model's file here, it was not on this machine: {file}" for file in files]
