"""The guide's contention factors, measured in a simulated run, and contention parameters that a file states."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from mmpredict.compat.json_file import read_table
from mmpredict.cost.contention import Contention, Demand, Sharing
from mmpredict.cost.sharing import MachineSharing
from mmpredict.errors import InputError, UnknownNameError

_MOST = {"slice_s": 10.0, "stacked_layer_s": 10.0, "crowding": 3.0}
_OF_THE_GPU = ("slice_s", "gpu_efficiency")
_OF_THE_CPU = tuple(field.name for field in fields(Contention) if field.name != "cores")


class Slowdowns:
    """What each resource costs the work of a run, told of every change of company (``simulation.machine.Watch``).

    Per activity, alone → together is divided in two: sharing cores or a GPU's time, and what sharing the memory's bandwidth adds::

        compute = work alone ÷ progress if nobody needed bandwidth,   memory bandwidth = that progress ÷ the real one

    summed over the time in which members serve; loads count as company, not as work.

    Args:
        sharing: law of the machine.
    """

    def __init__(self, sharing: Sharing) -> None:
        self._sharing = sharing
        self._since_s = 0.0
        self._rates: list[tuple[float, float]] = []  # of those that serve: real, and if nobody needed bandwidth
        self._time = self._by_compute = self._work = 0.0

    def __call__(self, now_s: float, running: Sequence[Demand], rates: Sequence[float]) -> None:
        """What runs has changed."""
        span_s, self._since_s = now_s - self._since_s, now_s
        for real, without in self._rates:
            self._time += span_s
            self._work += span_s * real
            self._by_compute += span_s * (real / without)
        free = _without_bandwidth(self._sharing, running) if len(running) > 1 else [1.0] * len(running)
        self._rates = [
            (real, max(real, other)) for demand, real, other in zip(running, rates, free, strict=True) if demand.phase != "load"
        ]

    @property
    def compute(self) -> float:
        """Time ÷ time alone that sharing processors costs; 1 without company [1]."""
        return self._by_compute / self._work if self._work else 1.0

    @property
    def memory_bandwidth(self) -> float:
        """The same that sharing the memory's bandwidth costs besides; 1 without company [1]."""
        return self._time / self._by_compute if self._by_compute else 1.0


def _without_bandwidth(sharing: Sharing, running: Sequence[Demand]) -> list[float]:
    """Rates if nobody needed bandwidth; what full cores take from each other is taken to be that."""
    if isinstance(sharing, Contention):
        sharing = replace(sharing, within_efficiency=1.0)
    elif isinstance(sharing, MachineSharing):
        sharing = replace(sharing, cpu=replace(sharing.cpu, within_efficiency=1.0))
    return sharing.rates([replace(demand, bandwidth=0.0, disk=0.0) for demand in running])


@dataclass(frozen=True, slots=True)
class StatedContention:
    """Parameters of the laws of sharing that a file states instead of what was measured.

    Attributes:
        values: parameter → value.
        source: the file.
    """

    values: Mapping[str, float]
    source: str

    def applied(self, sharing: Sharing) -> Sharing:
        """The law with these parameters; those of a GPU say nothing where the CPU works alone."""
        cpu: dict[str, Any] = {name: value for name, value in self.values.items() if name in _OF_THE_CPU}
        if isinstance(sharing, Contention):
            return replace(sharing, **cpu)
        if isinstance(sharing, MachineSharing):
            gpu: dict[str, Any] = {name: value for name, value in self.values.items() if name in _OF_THE_GPU}
            return replace(sharing, cpu=replace(sharing.cpu, **cpu), **gpu)
        return sharing


def read_contention(path: Any) -> StatedContention:
    """Read a JSON table of parameters: those of ``cost.contention.Contention`` and ``cost.sharing.MachineSharing``.

    Raises:
        InputError: the file cannot be read, or a value is out of range.
        UnknownNameError: no such parameter.
    """
    table = read_table(path, "contention model")
    values: dict[str, float] = {}
    for name, value in table.items():
        if name not in (*_OF_THE_CPU, *_OF_THE_GPU):
            raise UnknownNameError("contention parameter", str(name)[:80], (*_OF_THE_CPU, *_OF_THE_GPU))
        most = _MOST.get(name, 1.0)
        least = 0.0 if name in ("crowding", "stacked_layer_s") else 1e-4
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not least <= value <= most:
            raise InputError(f"{path}: {name} is {value!r}; it must be a number from {least:g} to {most:g}")
        values[name] = float(value)
    return StatedContention(values, str(path))
