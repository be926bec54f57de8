"""From the name of a machine to what an estimate needs of it.

The classes that check a profile take longer to build than an estimate does. A shipped profile was checked before, by the tests, so
its few figures are read from the file itself, and those of this machine from where ``detect`` has them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmpredict.hardware.spelling import slug
from mmpredict.results.estimate import Span
from mmpredict.sizing.machine import Machine, Memory, assembled, machine_of

if TYPE_CHECKING:
    from mmpredict.hardware.profile import HardwareProfile

THIS_MACHINE = "this-machine"
MAX_NAME = 200


def find_machine(hardware: str | HardwareProfile | Machine) -> Machine:
    """The machine of a name or profile.

    Raises:
        InputError: no such machine, or a file that cannot be read.
    """
    if isinstance(hardware, Machine):
        return hardware
    if not isinstance(hardware, str):
        return machine_of(hardware)
    if hardware == THIS_MACHINE:
        return this_machine()
    return _read(hardware) if hardware.lower().endswith(".toml") else shipped_machine(hardware)


@lru_cache(maxsize=64)
def shipped_machine(name: str) -> Machine:
    """The machine of a shipped profile, which does not change between two calls.

    Raises:
        InputError: no such machine.
    """
    return _written(name) or _read(name)


def this_machine() -> Machine:
    """The machine that this runs on: what it is, once, and what is free of its memory, anew; anew altogether where it has a GPU."""
    from mmpredict.hardware.detect import may_have_gpu, usable_memory

    if may_have_gpu():
        from mmpredict.hardware.library import find_profile

        return machine_of(find_profile(THIS_MACHINE, gpus=True))

    machine = _found()
    return replace(machine, host=replace(machine.host, usable=Span.exact(usable_memory().available_bytes)))


@lru_cache(maxsize=1)
def _found() -> Machine:
    from mmpredict.hardware.detect import count_usable_cores, cpu_identity, usable_memory

    memory = usable_memory()
    ram = Memory(memory.total_bytes, Span.exact(memory.available_bytes), "operating system, available now")
    return assembled(THIS_MACHINE, ram, memory.swap_bytes, count_usable_cores().cores, cpu_identity().features)


def _read(name: str) -> Machine:
    from mmpredict.hardware.library import find_profile

    return machine_of(find_profile(name))


def _written(name: str) -> Machine | None:
    """The machine of a shipped profile that is named by its file, and mode if any; None for every other name."""
    wanted, _, asked = name.partition(":")
    package = Path(__file__).resolve().parent.parent
    folders = (package / "hardware_profiles", package.parent / "hardware_profiles")
    folder = next((folder for folder in folders if folder.is_dir()), None)
    path = folder / f"{slug(wanted)}.toml" if folder and len(name) <= MAX_NAME else None
    if path is None or not path.is_file() or slug(wanted) == THIS_MACHINE:
        return None
    data = tomllib.loads(path.read_text("utf-8"))
    mode = asked or data.get("default_mode", "")
    if mode and mode not in data.get("modes", {}):
        return None
    cpu = next(one for one in data["processors"] if one["kind"] == "cpu")
    gpus = [one for one in data["processors"] if one["kind"] == "gpu"]
    ram_name = cpu.get("pool", "ram")
    ram, gpu = data["pools"][ram_name], gpus[0] if gpus else None
    limited = data["modes"][mode] if mode else {}
    limits = limited.get("cpu", {})
    context = gpu.get("context_bytes") if gpu else None
    return assembled(
        name=f"{data['name']}:{mode}" if mode else data["name"],
        host=_memory(ram),
        device=None if gpu is None else _gpu_memory(gpu, data["pools"][gpu.get("pool", "ram")]),
        unified=gpu is not None and gpu.get("pool", "ram") == ram_name,
        swap_bytes=_span(ram["swap_bytes"]).value if "swap_bytes" in ram else 0.0,
        threads=limits.get("cores", cpu["cores"]),
        features=cpu.get("features", ()),
        backends=gpu.get("backends", ()) if gpu else (),
        context=None if context is None else (_span(context), _source(context)),
        gpus=len(gpus),
        storage=_reading(data),
        bandwidth_bytes_per_s=_bandwidth(limited.get("pools", {}).get(ram_name, {})) or _bandwidth(ram),
    )


def _bandwidth(pool: Mapping[str, Any]) -> float:
    """Of a memory, 0 where that is not known [bytes/s]."""
    return _span(pool["bandwidth_bytes_per_s"]).value if "bandwidth_bytes_per_s" in pool else 0.0


def _reading(data: Mapping[str, Any]) -> Span | None:
    """How fast the first device that models are read from is, as far as it is known [bytes/s]."""
    first: Mapping[str, Any] = next(iter(data.get("storage", ())), {})
    return _span(first["read_bytes_per_s"]) if "read_bytes_per_s" in first else None


def _memory(pool: Mapping[str, Any]) -> Memory:
    return Memory(_span(pool["capacity_bytes"]).value, _span(pool["usable_bytes"]), _source(pool["usable_bytes"]))


def _gpu_memory(gpu: Mapping[str, Any], pool: Mapping[str, Any]) -> Memory:
    """What is usable of the pool, and no more than the driver allows."""
    whole = _memory(pool)
    if "usable_bytes" not in gpu:
        return whole
    own, source, limit = _span(gpu["usable_bytes"]), _source(gpu["usable_bytes"]), whole.usable.value
    if own.high > limit:
        own = Span(min(own.value, limit), min(own.low, limit), min(own.high, limit))
        source = f"{source}; at most what is usable of the memory" if source else "at most what is usable of the memory"
    return replace(whole, usable=own, source=source)


def _span(quantity: Any) -> Span:
    """A number, or one with bounds."""
    if not isinstance(quantity, Mapping):
        return Span.exact(quantity)
    value = quantity["value"]
    return Span(value, quantity.get("low", value), quantity.get("high", value))


def _source(quantity: Any) -> str:
    return str(quantity.get("source", "")) if isinstance(quantity, Mapping) else ""
