"""Rows of a comma-separated file by the names of their columns."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from pathlib import Path

from mmpredict.errors import FileFormatError
from mmpredict.workload.traces.lines import lines


def rows(path: Path, needed: Collection[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows with their lines; the first line names the columns, of which others than the needed ones may be there.

    Raises:
        FileFormatError: a needed column is missing, or a row has not as many cells as there are columns.
    """
    names: list[str] = []
    for number, line in lines(path):
        cells = [cell.strip() for cell in (line.split(",") if '"' not in line else _quoted(line, path, number))]
        if not names:
            names = cells
            missing = [name for name in needed if name not in names]
            if missing:
                raise FileFormatError(f"{path}, line {number}: there is no column {missing[0]!r}; needed: {', '.join(needed)}")
        elif len(cells) != len(names):
            raise FileFormatError(f"{path}, line {number}: it has {len(cells)} cells, but there are {len(names)} columns")
        else:
            yield number, dict(zip(names, cells, strict=True))


def _quoted(line: str, path: Path, number: int) -> list[str]:
    try:
        return next(csv.reader([line]))
    except csv.Error as error:
        raise FileFormatError(f"{path}, line {number}: {error}") from error
