"""Memories of a machine, and the ways between them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mmpredict.hardware.quantity import Frozen, Quantity, ShortName, Text


class MemoryPool(Frozen):
    """A memory and who reads it.

    Attributes:
        capacity_bytes: installed [bytes].
        usable_bytes: what models may take, after the system and what else runs [bytes].
        bandwidth_bytes_per_s: peak read bandwidth of the memory itself, when known [bytes/s].
        unified: whether CPU and GPU share it.
        swap_bytes: size of the device that the system swaps to [bytes].
        kind: the memory chips, for people (``LPDDR5X-8000, 256 bit``).
    """

    capacity_bytes: Quantity
    usable_bytes: Quantity
    bandwidth_bytes_per_s: Quantity | None = None
    unified: bool = Field(default=False, strict=True)
    swap_bytes: Quantity | None = None
    kind: Text = ""

    @model_validator(mode="after")
    def _fits(self) -> MemoryPool:
        if self.usable_bytes.upper > self.capacity_bytes.upper:
            raise ValueError(f"usable_bytes {self.usable_bytes.upper:g} is more than capacity_bytes {self.capacity_bytes.upper:g}")
        return self


class Link(Frozen):
    """A way between two pools, as PCIe between system memory and a graphics card.

    Attributes:
        kind: what it is, for people (``PCIe 4.0 x16``).
        pools: the two pools.
        bandwidth_bytes_per_s: in one direction; the low end is what copies reach, where a source states it [bytes/s].
    """

    kind: Text
    pools: tuple[ShortName, ShortName]
    bandwidth_bytes_per_s: Quantity

    @model_validator(mode="after")
    def _two(self) -> Link:
        if self.pools[0] == self.pools[1]:
            raise ValueError(f"pools names {self.pools[0]!r} twice; a link is between two")
        return self


class Storage(Frozen):
    """A device that model files are read from.

    Attributes:
        kind: what it is.
        model: its name, for people.
        read_bytes_per_s: sequential read bandwidth [bytes/s].
        capacity_bytes: size, when known [bytes].
    """

    kind: Literal["nvme", "ssd", "hdd", "emmc", "sd-card", "usb", "network", "browser", "unknown"]
    model: Text = ""
    read_bytes_per_s: Quantity
    capacity_bytes: Quantity | None = None


Pools = Annotated[dict[ShortName, MemoryPool], Field(min_length=1, max_length=64)]
