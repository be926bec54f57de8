"""What llama.cpp answered (``benchmarks/oracle_graph.py``), read back."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmpredict.models.cache import CacheOptions
from mmpredict.models.shape import Experts, Latent, Recurrent, Shape, Window

DATA = Path(__file__).parent / "data"
MIB = 1 << 20
_PARTS = {"window": Window, "latent": Latent, "experts": Experts, "recurrent": Recurrent}


@dataclass(frozen=True)
class Answer:
    """One answer of the engine."""

    shape: Shape
    options: CacheOptions
    outputs: int | None
    bytes: int
    host_bytes: int
    device_bytes: int
    weights: str
    threads: int
    work_bytes: int

    @property
    def label(self) -> str:
        """A name for reports."""
        return f"{self.shape.name}-{self.options.context_tokens}-{self.options.slots}-{self.options.ubatch_tokens}"


def answers(name: str) -> list[Answer]:
    """All answers in a file of ``data``."""
    with (DATA / name).open(newline="") as file:
        return [_answer(row) for row in csv.DictReader(file)]


def _answer(row: Mapping[str, str]) -> Answer:
    number = {name: int(row[name]) for name in ("context", "slots", "ubatch", "outputs", "threads")}
    options = CacheOptions(
        number["context"], number["slots"], number["ubatch"], row["unified"] == "1", row["key"], row["value"], row["flash"] == "1"
    )
    sizes = (int(row[name]) for name in ("bytes", "host_bytes", "device_bytes"))
    shape = _shape(json.loads(row["shape"]))
    return Answer(shape, options, number["outputs"] or None, *sizes, row["weights"], number["threads"], int(row["work_bytes"]))


def _shape(fields: Mapping[str, Any]) -> Shape:
    found = {name: _tuples(value) for name, value in fields.items()}
    for name, part in _PARTS.items():
        if name in found:
            found[name] = part(**{field: _tuples(value) for field, value in found[name].items()})
    return Shape(**found)


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
