"""Which rates hold for a processor: measured by the user, published for the same hardware, for its relatives, or the data sheet.

What was measured is found by name, without reading the machine's profile; only what must be scaled needs its figures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from mmpredict.cost.library import (
    FAMILIES,
    family_name,
    family_path,
    machine_key,
    own_rates_directory,
    rates_path,
    shipped_rates_directory,
    slug,
)
from mmpredict.cost.rates.parameters import Belief, ProcessorClass, beliefs
from mmpredict.cost.rates.rates import Phase, PhaseError, Rate, Rates, read_rates
from mmpredict.models.quantization.weight_types import WEIGHT_TYPES
from mmpredict.units import format_percent

if TYPE_CHECKING:
    from mmpredict.cost.rates.datasheet import Peaks
    from mmpredict.hardware.profile import HardwareProfile

Basis = Literal["own", "published", "family", "data sheet"]

PREFERRED_BACKENDS = ("cuda", "vulkan", "rocm", "metal")
"""Where a machine has several, the one that most people run."""

OWN_RUN = "run of yours"
FEW_MODELS = 3  # fewer say too little by themselves
_DATA_SHEET_SCALE = 1.2816  # of a normal distribution: 80 % of it lie within so many standard deviations
_MODE_SPREAD = 0.08  # of speeds in another power mode, beyond what the profile says
_UNMEASURED = PhaseError(rows=0, median=0.0, p90=0.0, bias=0.0, scale=_DATA_SHEET_SCALE, covered=0.0)


@dataclass(frozen=True, slots=True)
class Choice:
    """Rates, and how near they are to the machine that was asked for.

    Attributes:
        rates: prices.
        basis: ``own`` runs, ``published`` runs of the same hardware, of its ``family``, or the ``data sheet`` alone.
        sentence: the same for people.
    """

    rates: Rates
    basis: Basis
    sentence: str


def measured_rates(
    machine: str, mode: str, kind: ProcessorClass, backends: Sequence[str], own: bool = True, like: str = ""
) -> Choice | None:
    """Rates that were measured on a machine in a power mode, own ones first; None where there are none.

    Args:
        machine: name of its profile, or folder of this machine.
        mode: power mode; empty for machines without modes.
        kind: class of processor.
        backends: programming interfaces, the most wanted first.
        own: whether runs of the user count.
        like: shipped profile of the same hardware, with its mode (``HardwareProfile.like``).

    Raises:
        FileFormatError: a file of rates is damaged.
    """
    known, _, known_mode = like.partition(":")
    shipped = shipped_rates_directory()
    places = [(own_rates_directory(), machine, mode)] if own else []
    places += [(shipped, machine, mode), *([(shipped, known, known_mode)] if known else [])]
    for directory, name, wanted in places:
        for backend in backends:
            path = rates_path(directory, name, wanted, backend, kind)
            if path.is_file():
                rates, yours = read_rates(path), directory != shipped
                words = f"{_words(rates, OWN_RUN if yours else 'published run')} on this hardware"
                if not yours and len(rates.models) < FEW_MODELS:
                    return Choice(rates, "family", f"{words}, and what its relatives show")
                return Choice(rates, "own" if yours else "published", words)
    return None


def shipped_rates(
    profile: HardwareProfile, kind: ProcessorClass, backend: str, own_peaks: Peaks | None = None, same_hardware: bool = True
) -> Choice:
    """The best rates of a machine that are not of the user's own runs.

    Args:
        profile: the machine, in its power mode.
        kind: class of processor.
        backend: programming interface.
        own_peaks: of the processor, where the profile does not say them.
        same_hardware: whether rates of the machine itself count.

    Raises:
        InputError, FileFormatError: see ``related_rates``.
    """
    key, mode = machine_key(profile), profile.mode or ""
    found = measured_rates(key, mode, kind, [backend], own=False, like=profile.like) if same_hardware else None
    return found or related_rates(profile, kind, [backend], False, own_peaks)


def related_rates(
    profile: HardwareProfile, kind: ProcessorClass, backends: Sequence[str], own: bool = True, own_peaks: Peaks | None = None
) -> Choice:
    """Rates of a machine that was not measured in this mode: of another mode, of relatives, or of its data sheet.

    Args:
        profile: the machine, in its power mode.
        kind: class of processor.
        backends: programming interfaces, the most wanted first.
        own: whether runs of the user count.
        own_peaks: of the processor, where the profile does not say them.

    Raises:
        InputError: the machine has no such processor, or its profile says too little of it.
        FileFormatError: a file of rates is damaged.
    """
    from mmpredict.cost.rates.datasheet import peaks
    from mmpredict.cost.rates.relative import relative_rates

    mode = profile.mode or ""
    for other in profile.unlimited.modes:
        measured = measured_rates(profile.name, other, kind, backends, own) if other != mode else None
        if measured is not None and measured.rates.mode == profile.default_mode:
            scaled = _in_mode(measured.rates, profile, kind)
            return Choice(scaled, "family", f"{measured.sentence} in mode {other}, scaled to {mode or 'no limits'}")
    for backend in backends:
        if kind == "gpu" and (near := _built_alike(profile, backend, own_peaks)) is not None:
            return near
        path = family_path(shipped_rates_directory(), family_name(backend, kind, profile.is_unified))
        if path.is_file():
            common = read_rates(path)
            scaled = relative_rates(common, profile.name, mode, own_peaks or peaks(profile, kind, backend))
            by = "these runs" if own_peaks else "the data sheet"
            return Choice(scaled, "family", f"{_words(common, 'published run')} on its relatives, scaled by {by}")
    return _of_data_sheet(profile, kind, backends[0], own_peaks or peaks(profile, kind, backends[0]))


def _built_alike(profile: HardwareProfile, backend: str, own_peaks: Peaks | None) -> Choice | None:
    """Rates of a card that was measured and whose GPU is of the same architecture, scaled; None where there is none.

    Kernels are written for architectures, so how much of a data sheet they reach goes with these. Of machines whose CPU and GPU
    share a memory the family is no more than that: power modes of one chip.
    """
    from mmpredict.cost.rates.datasheet import peaks
    from mmpredict.cost.rates.relative import alike_rates
    from mmpredict.hardware.library import find_profile

    if profile.gpu is None or not profile.gpu.architecture or profile.is_unified:
        return None
    for path in sorted(shipped_rates_directory().glob(f"*/{slug(backend)}-gpu.json")):
        if path.parent.name in (FAMILIES, slug(profile.name)):
            continue
        other = find_profile(path.parent.name)
        if other.gpu is not None and other.gpu.architecture == profile.gpu.architecture:
            rates = read_rates(path)
            own = own_peaks or peaks(profile, "gpu", backend)
            scaled = alike_rates(rates, peaks(other, "gpu", backend), profile.name, profile.mode or "", own)
            by = "these runs" if own_peaks else "the data sheet"
            return Choice(scaled, "family", f"{_words(rates, 'published run')} on {other.name}, built alike, scaled by {by}")
    return None


def _in_mode(rates: Rates, profile: HardwareProfile, kind: ProcessorClass) -> Rates:
    """Rates of the default mode, scaled by what the profile says of both modes."""
    from mmpredict.cost.rates.datasheet import peaks

    usual = peaks(profile.in_mode(rates.mode), kind, rates.backend)
    limited = peaks(profile, kind, rates.backend)
    faster = {"bandwidth": limited.read.mean - usual.read.mean, "compute": limited.compute.mean - usual.compute.mean}
    changed = {
        name: Rate(log=rates.rates[name].log + shift, spread=math.hypot(rates.rates[name].spread, _MODE_SPREAD))
        for name, shift in faster.items()
    }
    return replace(rates, mode=profile.mode or "", rates={**rates.rates, **changed})


def _of_data_sheet(profile: HardwareProfile, kind: ProcessorClass, backend: str, own: Peaks) -> Choice:
    from mmpredict.cost.rates.relative import REFERENCE_BANDWIDTH, REFERENCE_COMPUTE, relative_rates

    read = Belief(own.read.mean - math.log(own.bandwidth_bytes_per_s), own.read.spread)
    compute = Belief(own.compute.mean - math.log(own.compute_flop_per_s), own.compute.spread)
    usual = beliefs(kind, WEIGHT_TYPES, read, compute, backend)
    reference = Rates(
        machine="",
        mode="",
        processor=kind,
        backend=backend,
        rows=0,
        bandwidth_bytes_per_s=REFERENCE_BANDWIDTH,
        compute_flop_per_s=REFERENCE_COMPUTE,
        rates={name: Rate(log=belief.mean, spread=belief.spread) for name, belief in usual.items()},
        errors={"prompt": _UNMEASURED, "decode": _UNMEASURED},
    )
    scaled = relative_rates(reference, profile.name, profile.mode or "", own)
    return Choice(scaled, "data sheet", "the data sheet alone: nothing was measured on this kind of machine")


def _words(rates: Rates, run: str) -> str:
    names: dict[Phase, str] = {"decode": "tg", "prompt": "pp"}
    errors = [f"{name} {format_percent(rates.errors[phase].median)}" for phase, name in names.items() if rates.errors[phase].rows]
    runs = f"{rates.rows} {run}" if rates.rows == 1 else f"{rates.rows} {run.replace('run', 'runs', 1)}"
    of_models = f"{runs} of {len(rates.models)} model{'' if len(rates.models) == 1 else 's'} with {rates.backend}"
    unseen = "tests" if run == OWN_RUN and len(rates.models) == 1 else "models"
    return f"{of_models} (median error on {unseen} left out: {', '.join(errors)})" if errors else of_models
