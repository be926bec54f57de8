"""Plain data taken apart with a place for every complaint: ``predictions.swap.records.requests[3].arrival_s is 'x'``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, NoReturn, TypeVar

from mmpredict.errors import FileFormatError
from mmpredict.results.columns import ActivityRow, RequestRow, StateRow
from mmpredict.results.records import Records

MAX_ROWS = 2_000_000
MAX_TEXT = 4000
MAX_NUMBER = 1e21
"""Beyond all times, sizes and counts: a number that large was not written by us."""

_Row = TypeVar("_Row", RequestRow, ActivityRow, StateRow)


@dataclass(frozen=True, slots=True)
class Field:
    """A value in a document, and where it is.

    Attributes:
        value: as JSON holds it.
        document: name of the document.
        path: keys and positions that lead to the value; empty for the whole document.
    """

    value: object
    document: str
    path: str = ""

    def refuse(self, complaint: str) -> NoReturn:
        """Raises: FileFormatError: always; document and path stand before the complaint."""
        place = f"{self.document}: {self.path}" if self.path else self.document
        raise FileFormatError(f"{place} {complaint}")

    def mapping(self) -> Mapping[str, object]:
        """The value as an object with keys."""
        if not isinstance(self.value, Mapping):
            self.refuse(f"is {_shown(self.value)}; it must be an object")
        return self.value

    def at(self, key: str) -> Field:
        """The field under a key, which must be there."""
        found = self.get(key)
        if found is None and self.mapping().get(key, self) is self:
            self.refuse(f"has no {key!r}; was it cut off, or written by another release?")
        return found or Field(None, self.document, self._path_to(key))

    def get(self, key: str) -> Field | None:
        """The field under a key; None where there is none, or null."""
        value = self.mapping().get(key)
        return None if value is None else Field(value, self.document, self._path_to(key))

    def _path_to(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def entries(self, most: int) -> dict[str, Field]:
        """Fields by key, at most so many, each key a name of usual length."""
        found = self.mapping()
        if len(found) > most:
            self.refuse(f"has {len(found)} entries; at most {most} are read")
        return {Field(key, self.document, f"{self.path}: a key").text(): self.at(key) for key in found}

    def items(self, most: int) -> list[Field]:
        """Fields of a list, at most so many."""
        if not isinstance(self.value, list):
            self.refuse(f"is {_shown(self.value)}; it must be a list")
        if len(self.value) > most:
            self.refuse(f"has {len(self.value)} items; at most {most} are read")
        return [Field(item, self.document, f"{self.path}[{number}]") for number, item in enumerate(self.value)]

    def text(self) -> str:
        """The value as text."""
        if not isinstance(self.value, str) or len(self.value) > MAX_TEXT:
            self.refuse(f"is {_shown(self.value)}; it must be text of at most {MAX_TEXT} characters")
        return self.value

    def number(self, unknown: bool = False) -> float:
        """The value as a number; null is ``nan`` where it may be ``unknown``."""
        if self.value is None and unknown:
            return math.nan
        if isinstance(self.value, bool) or not isinstance(self.value, int | float) or not abs(self.value) <= MAX_NUMBER:
            self.refuse(f"is {_shown(self.value)}; it must be a number{' or null' if unknown else ''}")
        return float(self.value)

    def whole(self, most: float = MAX_NUMBER) -> int:
        """The value as a whole number, up to ``most``."""
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not abs(self.value) <= most:
            self.refuse(f"is {_shown(self.value)}; it must be a whole number of at most {most:g}")
        return self.value


def read_records(found: Field) -> Records:
    """Records as ``Records.to_dict`` writes them.

    Raises:
        FileFormatError: a table or column is missing, unknown, or of another kind.
    """
    records = Records(
        found.at("origin").text(),
        _rows(found.at("requests"), RequestRow),
        _rows(found.at("activities"), ActivityRow),
        _rows(found.at("states"), StateRow),
    )
    for number, row in enumerate(records.activities):
        if row.end_s < row.start_s:
            found.at("activities").items(MAX_ROWS)[number].refuse(f"ends at {row.end_s} s, before it begins")
    return records


def _rows(table: Field, row_type: type[_Row]) -> list[_Row]:
    kinds = {one.name: (str(one.type), one.default is MISSING) for one in fields(row_type)}
    rows = []
    for entry in table.items(MAX_ROWS):
        values: dict[str, Any] = {}
        for name, value in entry.mapping().items():
            if name not in kinds:
                entry.refuse(f"has an unknown column {_shown(name)}; known: {', '.join(kinds)}")
            kind = kinds[name][0]
            # The quick way for the many; the slow one says what is wrong.
            if kind == "float" and type(value) is float and abs(value) <= MAX_NUMBER:
                values[name] = value
            else:
                cell = Field(value, entry.document, f"{entry.path}.{name}")
                values[name] = cell.text() if kind == "str" else cell.whole() if kind == "int" else cell.number(unknown=True)
        missing = [name for name, (_, required) in kinds.items() if required and name not in values]
        if missing:
            entry.refuse(f"lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}")
        rows.append(row_type(**values))
    return rows


def _shown(value: object) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
