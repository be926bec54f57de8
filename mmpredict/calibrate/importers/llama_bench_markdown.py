"""The Markdown table that llama-bench prints, as people paste it: any columns, with or without its surroundings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mmpredict.calibrate.importers.fields import MAX_PARAMETERS, MAX_SIZE_BYTES
from mmpredict.calibrate.importers.llama_bench import bench_row
from mmpredict.calibrate.importers.row import BenchRow, Found, Rejected, RowError

COLUMNS = {"test", "t/s"}
"""Columns that every version has."""
PARAMETER_UNITS = {"k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}
"""Factors of a printed number of parameters, as in ``8.03 B``."""

_RULE = re.compile(r"[\s|:=-]+")
_TEST = re.compile(r"(?:pp ?(\d{1,9}))?\+?(?:tg ?(\d{1,9}))?(?: *@ *d ?(\d{1,9}))?", re.IGNORECASE)
_SPEED = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(?: *(?:±|\+/-|\+-|\\pm|&plusmn;) *([0-9]{1,12}(?:\.[0-9]{1,9})?))?")
_AMOUNT = re.compile(r"([0-9]{1,7}(?:\.[0-9]{1,6})?) *([KMGTB]i?B?)", re.IGNORECASE)
_BYTES = {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_BUILD = re.compile(r"\s*[*`]*build:\s*[*`]*\s*([0-9A-Za-z._-]{1,40}(?: \([0-9]{1,9}\))?)")
_CUDA_DEVICE = re.compile(r"\s*Device \d{1,3}: ([^,]{1,120}),")
_VULKAN_DEVICE = re.compile(r"ggml_vulkan: \d{1,3} = ([^|]{1,120}?) *\|")


def read_markdown(text: str, file: str) -> Iterator[Found]:
    """Rows of llama-bench's tables; the build is named below a table, the devices above it."""
    names: list[str] = []
    table: list[Found] = []
    devices: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        cells = table_cells(line)
        if set(cells) >= COLUMNS:
            yield from _built(table, None, devices)
            names, table = cells, []
        elif device := _CUDA_DEVICE.match(line) or _VULKAN_DEVICE.match(line):
            if table:  # the next run begins
                yield from _built(table, None, devices)
                table, devices, names = [], [], []
            devices.append(device[1].strip())
        elif build := _BUILD.match(line):
            yield from _built(table, build[1], devices)
            table, devices = [], []
        elif names and len(cells) > 1 and not is_rule(line):
            try:
                table.append(bench_row(_fields(names, cells), file, number))
            except RowError as error:
                table.append(Rejected(number, str(error)))
    yield from _built(table, None, devices)


def table_cells(line: str) -> list[str]:
    """Cells of a line of a Markdown table without the marks of bold and code; a line without bars is one cell."""
    bare = line.strip().removeprefix("|").removesuffix("|")
    return [cell.strip().strip("*`").strip() for cell in bare.split("|")]


def is_rule(line: str) -> bool:
    """Whether a line is the one between a table's names and its rows."""
    return _RULE.fullmatch(line) is not None


def amount(cell: str | None, name: str, units: dict[str, int], largest: int) -> int | None:
    """Bytes or parameters; to the digits that were printed."""
    if cell is None or cell.lower() in ("?", "-", "n/a"):
        return None
    found = _AMOUNT.fullmatch(cell)
    factor = units.get(found[2].lower()) if found else None
    if found is None or factor is None or float(found[1]) * factor > largest:
        raise RowError(f"{name} {cell[:40]!r} is no amount such as {'4.58 GiB' if units is _BYTES else '8.03 B'}")
    return round(float(found[1]) * factor)


def _built(table: list[Found], build: str | None, devices: list[str]) -> Iterator[Found]:
    machine = ", ".join(dict.fromkeys(devices)) or None
    for found in table:
        yield replace(found, build=build, machine=machine) if isinstance(found, BenchRow) else found


def _fields(names: list[str], cells: list[str]) -> dict[str, Any]:
    """A line of the table in the words of llama-bench's other formats."""
    if len(cells) != len(names):
        raise RowError(f"it has {len(cells)} cells for {len(names)} columns")
    fields: dict[str, Any] = {name: cell for name, cell in zip(names, cells, strict=True) if cell}
    test, speed = _TEST.fullmatch(fields.pop("test", "")), _SPEED.fullmatch(fields.pop("t/s", ""))
    if test is None or not (test[1] or test[2]):
        raise RowError(f"test {cells[names.index('test')][:40]!r} is none of pp512, tg128, pp512+tg128, each perhaps with @ d4096")
    if speed is None:
        raise RowError(f"t/s {cells[names.index('t/s')][:40]!r} is no speed such as 71.33 ± 0.25")
    fields |= {"n_prompt": test[1] or "0", "n_gen": test[2] or "0", "n_depth": test[3] or "0"}
    fields |= {"avg_ts": speed[1], "stddev_ts": speed[2]}
    fields["model_size"] = amount(fields.pop("size", None), "size", _BYTES, MAX_SIZE_BYTES)
    fields["model_n_params"] = amount(fields.pop("params", None), "params", PARAMETER_UNITS, MAX_PARAMETERS)
    return fields
