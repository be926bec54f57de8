"""Hardware profiles: what a machine is, each number with its unit and its source."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from mmpredict.errors import FileFormatError, InputError, UnknownNameError
from mmpredict.hardware.complaint import explain
from mmpredict.hardware.memory_pool import Link, MemoryPool, Pools, Storage
from mmpredict.hardware.power_mode import PowerMode, limited_pool, limited_processor
from mmpredict.hardware.processor import Kind, Processor
from mmpredict.hardware.quantity import Frozen, Quantity, ShortName, Text
from mmpredict.hardware.spelling import key

__all__ = [
    "HardwareProfile",
    "Link",
    "MemoryPool",
    "PowerMode",
    "Processor",
    "Quantity",
    "Storage",
    "load_profile",
    "parse_profile",
]

MAX_PROFILE_BYTES = 1_000_000
LIKE_PATTERN = r"^([a-z0-9][a-z0-9._-]*(:[a-z0-9][a-z0-9._-]*)?)?$"


class HardwareProfile(Frozen):
    """One machine.

    Attributes:
        name: short name, as on the command line.
        description: one line for people.
        aliases: other name → what it is, or why it means this machine.
        pools: memory pools by name; ``ram`` is the system's, ``vram`` a graphics card's.
        processors: at least one, the CPU first.
        links: ways between pools.
        storage: devices that models are read from; the first is the one that counts.
        idle_w: of the whole machine [W].
        peak_w: of the whole machine, sustained [W].
        modes: power modes by name; everything else describes the machine without limits.
        default_mode: the mode that the machine is delivered in.
        like: the shipped profile, and its power mode, whose hardware this is or whose card it has (``jetson-orin-nano:7w``).
    """

    name: ShortName
    description: Text = ""
    aliases: Annotated[dict[Text, Text], Field(max_length=100)] = Field(default_factory=dict)
    pools: Pools
    processors: Annotated[tuple[Processor, ...], Field(min_length=1, max_length=64)]
    links: Annotated[tuple[Link, ...], Field(max_length=64)] = ()
    storage: Annotated[tuple[Storage, ...], Field(max_length=64)] = ()
    idle_w: Quantity | None = None
    peak_w: Quantity | None = None
    modes: Annotated[dict[ShortName, PowerMode], Field(max_length=64)] = Field(default_factory=dict)
    default_mode: ShortName | None = None
    like: Annotated[str, Field(max_length=128, pattern=LIKE_PATTERN)] = ""
    _mode: str | None = PrivateAttr(default=None)
    _unlimited: HardwareProfile | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _refers_to_what_there_is(self) -> HardwareProfile:
        for number, processor in enumerate(self.processors):
            if processor.pool not in self.pools:
                raise ValueError(
                    f"processors.{number}.pool: {processor.model!r} reads pool {processor.pool!r}; pools are {sorted(self.pools)}"
                )
        for number, link in enumerate(self.links):
            for pool in link.pools:
                if pool not in self.pools:
                    raise ValueError(f"links.{number}.pools: there is no pool {pool!r}; pools are {sorted(self.pools)}")
        for name, memory in self.pools.items():
            readers = {processor.kind for processor in self.processors if processor.pool == name}
            shared = "cpu" in readers and len(readers) > 1
            if memory.unified != shared:
                who = " and ".join(sorted(reader.upper() for reader in readers)) or "nothing"
                raise ValueError(f"pools.{name}.unified: {who} reads this pool; set unified = {str(shared).lower()}")
        return self

    @model_validator(mode="after")
    def _modes_limit_what_there_is(self) -> HardwareProfile:
        if self.modes and self.default_mode not in self.modes:
            raise ValueError(f"default_mode: is {self.default_mode!r}; it must be one of the modes {sorted(self.modes)}")
        if self.default_mode is not None and not self.modes:
            raise ValueError(f"default_mode: is {self.default_mode!r}; the profile has no modes")
        for name, mode in self.modes.items():
            for pool in mode.pools:
                if pool not in self.pools:
                    raise ValueError(f"modes.{name}.pools: there is no pool {pool!r}; pools are {sorted(self.pools)}")
            self._check_limits(name, mode)
        return self

    def _check_limits(self, name: str, mode: PowerMode) -> None:
        kinds: tuple[Kind, ...] = ("cpu", "gpu", "npu")
        for kind in kinds:
            limited = [processor for processor in self.processors if processor.kind == kind]
            limits = getattr(mode, kind)
            if limits is None:
                continue
            if not limited:
                raise ValueError(f"modes.{name}.{kind}: the profile has no processor of this kind")
            for processor in limited:
                if limits.cores is not None and processor.cores and limits.cores > processor.cores:
                    raise ValueError(f"modes.{name}.{kind}.cores: {limits.cores} is more than the {processor.cores} there are")
                clock = processor.clock_hz
                if limits.clock_hz is not None and clock is not None and limits.clock_hz.value > clock.value:
                    raise ValueError(
                        f"modes.{name}.{kind}.clock_hz: {limits.clock_hz.value:g} is above the {clock.value:g} without limits"
                    )

    @property
    def cpu(self) -> Processor:
        """The first processor of kind ``cpu``.

        Raises:
            InputError: the profile has none.
        """
        for processor in self.processors:
            if processor.kind == "cpu":
                return processor
        raise InputError(f"hardware profile {self.name!r} has no processor of kind cpu")

    @property
    def gpu(self) -> Processor | None:
        """The first processor of kind ``gpu``, if there is one."""
        return next((processor for processor in self.processors if processor.kind == "gpu"), None)

    def pool_of(self, processor: Processor) -> MemoryPool:
        """The pool that a processor reads."""
        return self.pools[processor.pool]

    @property
    def cpu_memory(self) -> MemoryPool:
        """The pool that the CPU reads."""
        return self.pool_of(self.cpu)

    @property
    def gpu_pool(self) -> MemoryPool | None:
        """The pool that the GPU reads, if there is a GPU."""
        return None if self.gpu is None else self.pool_of(self.gpu)

    @property
    def is_unified(self) -> bool:
        """Whether GPU and CPU share one pool."""
        return self.gpu is not None and self.gpu.pool == self.cpu.pool

    def usable_of(self, processor: Processor) -> Quantity:
        """What a processor can take of its pool: what is usable, and no more than its driver allows [bytes]."""
        pool = self.pool_of(processor).usable_bytes
        own = processor.usable_bytes
        return pool if own is None else own.at_most(pool, "at most what is usable of the memory")

    def bandwidth_of(self, processor: Processor) -> Quantity | None:
        """What a processor reads from its pool: as measured, else the pool's peak [bytes/s]; None where neither is known."""
        return processor.bandwidth_bytes_per_s or self.pool_of(processor).bandwidth_bytes_per_s

    def link_between(self, first: str, second: str) -> Link | None:
        """The link between two pools, if the profile has one."""
        return next((link for link in self.links if set(link.pools) == {first, second}), None)

    @property
    def mode(self) -> str | None:
        """The power mode whose limits are applied; None: the machine without limits."""
        return self._mode

    @property
    def full_name(self) -> str:
        """Name and mode, as ``find_profile`` takes it: ``jetson-orin-nano:7w``."""
        return self.name if self._mode is None else f"{self.name}:{self._mode}"

    @property
    def power_limit_w(self) -> Quantity | None:
        """What the applied mode lets the machine draw, where it says so [W]."""
        return None if self._mode is None else self.modes[self._mode].power_limit_w

    @property
    def unlimited(self) -> HardwareProfile:
        """The same machine without a mode's limits."""
        return self._unlimited or self

    def in_mode(self, name: str | None) -> HardwareProfile:
        """The same machine with the limits of a power mode, whatever mode this profile is in; None: without limits.

        Raises:
            UnknownNameError: no such mode.
            InputError: the machine has no modes.
        """
        base = self.unlimited
        if name is None:
            return base
        if not base.modes:
            raise InputError(f"hardware {base.name!r} has no power modes; leave out ':{name[:60]}'")
        found = {key(known): known for known in base.modes}.get(key(name[:60]))
        if found is None:
            raise UnknownNameError(f"power mode of {base.name}", name[:60], base.modes, f"(mmpredict hardware show {base.name})")
        mode = base.modes[found]
        pools = {name: limited_pool(pool, mode.pools.get(name)) for name, pool in base.pools.items()}
        processors = tuple(limited_processor(one, mode.of(one), pools[one.pool], found) for one in base.processors)
        changes: dict[str, object] = {"pools": pools, "processors": processors}
        if mode.power_limit_w is not None:
            peak = base.peak_w or mode.power_limit_w
            changes["peak_w"] = peak.at_most(mode.power_limit_w, f"at most the limit of mode {found}")
        limited = base.model_copy(update=changes)
        limited._mode, limited._unlimited = found, base
        return limited


def parse_profile(text: str, origin: str) -> HardwareProfile:
    """Read a profile from TOML text.

    Args:
        text: the document.
        origin: where it is from, for messages.

    Raises:
        FileFormatError: not TOML or not a profile; the message names the key.
    """
    try:
        return HardwareProfile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise FileFormatError(f"{origin} is not TOML: {error}") from error
    except RecursionError as error:
        raise FileFormatError(f"{origin} is no hardware profile: it is nested too deeply") from error
    except ValidationError as error:
        raise FileFormatError(f"{origin} is no hardware profile: {explain(error, HardwareProfile)}") from error


def load_profile(path: Path) -> HardwareProfile:
    """Read a profile from a TOML file; without the limits of any power mode.

    Raises:
        FileFormatError: the file is not TOML or not a profile; the message names the key.
        InputError: the file cannot be read.
    """
    try:
        if path.stat().st_size > MAX_PROFILE_BYTES:
            raise FileFormatError(f"{path} is larger than {MAX_PROFILE_BYTES} bytes; it is no hardware profile")
        text = path.read_text("utf-8")
    except OSError as error:
        raise InputError(f"cannot read hardware profile {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path} is not TOML: {error}") from error
    except ValueError as error:  # a name with a null character
        raise InputError(f"cannot read hardware profile {str(path)!r}: {error}") from error
    return parse_profile(text, str(path))
