"""Values of a JSON object that others wrote, looked up with bounds; every complaint names the key and the value."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from mmpredict.errors import InputError

MAX_LAYERS = 512  # LLAMA_MAX_LAYERS in llama.cpp src/llama-hparams.h
MAX_EXPERTS = 1024  # LLAMA_MAX_EXPERTS
MAX_WIDTH = 1 << 20
MAX_TOKENS = 1 << 28
_SHOWN = 60  # characters of a value in a message
_SEARCHED_KEYS = 1000


class Fields:
    """A JSON object, read key by key.

    Args:
        values: the object.
        where: what it is, for messages.

    Raises:
        InputError: it is no object.
    """

    def __init__(self, values: object, where: str) -> None:
        if not isinstance(values, Mapping):
            raise InputError(f"{where}: expected an object, found {shown(values)}")
        self._values: Mapping[str, Any] = values
        self.where = where

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def get(self, *keys: str) -> Any:
        """The first of these keys that has a value, or None."""
        return next((self._values[key] for key in keys if self._values.get(key) is not None), None)

    def count(self, *keys: str, high: int, low: int = 1, default: int | None = None) -> int:
        """A whole number from ``low`` to ``high``, under the first of these keys that is there.

        Raises:
            InputError: it is missing and has no default, or is not such a number.
        """
        value = self.get(*keys)
        if value is None:
            if default is None:
                raise InputError(f"{self.where} has no {' or '.join(keys)}{self._near(keys[0])}")
            return default
        return whole(value, self._name(keys), low, high)

    def number(self, *keys: str, low: float, high: float, default: float) -> float:
        """A number from ``low`` to ``high``.

        Raises:
            InputError: it is not such a number.
        """
        value = self.get(*keys)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise InputError(f"{self._name(keys)} is {shown(value)}; allowed: a number from {low:g} to {high:g}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """True or false.

        Raises:
            InputError: it is neither.
        """
        value = self.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise InputError(f"{self._name((key,))} is {shown(value)}; allowed: true, false")
        return value

    def text(self, key: str) -> str:
        """A string; empty when it is missing.

        Raises:
            InputError: it is no string.
        """
        value = self.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise InputError(f"{self._name((key,))} is {shown(value)}; allowed: a string")
        return value

    def names(self, key: str, length: int) -> tuple[str, ...]:
        """A list of ``length`` strings; empty when it is missing.

        Raises:
            InputError: it is no such list.
        """
        value = self.get(key)
        if value is None:
            return ()
        if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(entry, str) for entry in value):
            raise InputError(f"{self._name((key,))} is {shown(value)}; allowed: a list of strings")
        if len(value) != length:
            raise InputError(f"{self._name((key,))} has {len(value)} entries; allowed: {length}, one per layer")
        return tuple(value)

    def section(self, *keys: str) -> Fields | None:
        """An object inside this one, under the first of these keys that is there.

        Raises:
            InputError: it is no object.
        """
        value = self.get(*keys)
        return None if value is None else Fields(value, self._name(keys))

    def over(self, others: Fields | Mapping[str, Any]) -> Fields:
        """These values, and those of ``others`` for keys that have none here."""
        rest = others._values if isinstance(others, Fields) else others
        return Fields({**rest, **{key: value for key, value in self._values.items() if value is not None}}, self.where)

    def layers(self, *keys: str, default: int | None = None) -> int:
        """A number of blocks [1]."""
        return self.count(*keys, high=MAX_LAYERS, low=1 if default is None else 0, default=default)

    def width(self, *keys: str, default: int | None = None) -> int:
        """Extent of a vector, or a number of heads, channels or pixels [1]."""
        return self.count(*keys, high=MAX_WIDTH, low=1 if default is None else 0, default=default)

    def tokens(self, *keys: str, default: int | None = None) -> int:
        """Entries of a vocabulary, or positions [1]."""
        return self.count(*keys, high=MAX_TOKENS, low=1 if default is None else 0, default=default)

    def _name(self, keys: Sequence[str]) -> str:
        present = next((key for key in keys if self._values.get(key) is not None), keys[0])
        return f"{self.where}: {present}"

    def _near(self, key: str) -> str:
        near = difflib.get_close_matches(
            key, [name for name in self._values if isinstance(name, str)][:_SEARCHED_KEYS], n=1, cutoff=0.8
        )
        return f"; did you mean {near[0]}?" if near else ""


def whole(value: object, name: str, low: int, high: int) -> int:
    """``value`` when it is a whole number from ``low`` to ``high``.

    Raises:
        InputError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(f"{name} is {shown(value)}; allowed: a whole number from {low} to {high}")
    return value


def shown(value: object) -> str:
    """``value`` as a message quotes it."""
    if isinstance(value, (Mapping, list, tuple)):
        return f"a {'list' if isinstance(value, (list, tuple)) else 'object'} of {len(value)}"
    text = repr(value) if not isinstance(value, int) or abs(value) < 1 << 64 else f"a number of {value.bit_length()} bits"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
