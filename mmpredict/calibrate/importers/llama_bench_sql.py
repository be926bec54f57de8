"""llama-bench's SQL, read by a grammar of its INSERT statements; nothing is executed.

::

    INSERT INTO llama_bench (name, …) VALUES ('value', …);

The table was called ``test`` in older builds. A quote inside a value is doubled; llama-bench itself forgets to, and such a row is
refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mmpredict.calibrate.importers.llama_bench import bench_row
from mmpredict.calibrate.importers.row import Found, Rejected, RowError

_CREATE = re.compile(r"\s*CREATE\s+TABLE\b", re.IGNORECASE)
_HEAD = re.compile(r"\s*INSERT\s+INTO\s+(?:llama_bench|test)\s*\(([a-z0-9_, ]{1,4000})\)\s*VALUES\s*\(\s*", re.IGNORECASE)
_VALUE = re.compile(r"'((?:[^']|'')*)'|([+-]?[0-9][0-9.eE+-]{0,60})|(NULL)", re.IGNORECASE)
_COMMA = re.compile(r"\s*,\s*")
_TAIL = re.compile(r"\s*\)\s*;\s*")


def read_sql(text: str, file: str) -> Iterator[Found]:
    """Rows of ``llama-bench -o sql``."""
    in_table = False
    for number, line in enumerate(text.splitlines(), start=1):
        if in_table or _CREATE.match(line):
            in_table = not line.rstrip().endswith(";")
            continue
        if not line.strip() or line.lstrip().startswith("--"):
            continue
        try:
            yield bench_row(_inserted(line), file, number)
        except RowError as error:
            yield Rejected(number, str(error))


def _inserted(line: str) -> dict[str, str]:
    head = _HEAD.match(line)
    if head is None:
        raise RowError("it is no INSERT INTO llama_bench (…) VALUES (…);")
    names = [name.strip() for name in head[1].split(",")]
    values: list[str | None] = []
    position = head.end()
    while True:
        found = _VALUE.match(line, position)
        if found is None:
            raise RowError(f"value {len(values) + 1} is neither a quoted text nor a number")
        quoted, number, _ = found.groups()
        values.append(quoted.replace("''", "'") if quoted is not None else number)
        comma = _COMMA.match(line, found.end())
        if comma is None:
            break
        position = comma.end()
    if not _TAIL.fullmatch(line, found.end()):
        raise RowError(f"after value {len(values)} there is neither a comma nor the end of the statement")
    if len(values) != len(names):
        raise RowError(f"it has {len(values)} values for {len(names)} names")
    return {name: value for name, value in zip(names, values, strict=True) if value}
