"""Hardware profiles: what a machine is, each number with its unit and its source."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mmpredict.errors import FileFormatError, InputError

MAX_PROFILE_BYTES = 1_000_000


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Quantity(_Frozen):
    """A number with where it comes from; a bare number in a profile is a value without a stated source."""

    value: float = Field(ge=0)
    low: float | None = None
    high: float | None = None
    source: str = ""
    url: str = ""
    date: str = ""

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, data: Any) -> Any:
        return {"value": data} if isinstance(data, int | float) and not isinstance(data, bool) else data


class MemoryPool(_Frozen):
    """A memory and who reads it.

    Attributes:
        capacity_bytes: installed [bytes].
        usable_bytes: what models may take [bytes].
        bandwidth_bytes_per_s: peak read bandwidth, when known [bytes/s].
        unified: whether CPU and GPU share it.
    """

    capacity_bytes: Quantity
    usable_bytes: Quantity
    bandwidth_bytes_per_s: Quantity | None = None
    unified: bool = False


class Processor(_Frozen):
    """A processor of the machine.

    Attributes:
        kind: ``cpu``, ``gpu`` or ``npu``.
        model: its name.
        cores: cores that run one worker thread each at full speed [1].
        features: instruction sets that matter to kernels.
        flop_per_s: peak by data type, when known [FLOP/s].
        pool: memory pool it reads.
    """

    kind: Literal["cpu", "gpu", "npu"]
    model: str
    cores: int = Field(ge=1, le=100_000)
    features: tuple[str, ...] = ()
    flop_per_s: dict[str, Quantity] = Field(default_factory=dict)
    pool: str = "ram"


class HardwareProfile(_Frozen):
    """One machine.

    Attributes:
        name: short name, as on the command line.
        description: one line for people.
        pools: memory pools by name; ``ram`` is the system's.
        processors: at least one, the CPU first.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    description: str = ""
    pools: dict[str, MemoryPool]
    processors: tuple[Processor, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _pools_exist(self) -> HardwareProfile:
        for processor in self.processors:
            if processor.pool not in self.pools:
                raise ValueError(f"processor {processor.model!r} reads pool {processor.pool!r}; pools are {sorted(self.pools)}")
        return self

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
    def cpu_memory(self) -> MemoryPool:
        """The pool that the CPU reads."""
        return self.pools[self.cpu.pool]


def load_profile(path: Path) -> HardwareProfile:
    """Read a profile from a TOML file.

    Raises:
        FileFormatError: the file is not TOML or not a profile; the message names the key.
        InputError: the file cannot be read.
    """
    try:
        if path.stat().st_size > MAX_PROFILE_BYTES:
            raise FileFormatError(f"{path} is larger than {MAX_PROFILE_BYTES} bytes; it is no hardware profile")
        data = tomllib.loads(path.read_text("utf-8"))
        return HardwareProfile.model_validate(data)
    except OSError as error:
        raise InputError(f"cannot read hardware profile {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise FileFormatError(f"{path} is no hardware profile: {where or 'profile'}: {first['msg']}") from error
