"""Predicted memory held against measured memory: one row per part of a server, tolerances, and a summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

from mmpredict.units import MIB

Part = Literal["weights", "cache", "compute buffer", "output buffer", "process", "two processes"]
PARTS: tuple[Part, ...] = ("weights", "cache", "compute buffer", "output buffer", "process", "two processes")
TOLERANCE_BYTES = 1 * MIB
"""Largest difference where bytes are known exactly; the log rounds to 0.01 MiB."""
TOLERANCE_FRAC: dict[Part, float] = {"compute buffer": 0.10, "process": 0.05, "two processes": 0.05}
"""Largest relative error of the other parts."""
PROCESS_MEDIAN_FRAC = 0.02
"""Largest median of the relative error of a process."""


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """One part of one server's memory, predicted and measured [bytes]."""

    model: str
    architecture: str
    options: str
    part: Part
    predicted_bytes: float
    measured_bytes: float

    @property
    def error_frac(self) -> float:
        """(predicted − measured) ÷ measured [1]."""
        return self.predicted_bytes / self.measured_bytes - 1 if self.measured_bytes else float(self.predicted_bytes > 0)

    @property
    def within(self) -> bool:
        """Whether the error is within the part's tolerance."""
        if self.part in TOLERANCE_FRAC:
            return abs(self.error_frac) <= TOLERANCE_FRAC[self.part] or abs(self._difference_bytes) <= TOLERANCE_BYTES
        return abs(self._difference_bytes) <= TOLERANCE_BYTES

    @property
    def _difference_bytes(self) -> float:
        return self.predicted_bytes - self.measured_bytes

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "error_frac": self.error_frac, "within": self.within}


def summary(rows: Sequence[MemoryRow]) -> dict[str, Any]:
    """Per part: how many, median and largest absolute error [1], whether all are within tolerance."""
    parts: dict[str, Any] = {}
    for part in PARTS:
        own = [row for row in rows if row.part == part]
        if own:
            errors = [abs(row.error_frac) for row in own]
            parts[part] = {
                "rows": len(own),
                "median_error_frac": median(errors),
                "largest_error_frac": max(errors),
                "within": all(row.within for row in own),
            }
    return parts


def passed(rows: Sequence[MemoryRow]) -> bool:
    """Whether every row is within tolerance, and the median of processes too."""
    processes = summary(rows).get("process", {"median_error_frac": 0.0})
    return all(row.within for row in rows) and processes["median_error_frac"] <= PROCESS_MEDIAN_FRAC
