"""llama-bench's comma-separated values: a line of names, then every value in double quotes."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from mmpredict.calibrate.importers.llama_bench import bench_row
from mmpredict.calibrate.importers.row import Found, Rejected, RowError

NAMES = {"n_prompt", "n_gen", "avg_ts"}
"""Names that every version's first line has."""


def read_csv(text: str, file: str) -> Iterator[Found]:
    """Rows of ``llama-bench -o csv``; several outputs may follow one another, each with its line of names."""
    names: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            cells = next(csv.reader([line], strict=True, skipinitialspace=True))
            if set(cells) >= NAMES:
                names = [cell.strip() for cell in cells]
                continue
            if not names:
                raise RowError("it comes before the line of names")
            if len(cells) != len(names):
                raise RowError(f"it has {len(cells)} values for {len(names)} names")
            filled = {name: cell for name, cell in zip(names, cells, strict=True) if cell != ""}
            yield bench_row(filled, file, number)
        except csv.Error as error:
            yield Rejected(number, f"no comma-separated values: {error}")
        except RowError as error:
            yield Rejected(number, str(error))
