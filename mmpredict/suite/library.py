"""The suites that ship, by name."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path

from mmpredict.errors import UnknownNameError
from mmpredict.suite.definition import Suite

_FILES = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.toml"))}
SUITES = tuple(_FILES)


@lru_cache(len(_FILES))
def find_suite(name: str) -> Suite:
    """The suite of a name.

    Raises:
        UnknownNameError: no such suite.
    """
    if name not in _FILES:
        raise UnknownNameError("suite", name, SUITES)
    return Suite.model_validate(tomllib.loads(_FILES[name].read_text("utf-8")))
