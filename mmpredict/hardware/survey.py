"""Everything that can be found out about this machine: parts, short measurements, and what could not be seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmpredict.hardware.amd import look_for_amd
from mmpredict.hardware.apple import look_for_apple
from mmpredict.hardware.board import board_names, is_jetson, jetson_mode, look_for_jetson
from mmpredict.hardware.cpu import largest_cache_bytes
from mmpredict.hardware.detect import THIS_MACHINE, count_usable_cores, cpu_identity, detect, usable_memory
from mmpredict.hardware.found_gpu import FoundGpu, pcie_bytes_per_s
from mmpredict.hardware.known_machine import Recognised, completed, in_its_mode, recognise_machine
from mmpredict.hardware.nvidia import look_for_nvidia
from mmpredict.hardware.probe_disk import describe_storage, measure_disk
from mmpredict.hardware.probe_memory import measure_memory, probe_bytes
from mmpredict.hardware.profile import HardwareProfile, Link, MemoryPool, Processor, Quantity
from mmpredict.hardware.spelling import slug
from mmpredict.units import format_bytes

Progress = Callable[[str, float], None]
"""(what is being done, fraction done)."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found out.

    Attributes:
        profile: this machine, as a profile that can be saved and found again.
        recognised: the shipped profile that describes it or its card, if one does.
        mode: the power mode it is in, where it tells.
        notes: what was seen and is worth saying, as sentences.
        not_seen: what could not be seen, as sentences.
    """

    profile: HardwareProfile
    recognised: Recognised | None
    mode: str | None
    notes: tuple[str, ...]
    not_seen: tuple[str, ...]


def survey(cache: Path | None, measured_on: str, progress: Progress = lambda *_: None) -> Survey:
    """Look at this machine, and measure its memory and a disk for a few seconds.

    Args:
        cache: directory on the disk that model files are read from; None: nothing is measured.
        measured_on: date of the measurements.
        progress: told what happens.
    """
    progress("looking at the machine", 0.0)
    names = board_names()
    jetson = is_jetson(names)
    sightings = [look_for_jetson(names), look_for_nvidia(), look_for_amd(), look_for_apple()]
    gpus = [gpu for number, seen in enumerate(sightings) for gpu in seen.gpus if not (jetson and number == 1 and gpu.unified)]
    not_seen = [sentence for seen in sightings for sentence in seen.not_seen if not (jetson and gpus)]
    mode, trouble = jetson_mode() if jetson else (None, "")
    profile = with_gpus(detect(), gpus)
    known = recognise_machine(
        (*names, *(gpu.model for gpu in gpus if gpu.unified), cpu_identity().model), (gpu.model for gpu in gpus if not gpu.unified)
    )
    notes = [*_notes(profile), *(note for gpu in gpus for note in gpu.notes)]
    if cache is not None:
        profile, remarks = _measured(profile, cache, measured_on, progress)
        not_seen += remarks
    else:
        not_seen.append("Bandwidth of memory and disk: the measurements were left out.")
    if known is not None:
        known = in_its_mode(known, mode)
        profile = completed(profile, known)
        what = "This is the machine" if known.whole else "The card is that"
        notes.append(f"{what} of the shipped profile {known.profile.name} ({known.by!r}); peak speeds are taken from there.")
    not_seen += [trouble] if trouble else []
    not_seen += _unknown(profile)
    name = slug(f"{profile.cpu.model} {profile.cpu.cores} cores")[:60].strip("-.") or "machine"
    changes = {"name": name, "like": "" if known is None else _in_usual_mode(known.profile).full_name}
    return Survey(profile.model_copy(update=changes), known, mode, tuple(notes), tuple(not_seen))


def seen_machine() -> HardwareProfile:
    """This machine with its GPUs, as system and drivers tell at once: nothing is measured."""
    profile = survey(None, "").profile
    return detect() if profile.gpu is None else profile.model_copy(update={"name": THIS_MACHINE})


def _in_usual_mode(known: HardwareProfile) -> HardwareProfile:
    """A shipped profile in the mode that it is in, or else delivered in."""
    return known if known.mode is not None or known.default_mode is None else known.in_mode(known.default_mode)


def with_gpus(profile: HardwareProfile, gpus: list[FoundGpu]) -> HardwareProfile:
    """A profile with the GPUs that were found: cards with memory of their own first, then those that share the system's."""
    pools, processors, links = dict(profile.pools), list(profile.processors), list(profile.links)
    cards = sorted((gpu for gpu in gpus if not gpu.unified), key=lambda gpu: -(gpu.memory_bytes or 0))
    for number, gpu in enumerate(cards):
        pool = f"vram{number or ''}"
        total = gpu.memory_bytes or 0
        pools[pool] = MemoryPool(
            capacity_bytes=Quantity(value=total, source=gpu.source),
            usable_bytes=Quantity(value=total if gpu.free_bytes is None else gpu.free_bytes, source=f"{gpu.source}, free now"),
        )
        processors.append(_processor(gpu, pool, None))
        speed = pcie_bytes_per_s(*gpu.pcie) if gpu.pcie else None
        if gpu.pcie and speed:
            kind = f"PCIe {gpu.pcie[0]}.0 x{gpu.pcie[1]}"
            source = f"{gpu.source}: {kind}, by the PCI Express specification; copies reach somewhat less"
            links.append(Link(kind=kind, pools=("ram", pool), bandwidth_bytes_per_s=Quantity(value=speed, source=source)))
    for gpu in gpus:
        if gpu.unified:
            own, free = gpu.memory_bytes or 0, gpu.free_bytes or 0
            available = pools["ram"].usable_bytes.value
            reach = available if gpu.reach_bytes is None else min(gpu.reach_bytes, available)
            limit = Quantity(value=free + reach, source=f"{gpu.source}: own memory and what it may map, free now")
            pools["ram"] = _shared(pools["ram"], own, free)
            processors.append(_processor(gpu, "ram", limit if gpu.reach_bytes is not None else None))
            if own:  # the CPU cannot use what the firmware set aside
                rest = Quantity(value=available, source="operating system, available now")
                processors[0] = processors[0].model_copy(update={"usable_bytes": rest})
    changes = {"pools": pools, "processors": tuple(processors), "links": tuple(links)}
    return HardwareProfile.model_validate({**{name: getattr(profile, name) for name in type(profile).model_fields}, **changes})


def _shared(pool: MemoryPool, own_bytes: float, free_bytes: float) -> MemoryPool:
    """System memory with the part that the firmware set aside for an integrated GPU."""
    capacity, usable = pool.capacity_bytes, pool.usable_bytes
    if own_bytes:
        why = "plus what is set aside for the integrated GPU"
        capacity = Quantity(value=capacity.value + own_bytes, source=f"{capacity.source}, {why}")
        usable = Quantity(value=usable.value + free_bytes, source=f"{usable.source}, {why}")
    return pool.model_copy(update={"capacity_bytes": capacity, "usable_bytes": usable, "unified": True})


def _processor(gpu: FoundGpu, pool: str, limit: Quantity | None) -> Processor:
    return Processor(
        kind="gpu",
        model=gpu.model,
        cores=gpu.cores,
        backends=gpu.backends,
        architecture=gpu.architecture,
        pool=pool,
        usable_bytes=limit,
        peak_w=None if gpu.peak_w is None else Quantity(value=gpu.peak_w, source=f"{gpu.source}: power limit"),
    )


def _measured(profile: HardwareProfile, cache: Path, measured_on: str, progress: Progress) -> tuple[HardwareProfile, list[str]]:
    """The profile with measured bandwidths, and what to say about them."""
    caches = largest_cache_bytes()
    size = probe_bytes(usable_memory().available_bytes, caches)
    memory = measure_memory(profile.cpu.cores, size, caches, measured_on, lambda done: progress("reading memory", done / 2))
    disk = measure_disk(cache, measured_on, lambda done: progress("reading the disk", 0.5 + done / 2))
    reads = {"bandwidth_bytes_per_s": memory.quantity}
    processors = tuple(one.model_copy(update=reads) if one.kind == "cpu" else one for one in profile.processors)
    storage = () if disk.quantity is None else (describe_storage(cache, disk.quantity),)
    progress("done", 1.0)
    remarks = [remark for remark in (memory.remark, disk.remark) if remark]
    return profile.model_copy(update={"processors": processors, "storage": storage}), remarks


def _notes(profile: HardwareProfile) -> list[str]:
    notes, cores, memory = [], count_usable_cores(), usable_memory()
    if cores.efficiency_cores:
        notes.append(f"{cores.efficiency_cores} efficiency cores are not counted: llama.cpp leaves them out.")
    if cores.slower_cores:
        notes.append(f"{cores.slower_cores} of the {cores.cores} cores are slower than the others and hold them up at every step.")
    if memory.limit_bytes is not None:
        limit, total = format_bytes(memory.limit_bytes), format_bytes(memory.total_bytes)
        notes.append(f"The control group limits memory to {limit} of {total}.")
    if not memory.swap_bytes:
        notes.append("There is no swap: what does not fit is refused or killed, not slowed down.")
    if profile.is_unified:
        notes.append("CPU and GPU share the system's memory and its bandwidth.")
    return notes


def _unknown(profile: HardwareProfile) -> list[str]:
    """What nothing here tells of this machine."""
    missing = []
    if profile.cpu_memory.bandwidth_bytes_per_s is None:
        missing.append("Peak bandwidth of memory: operating systems do not tell it; what is measured is what programs reach.")
    silent = [one.model for one in profile.processors if not one.flop_per_s]
    if silent:
        missing.append(f"Peak FLOP/s of {', '.join(silent)}: not told; to measure what matters, run: mmpredict calibrate run")
    if profile.gpu is not None and profile.gpu.bandwidth_bytes_per_s is None:
        missing.append(f"What {profile.gpu.model} reads from its memory: not measured.")
    return [*missing, "NPUs, power draw and temperatures: not looked for."]
