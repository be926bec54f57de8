"""Recognising a machine, or a part of it, among the shipped profiles, and taking from there what no operating system tells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mmpredict.hardware.library import find_profile, recognise
from mmpredict.hardware.processor import Processor
from mmpredict.hardware.profile import HardwareProfile
from mmpredict.hardware.quantity import MAX_TEXT, Quantity
from mmpredict.hardware.spelling import key


@dataclass(frozen=True, slots=True)
class Recognised:
    """A shipped profile that this machine, or one of its GPUs, is described by.

    Attributes:
        profile: as shipped, without limits of a power mode.
        by: the name that gave it away.
        whole: whether it is the whole machine, not a graphics card alone.
    """

    profile: HardwareProfile
    by: str
    whole: bool


def recognise_machine(machine_names: Iterable[str], card_names: Iterable[str]) -> Recognised | None:
    """The shipped profile that fits best: of the whole machine if one does, else of a card.

    Args:
        machine_names: of the board, the CPU and the integrated GPU.
        card_names: of GPUs with memory of their own.
    """
    for names, whole in ((machine_names, True), (card_names, False)):
        for name in names:
            found = recognise(name)
            if found is None:
                continue
            profile = find_profile(found).unlimited
            if whole or not profile.is_unified:
                return Recognised(profile, name, whole)
    return None


def in_its_mode(known: Recognised, mode: str | None) -> Recognised:
    """The known profile with the limits of a power mode, if it has that mode."""
    if mode is None or key(mode) not in map(key, known.profile.modes):
        return known
    return replace(known, profile=known.profile.in_mode(mode))


def completed(profile: HardwareProfile, known: Recognised) -> HardwareProfile:
    """A detected profile with peak speeds, runtime overhead and links from a shipped one, each naming it as its source.

    What was measured or told here stays. A CPU is completed only if it has as many cores as the known one.
    """
    processors = tuple(_with_known(processor, known) for processor in profile.processors)
    pools = dict(profile.pools)
    for processor in profile.processors:
        theirs = _counterpart(processor, known)
        if theirs is None:
            continue
        pool, model = pools[processor.pool], known.profile.pool_of(theirs)
        peak = model.bandwidth_bytes_per_s
        if pool.bandwidth_bytes_per_s is None and peak is not None and pool.unified == model.unified:
            changes = {"bandwidth_bytes_per_s": _from(peak, known), "kind": pool.kind or model.kind}
            pools[processor.pool] = pool.model_copy(update=changes)
    return profile.model_copy(update={"processors": processors, "pools": pools})


def _with_known(processor: Processor, known: Recognised) -> Processor:
    theirs = _counterpart(processor, known)
    if theirs is None:
        return processor
    changes: dict[str, object] = {}
    for name in ("bandwidth_bytes_per_s", "clock_hz", "context_bytes", "idle_w", "peak_w"):
        value = getattr(theirs, name)
        if getattr(processor, name) is None and value is not None:
            changes[name] = _from(value, known)
    if not processor.flop_per_s:
        changes["flop_per_s"] = {name: _from(value, known) for name, value in theirs.flop_per_s.items()}
    for name in ("cores", "architecture", "features", "backends"):
        if not getattr(processor, name):
            changes[name] = getattr(theirs, name)
    return processor.model_copy(update=changes)


def _counterpart(processor: Processor, known: Recognised) -> Processor | None:
    """The processor of the known profile that this one is."""
    if processor.kind == "cpu":
        same = known.whole and known.profile.cpu.cores == processor.cores
        return known.profile.cpu if same else None
    shares = known.profile.is_unified
    return known.profile.gpu if processor.kind == "gpu" and (processor.pool == "ram") == shares else None


def _from(quantity: Quantity, known: Recognised) -> Quantity:
    return quantity.model_copy(update={"source": f"profile {known.profile.name}: {quantity.source}"[:MAX_TEXT]})
