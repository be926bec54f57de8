"""Predicted speed held against a real server: one row per test, and a summary beside the noise of the measurement itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

Phase = Literal["prompt", "decode"]
PHASES: tuple[Phase, ...] = ("prompt", "decode")
TOLERANCE_FRAC: dict[Phase, float] = {"prompt": 0.20, "decode": 0.20}
"""Largest median of the absolute error that still passes: a busy machine drifts by half of that within minutes."""


@dataclass(frozen=True, slots=True)
class TimedRow:
    """One test on one server, predicted and measured.

    Attributes:
        model, test: what was run; the test in llama-bench's words.
        phase: whether prompts or generated tokens were timed.
        tokens: of the test, all sequences together [tokens].
        predicted_s, low_s, high_s: duration and its 80 % interval [s].
        measured_s: of every repeat [s].
    """

    model: str
    test: str
    phase: Phase
    tokens: int
    predicted_s: float
    low_s: float
    high_s: float
    measured_s: tuple[float, ...]

    @property
    def middle_s(self) -> float:
        """Median of the repeats [s]."""
        return median(self.measured_s)

    @property
    def error_frac(self) -> float:
        """(predicted − measured) ÷ measured duration [1]."""
        return self.predicted_s / self.middle_s - 1

    @property
    def noise_frac(self) -> float:
        """How far repeats are from their median, in the median [1]."""
        return median(abs(one / self.middle_s - 1) for one in self.measured_s)

    @property
    def inside(self) -> bool:
        """Whether the median lies in the interval."""
        return self.low_s <= self.middle_s <= self.high_s

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        own = {"error_frac": self.error_frac, "noise_frac": self.noise_frac, "inside": self.inside}
        return asdict(self) | {"measured_s": list(self.measured_s)} | own


def summary(rows: Sequence[TimedRow]) -> dict[str, Any]:
    """Per phase: rows, median and largest absolute error, median noise, share inside the interval [1]."""
    found: dict[str, Any] = {}
    for phase in PHASES:
        own = [row for row in rows if row.phase == phase]
        if own:
            errors = [abs(row.error_frac) for row in own]
            found[phase] = {
                "rows": len(own),
                "median_error_frac": median(errors),
                "largest_error_frac": max(errors),
                "bias_frac": median(row.error_frac for row in own),
                "median_noise_frac": median(row.noise_frac for row in own),
                "inside_frac": sum(row.inside for row in own) / len(own),
            }
    return found


def passed(rows: Sequence[TimedRow]) -> bool:
    """Whether the median error of each phase is within its tolerance."""
    found = summary(rows)
    return all(found[phase]["median_error_frac"] <= TOLERANCE_FRAC[phase] for phase in PHASES if phase in found)
