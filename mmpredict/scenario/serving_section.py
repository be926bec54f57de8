"""``[serving]``: the program by whose rules servers are loaded when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator

from mmpredict.errors import InputError
from mmpredict.simulation.serving import SERVINGS, Serving
from mmpredict.strategy.on_demand import serving_from


def _read(value: Any) -> Any:
    if value is None or isinstance(value, Serving):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"it is {value!r}; write a table with rules = one of {', '.join(SERVINGS)}")
    try:
        return serving_from(value)
    except InputError as error:
        raise ValueError(str(error).removeprefix("serving: ")) from error


def _write(value: Serving | None) -> dict[str, Any] | None:
    return None if value is None else asdict(value)


ServingSection = Annotated[Serving | None, PlainValidator(_read), PlainSerializer(_write)]
"""Its keys are ``rules`` and the options of their class in ``simulation.serving``."""
