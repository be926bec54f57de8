"""A GPU as it was found on this machine, whoever made it."""

from __future__ import annotations

from dataclasses import dataclass, field

from mmpredict.hardware.processor import Backend


@dataclass(frozen=True, slots=True)
class FoundGpu:
    """One GPU.

    Attributes:
        model: its name.
        source: what told of it.
        backends: programming interfaces that its driver offers to engines.
        unified: whether it uses the system's memory.
        memory_bytes: of its own; of an integrated one, the part set aside for it at start [bytes]; None where unknown.
        free_bytes: of that, what is free now [bytes].
        reach_bytes: of the system's memory, what its driver lets it take, where it says so [bytes].
        cores: shader cores or compute units; 0 where unknown.
        architecture: the name that compilers know.
        peak_w: power limit, where the driver tells it [W].
        pcie: generation and lanes of its slot, where known.
        notes: what else is worth saying, as sentences.
    """

    model: str
    source: str
    backends: tuple[Backend, ...]
    unified: bool
    memory_bytes: int | None = None
    free_bytes: int | None = None
    reach_bytes: int | None = None
    cores: int = 0
    architecture: str = ""
    peak_w: float | None = None
    pcie: tuple[int, int] | None = None
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Sighting:
    """What looking for one maker's GPUs came to.

    Attributes:
        gpus: that were found.
        not_seen: what could not be seen, as sentences.
    """

    gpus: tuple[FoundGpu, ...] = ()
    not_seen: tuple[str, ...] = ()


# Transfer rate per lane [bit/s] and what its line code leaves, by generation: PCI Express Base Specification 6.0.
_LANE_BITS_PER_S = {1: 2.5e9, 2: 5e9, 3: 8e9, 4: 16e9, 5: 32e9, 6: 64e9}
_LINE_CODE = {1: 8 / 10, 2: 8 / 10, 3: 128 / 130, 4: 128 / 130, 5: 128 / 130, 6: 242 / 256}
MAX_LANES = 32


def pcie_bytes_per_s(generation: int, lanes: int) -> float | None:
    """Bandwidth of a PCIe slot in one direction, before packet headers [bytes/s]; None for one that does not exist."""
    if generation not in _LANE_BITS_PER_S or not 1 <= lanes <= MAX_LANES:
        return None
    return lanes * _LANE_BITS_PER_S[generation] * _LINE_CODE[generation] / 8
