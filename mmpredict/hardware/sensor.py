"""What sensors of this machine say at one moment, and what their powers come to together."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

POWER = "power"

Part = Literal["board", "rail", "package", "integrated", "card", ""]
"""What a power stands for: a whole board's input, one of its rails, a processor package with its memory, a package as its
integrated GPU reports it, or a card; empty for what is no power."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of one sensor.

    Attributes:
        resource: ``vram:NAME`` and ``gtt:NAME`` [bytes], ``power:NAME`` [W], ``temperature:NAME`` [degrees Celsius].
        used: the value.
        capacity: its limit; ``nan`` where the sensor does not tell it.
        part: what a power stands for.
    """

    resource: str
    used: float
    capacity: float = math.nan
    part: Part = ""


class Sensor(Protocol):
    """Something that can be read again and again."""

    def read(self, now_s: float) -> list[Reading]:
        """What it says now; what it does not say is left out, never 0.

        Args:
            now_s: a clock that only goes forward [s].
        """

    def close(self) -> None:
        """Let go of what it holds."""


def machine_power(readings: Iterable[Reading]) -> Reading | None:
    """The power of the machine, as far as its sensors tell it, without counting a part twice; ``None`` where none does.

    A board's input counts everything. Otherwise rails, packages and cards are added; an integrated GPU reports its whole package,
    so it counts where no package does.
    """
    by_part: dict[str, list[Reading]] = {}
    for reading in readings:
        if reading.part:
            by_part.setdefault(reading.part, []).append(reading)
    if "board" in by_part:
        counted = by_part["board"]
    else:
        processors = by_part.get("package") or by_part.get("integrated") or []
        counted = [*by_part.get("rail", []), *processors, *by_part.get("card", [])]
    if not counted:
        return None
    return Reading(POWER, sum(reading.used for reading in counted), sum(reading.capacity for reading in counted))
