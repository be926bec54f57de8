"""Energy of a run by what a machine draws when idle and when busy: a line between the two, which is an assumption."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from mmpredict.errors import InputError
from mmpredict.results.records import Records

if TYPE_CHECKING:
    from mmpredict.hardware.profile import HardwareProfile

WORK = ("load", "prefill", "decode")


@dataclass(frozen=True, slots=True)
class Power:
    """What a machine draws.

    Attributes:
        idle_w: when idle [W].
        peak_w: with all cores busy, or the GPU [W].
    """

    idle_w: float
    peak_w: float

    def energy_j(self, records: Records, makespan_s: float, on_gpu: bool) -> float:
        """Energy over a run: idle all the time, and the rest in proportion to busy cores, or while a GPU's servers work [J]."""
        work = [row for row in records.activities if row.kind in WORK]
        if on_gpu:
            busy_s = covered_s((row.start_s, row.end_s) for row in work if row.kind != "load")
        else:
            cores = [row for row in records.states if row.resource == "cores"]
            busy_s = sum(row.used / row.capacity * (after.time_s - row.time_s) for row, after in pairwise(cores))
        return self.idle_w * makespan_s + (self.peak_w - self.idle_w) * min(busy_s, makespan_s)


def power_of(profile: HardwareProfile) -> Power | None:
    """What the machine of a profile draws, where it says both."""
    if profile.idle_w is None or profile.peak_w is None:
        return None
    return Power(profile.idle_w.value, profile.peak_w.value)


def require_power(profile: HardwareProfile) -> Power:
    """What the machine of a profile draws.

    Raises:
        InputError: it does not say.
    """
    found = power_of(profile)
    if found is None:
        missing = " and ".join(name for name in ("idle_w", "peak_w") if getattr(profile, name) is None)
        raise InputError(
            f"the profile of {profile.name} does not know {missing} of the whole machine, so energy cannot be told; add it to a "
            "profile of your own (docs/hardware.md) or choose another goal"
        )
    return found


def covered_s(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of spans of time [s]."""
    total_s, end_s = 0.0, float("-inf")
    for start_s, stop_s in sorted(spans):
        if stop_s > end_s:
            total_s += stop_s - max(start_s, end_s)
            end_s = stop_s
    return total_s
