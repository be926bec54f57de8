"""Predicted against published sizes of model files: ``python benchmarks/published_sizes.py [--all]``.

Three tables of sizes that others published:

- ``published_sizes.csv``: bytes of files on Hugging Face, and what llama-bench prints as the size of the weights. Left out are
  files whose publisher chose the type of every tensor himself (``UD-``, ``Q6_K_L``).
- ``unexplained_sizes.csv``: files that bear the name of a common type, but were left out above after a look at their size.
- ``ollama_sizes.csv``: every tag of Ollama's library that is known here, as listed by https://github.com/Jeffser/Alpaca
  (``src/available_models.json``, ``src/ollama_models.py``; the date is that of the last list with the tag). It was found when the
  catalog was complete; only the table of tags was corrected by it.
"""

from __future__ import annotations

import csv
import re
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmpredict.models.catalog import catalog_spec, row, shape, spec_of
from mmpredict.models.ollama import resolve_tag

DATA = Path(__file__).parents[1] / "tests" / "models" / "data"
UNIT_BYTES = {"byte": 1, "GiB": 2**30}


@dataclass(frozen=True, slots=True)
class Published:
    """One published size.

    Attributes:
        model, quantization: names in the catalog and of the file type.
        imatrix: whether the publisher uses an importance matrix.
        variant: ``copied_output`` when the file repeats a tied embedding table as output matrix; empty otherwise.
        part: ``file``, or ``tensors`` for the weights alone.
        size: as published, in ``unit``, to ``decimals`` digits.
        source, date: who published it, and when.
        reason: why it is left out of the first table; empty otherwise.
    """

    model: str
    quantization: str
    imatrix: str
    variant: str
    part: str
    size: float
    unit: str
    decimals: int
    source: str
    date: str
    reason: str = ""

    @property
    def size_bytes(self) -> float:
        """The published size [bytes]."""
        return self.size * UNIT_BYTES[self.unit]

    @property
    def predicted_bytes(self) -> int:
        """The size that the catalog and the rules give [bytes]."""
        imatrix = True if self.imatrix == "yes" else None
        if self.variant:
            known = row(self.model)
            changed = replace(shape(self.model), tied=False)
            spec = spec_of(changed, self.quantization, known.rules, imatrix, known.tokenizer, known.quantized)
        else:
            spec = catalog_spec(self.model, self.quantization, imatrix=imatrix)
        return spec.file_bytes if self.part == "file" else spec.weight_bytes

    @property
    def error(self) -> float:
        """(predicted − published) / published [1]."""
        return self.predicted_bytes / self.size_bytes - 1


@dataclass(frozen=True, slots=True)
class Listed:
    """A tag of Ollama's library, its size as shown (``4.7GB``), and the date of the list."""

    tag: str
    size: str
    date: str

    @property
    def error(self) -> float:
        """(predicted − shown) / shown [1], less what the rounding of the shown size can hide."""
        match = re.fullmatch(r"([\d.]+)(GB|MB)", self.size)
        assert match, self.size
        unit = 1e9 if match[2] == "GB" else 1e6
        shown, rounding = float(match[1]) * unit, 0.5 * unit / 10 ** len(match[1].partition(".")[2])
        excess = sum(spec.file_bytes for spec in resolve_tag(self.tag).specs()) - shown
        return max(abs(excess) - rounding, 0.0) * (1 if excess > 0 else -1) / shown


def published_sizes(table: str = "published_sizes") -> list[Published]:
    """A table of files: ``published_sizes`` or ``unexplained_sizes``."""
    with (DATA / f"{table}.csv").open(newline="", encoding="utf-8") as file:
        return [
            Published(**{**values, "size": float(values["size"]), "decimals": int(values["decimals"])})  # type: ignore[arg-type]
            for values in csv.DictReader(file)
        ]


def ollama_sizes() -> list[Listed]:
    """The table of Ollama's library."""
    with (DATA / "ollama_sizes.csv").open(newline="", encoding="utf-8") as file:
        return [Listed(**values) for values in csv.DictReader(file)]


def main() -> None:
    """Print the tables and the distributions of errors."""
    rows, unexplained = published_sizes(), published_sizes("unexplained_sizes")
    least = 0.0 if "--all" in sys.argv else 0.002
    for entry in sorted([*rows, *unexplained], key=lambda entry: -abs(entry.error)):
        if abs(entry.error) >= least:
            digits = f"{entry.size:.{entry.decimals}f} {entry.unit}"
            note = entry.reason or entry.source
            print(f"{100 * entry.error:+8.3f} %  {entry.model:28} {entry.quantization:10} {entry.part:8} {digits:>18}  {note}")
    print(f"\n{len({entry.model for entry in rows})} models, {_distribution([entry.error for entry in rows])}")
    print(f"with those left out: {_distribution([entry.error for entry in (*rows, *unexplained)])}")
    tags = ollama_sizes()
    now = max(entry.date for entry in tags)
    for name, listed in (("of the library", tags), (f"in it on {now}", [entry for entry in tags if entry.date == now])):
        errors = [abs(entry.error) for entry in listed]
        within = {limit: sum(error <= limit for error in errors) / len(errors) for limit in (0.0, 0.002, 0.02)}
        shares = ", ".join(f"{100 * share:.1f} % within {100 * limit:g} %" for limit, share in within.items())
        print(f"{len(listed)} Ollama tags {name}, beyond rounding: {shares}")


def _distribution(errors: Sequence[float]) -> str:
    sizes = sorted(abs(error) for error in errors)
    return (
        f"{len(sizes)} sizes: median error {100 * statistics.median(sizes):.4f} %, "
        f"95th percentile {100 * statistics.quantiles(sizes, n=20)[-1]:.3f} %, largest {100 * sizes[-1]:.3f} %"
    )


if __name__ == "__main__":
    main()
