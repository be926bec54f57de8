"""The guide's table of model types that share tensors: applied as it is stated, and marked as assumed.

Nothing in it is physical: processes of different models share nothing (``strategy.tensor_sharing``). A type's
``memory_reduction`` is read as the part of such a model's memory that it has in common with models of compatible types, and
``sharing_efficiency`` as the part of its work. What k others have in common with it is there once for all of them, so that each
counts::

    1 − part · k / (k + 1)

of its own: two models of one type together 2 − part, whatever their order. Types are compatible if either names the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmpredict.compat.json_file import read_table
from mmpredict.compat.servers import Adjustment
from mmpredict.errors import FileFormatError, UnknownNameError

_KEYS = ("compatible_types", "sharing_efficiency", "memory_reduction")


@dataclass(frozen=True, slots=True)
class TypeSharing:
    """What the table says of a type.

    Attributes:
        compatible: types.
        memory, work: parts in common [1].
    """

    compatible: frozenset[str]
    memory: float
    work: float


@dataclass(frozen=True, slots=True)
class SharingTable:
    """A table.

    Attributes:
        types: type → what it shares.
        source: the file.
    """

    types: Mapping[str, TypeSharing]
    source: str

    def pairs(self, members: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Compatible pairs among members that are resident together: (label, type) each; labels in alphabetical order."""
        found = sorted(members)
        return [
            (one[0], other[0])
            for position, one in enumerate(found)
            for other in found[position + 1 :]
            if self._compatible(one[1], other[1])
        ]

    def adjustments(self, members: Sequence[tuple[str, str]]) -> dict[str, Adjustment]:
        """Label → what is left of time and memory, for members that share."""
        partners: dict[str, int] = {}
        for one, other in self.pairs(members):
            partners[one] = partners.get(one, 0) + 1
            partners[other] = partners.get(other, 0) + 1
        found = {}
        for label, kind in members:
            own, others = self.types.get(kind), partners.get(label, 0)
            if own is not None and others:
                share = others / (others + 1)
                found[label] = Adjustment(1.0 - own.work * share, 1.0 - own.memory * share)
        return found

    def _compatible(self, one: str, other: str) -> bool:
        return any(a in self.types and b in self.types[a].compatible for a, b in ((one, other), (other, one)))


def read_sharing(path: Any) -> SharingTable:
    """Read the guide's JSON file: type → ``compatible_types``, ``sharing_efficiency``, ``memory_reduction``.

    Raises:
        InputError: the file cannot be read.
        FileFormatError: it is no such table.
        UnknownNameError: an unknown key.
    """
    table = read_table(path, "sharing configuration")
    return SharingTable({str(name): _type(f"{path}: {name}", one) for name, one in table.items()}, str(path))


def _type(where: str, given: Any) -> TypeSharing:
    if not isinstance(given, dict):
        raise FileFormatError(f"{where} is {given!r:.80}; it must be a table of {', '.join(_KEYS)}")
    for key in given:
        if key not in _KEYS:
            raise UnknownNameError(f"key of {where},", str(key)[:80], _KEYS)
    types = given.get("compatible_types", [])
    if not isinstance(types, list) or not all(isinstance(one, str) for one in types):
        raise FileFormatError(f"{where}: compatible_types is {types!r:.80}; it must be a list of types")
    parts = [_part(where, key, given.get(key, 0.0)) for key in ("memory_reduction", "sharing_efficiency")]
    return TypeSharing(frozenset(types), parts[0], parts[1])


def _part(where: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0.0 <= value < 1.0:
        raise FileFormatError(f"{where}: {key} is {value!r}; it must be from 0 to below 1")
    return float(value)
