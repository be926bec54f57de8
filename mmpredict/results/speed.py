"""What an estimate of speed says: figures in llama-bench's words, with intervals and where they come from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Unit = Literal["t/s", "s"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One speed or time with its 80 % interval.

    Attributes:
        test: as llama-bench names it (``pp512``, ``tg128 @ d4096``), or what is timed.
        value, low, high: best known value and bounds, in ``unit``.
        unit: tokens per second, or seconds.
    """

    test: str
    value: float
    low: float
    high: float
    unit: Unit


@dataclass(frozen=True, slots=True)
class SpeedEstimate:
    """How fast one model is, alone on the machine.

    Attributes:
        model: name by which it was asked for.
        processor, backend: what computes, and by which programming interface.
        basis: ``own`` runs, ``published`` runs of the same hardware, of its ``family``, or the ``data sheet``.
        source: the same for people.
        figures: speeds and times.
        verify: command that measures the same.
        doubts: what is assumed.
        missing: why there are no figures; empty where there are.
    """

    model: str
    processor: str
    backend: str
    basis: str
    source: str
    figures: tuple[Figure, ...]
    verify: str = ""
    doubts: tuple[str, ...] = ()
    missing: str = ""

    def figure(self, test: str) -> Figure:
        """The figure of a test.

        Raises:
            KeyError: there is none.
        """
        for one in self.figures:
            if one.test == test:
                return one
        raise KeyError(test)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self) | {"figures": [asdict(one) for one in self.figures], "doubts": list(self.doubts)}
