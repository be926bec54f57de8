"""Typed access to the metadata of a model, which nobody has checked yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mmpredict.errors import FileFormatError
from mmpredict.models.shape import PerLayer

MAX_LAYERS = 512  # LLAMA_MAX_LAYERS
MAX_NUMBER = 2**31 - 1  # llama.cpp keeps hyperparameters in 32 bits


@dataclass(frozen=True, slots=True)
class LongArray:
    """An array of which only the length [elements] was kept."""

    length: int


Scalar = bool | int | float | str
Value = Scalar | tuple[Scalar, ...] | LongArray


@dataclass(frozen=True, slots=True)
class Keys:
    """The metadata of one model, asked for by the part of a key behind the architecture (``attention.head_count``).

    Attributes:
        metadata: all keys and values.
        prefix: what the architecture's own keys begin with.
        name: of the model, for complaints.
    """

    metadata: Mapping[str, Value]
    prefix: str
    name: str

    def __contains__(self, key: str) -> bool:
        return self.full(key) in self.metadata

    def full(self, key: str) -> str:
        """The key as it is in the file."""
        return f"{self.prefix}.{key}"

    def unusable(self, problem: str) -> FileFormatError:
        """The complaint that the model cannot be used because of ``problem``."""
        return FileFormatError(f"{self.name} cannot be used as a model: {problem}")

    def number(self, key: str, default: int | None = None, least: int = 0, most: int = MAX_NUMBER) -> int:
        """A whole number.

        Raises:
            FileFormatError: it is something else, not within the limits, or missing without a default.
        """
        value = self._value(key, default)
        if type(value) is not int or not least <= value <= most:
            raise self._bad(key, value, f"a whole number from {least} to {most}")
        return value

    def per_layer(self, key: str, n_layers: int, default: PerLayer | None = None, least: int = 0) -> PerLayer:
        """A whole number, or one for each layer where they differ; ``least`` is that of the largest.

        Raises:
            FileFormatError: as ``number``, or the list has another length.
        """
        value = self._value(key, default)
        numbers = value if isinstance(value, tuple) else (value,)
        whole = [number for number in numbers if type(number) is int and 0 <= number <= MAX_NUMBER]
        if len(whole) != len(numbers) or not whole or max(whole) < least:
            raise self._bad(key, value, f"a whole number from {least} to {MAX_NUMBER}, or one for each layer")
        if isinstance(value, tuple) and len(whole) != n_layers:
            raise self._bad(key, value, f"{n_layers} numbers, one for each layer")
        return whole[0] if len(set(whole)) == 1 else tuple(whole)

    def flags(self, key: str, n_layers: int) -> tuple[bool, ...] | None:
        """One flag for each layer, or nothing if the key holds no list; layers that a shorter list lacks are not flagged.

        Raises:
            FileFormatError: it is a list of something else.
        """
        value = self.metadata.get(self.full(key))
        if not isinstance(value, tuple | LongArray):
            return None
        if isinstance(value, LongArray) or any(type(flag) not in (bool, int) for flag in value):
            raise self._bad(key, value, "a flag for each layer")
        return tuple(bool(flag) for flag in (*value, *[False] * n_layers)[:n_layers])

    def real(self, key: str, default: float) -> float:
        """A finite positive number.

        Raises:
            FileFormatError: it is something else.
        """
        value = self.metadata.get(self.full(key), default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise self._bad(key, value, "a positive number")
        return float(value)

    def _value(self, key: str, default: PerLayer | None) -> Value:
        value = self.metadata.get(self.full(key), default)
        if value is None:
            raise self.unusable(f"it has no key {self.full(key)!r}")
        return value

    def _bad(self, key: str, value: object, expected: str) -> FileFormatError:
        return self.unusable(f"its key {self.full(key)!r} is {value!r:.80}; expected {expected}")
