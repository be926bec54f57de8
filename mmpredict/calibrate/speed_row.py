"""One measured speed of one model on one machine, as coefficients are fitted from it, and tables of them (CSV)."""

from __future__ import annotations

import csv
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from mmpredict.errors import FileFormatError, InputError

MAX_FILE_BYTES = 64_000_000
MAX_TOKENS = 2**26
MAX_RATE = 1e9
FIRST_CURRENT_BUILD, FIRST_CURRENT_DATE = 8400, "2026-03-15"
"""llama.cpp's build, and its date, from which recurrent layers and attention have today's kernels."""

VULKAN_PROMPTS_BUILD, VULKAN_PROMPTS_DATE = 7900, "2026-02-01"
"""The same for prompts with Vulkan: pull requests 18749 and 19075 of January 2026, both measured on a Radeon 8060S, made
multiplications 36 to 76 % faster and rebuilt attention; single tokens have other kernels."""

SERVER = "server"
"""Word of notes by which rows of a server are known."""

_OLDEST_BUILD = 1500  # lower numbers are those of other projects, which count their own builds
_BUILD = re.compile(r"(?<![0-9a-f])b?(\d{4,5})(?![0-9a-f])")


@dataclass(frozen=True, slots=True)
class SpeedRow:
    """A measurement with its conditions; empty where the source does not say.

    Attributes:
        machine, mode: hardware profile, and its power mode.
        processor: what computed, ``gpu`` or ``cpu``.
        engine, backend, build: program, its programming interface, its version.
        model, file_type: a model of the catalog, and the mix of weight types as printed.
        size_bytes: of the file; 0 where unknown [bytes].
        n_prompt, n_gen: tokens of the test, one of them 0 [tokens].
        depth: cells of each sequence before [tokens].
        parallel: sequences at once [1].
        n_ubatch: physical batch; 0 where unknown [tokens].
        threads: of a CPU; 0 where unknown [1].
        flash_attention: 1, 0 or empty.
        key_type: storage of the cache.
        tokens_per_s: of all sequences together [tokens/s].
        stddev: between repetitions [tokens/s].
        source, date, note: where and when it was published, and what else the source says.
    """

    machine: str
    mode: str
    processor: Literal["gpu", "cpu"]
    engine: str
    backend: str
    build: str
    model: str
    file_type: str
    size_bytes: int
    n_prompt: int
    n_gen: int
    depth: int
    parallel: int
    n_ubatch: int
    threads: int
    flash_attention: str
    key_type: str
    tokens_per_s: float
    stddev: float
    source: str
    date: str
    note: str

    @property
    def phase(self) -> Literal["prompt", "decode"]:
        """What was measured."""
        return "decode" if self.n_gen else "prompt"

    @property
    def seconds(self) -> float:
        """Duration of the test [s]."""
        return self.parallel * (self.n_gen or self.n_prompt) / self.tokens_per_s

    @property
    def early(self) -> bool:
        """Whether the build lacks today's kernels for attention and multiplications, by its number or by its date."""
        if self.backend == "vulkan" and self.phase == "prompt":
            return self._is_older(VULKAN_PROMPTS_BUILD, VULKAN_PROMPTS_DATE)
        return self._is_older(FIRST_CURRENT_BUILD, FIRST_CURRENT_DATE)

    @property
    def early_recurrence(self) -> bool:
        """Whether it lacks today's kernels for recurrent layers."""
        return self._is_older(FIRST_CURRENT_BUILD, FIRST_CURRENT_DATE)

    def _is_older(self, build: int, date: str) -> bool:
        found = _BUILD.search(self.build)
        number = int(found[1]) if found else 0
        return _OLDEST_BUILD < number < build or (len(self.date) > 4 and self.date < date)

    @property
    def served(self) -> bool:
        """Whether the speed follows from the time to the first token of a request."""
        return "from ttft" in self.note

    @property
    def sampled(self) -> bool:
        """Whether a server sampled the tokens."""
        return SERVER in self.note or self.engine.lower() == "ollama"

    @property
    def configuration(self) -> tuple[Any, ...]:
        """What repeats of the same measurement share."""
        return (self.model, self.file_type, self.size_bytes, *self.test)

    @property
    def test(self) -> tuple[Any, ...]:
        """What was asked of the model."""
        return (self.n_prompt, self.n_gen, self.depth, self.parallel, self.n_ubatch, self.key_type)


COLUMNS = tuple(field.name for field in fields(SpeedRow))
_WHOLE = ("size_bytes", "n_prompt", "n_gen", "depth", "parallel", "n_ubatch", "threads")
_REAL = ("tokens_per_s", "stddev")


def read_rows(path: Path) -> list[SpeedRow]:
    """Rows of a table.

    Raises:
        InputError: the file cannot be read.
        FileFormatError: a line is not a row; the message names it.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise FileFormatError(f"{path} is larger than {MAX_FILE_BYTES} bytes; it is no table of speeds")
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the table {path}: {error}") from error
    reader = csv.DictReader(lines)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise FileFormatError(f"{path} does not begin with the columns {','.join(COLUMNS)}")
    rows = []
    for number, cells in enumerate(reader, start=2):
        try:
            rows.append(_row(cells))
        except (ValueError, TypeError) as error:
            raise FileFormatError(f"{path}, line {number}: {error}") from error
    return rows


def _row(cells: dict[str, str]) -> SpeedRow:
    if None in cells or None in cells.values():
        raise ValueError(f"a row has {len(COLUMNS)} cells")
    values: dict[str, Any] = dict(cells)
    for name in _WHOLE:
        values[name] = int(cells[name] or 0)
        if not 0 <= values[name] <= (2**50 if name == "size_bytes" else MAX_TOKENS):
            raise ValueError(f"{name} is {cells[name]}; it must be a whole number that is possible")
    for name in _REAL:
        values[name] = float(cells[name] or 0)
    if not 0 < values["tokens_per_s"] < MAX_RATE:
        raise ValueError(f"tokens_per_s is {cells['tokens_per_s']}; it must be above 0")
    if values["processor"] not in ("gpu", "cpu"):
        raise ValueError(f"processor is {cells['processor']!r}; it must be gpu or cpu")
    if (values["n_prompt"] > 0) == (values["n_gen"] > 0) or values["parallel"] < 1:
        raise ValueError("one of n_prompt and n_gen must be 0 and the other not, and parallel at least 1")
    return SpeedRow(**values)


def write_rows(rows: list[SpeedRow]) -> bytes:
    """The table of rows, as ``read_rows`` takes it."""
    import io

    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: value or "" if name != "parallel" else value for name, value in asdict(row).items()})
    return text.getvalue().encode()
