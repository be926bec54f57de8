"""How a server starts a model: the wish, the engine's defaults, and what it changes by its own rule."""

from __future__ import annotations

from dataclasses import dataclass

from mmpredict.cost.placement import Placement, most_gpu_layers
from mmpredict.errors import InputError
from mmpredict.models.spec import ModelSpec
from mmpredict.results.estimate import NOTHING, Span
from mmpredict.sizing.machine import METAL, Machine
from mmpredict.sizing.residents import Resident
from mmpredict.sizing.wish import Wish

CACHE_TYPE = "f16"
NO_DEVICE = "no layer on the GPU: counted as a server that is kept from using it (--device none)"


@dataclass(frozen=True, slots=True)
class Started:
    """A model that a server has started, or would.

    Attributes:
        resident: what is in memory then.
        sentence: what the server did, for people.
        rules: further sentences on the server's rule.
        defaults: what it filled in, one sentence each.
        evicted: those that it unloads before.
    """

    resident: Resident
    sentence: str
    rules: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()
    evicted: tuple[Resident, ...] = ()


def wanted_layers(spec: ModelSpec, wish: Wish, machine: Machine) -> tuple[int, bool]:
    """Layers that are asked for, and whether the server may choose fewer.

    Raises:
        InputError: layers on a GPU that is not there.
    """
    most, wanted = most_gpu_layers(spec), wish.gpu_layers
    if machine.device is None:
        if wanted not in (None, "fit", 0):
            raise InputError(
                f"{machine.name} has no GPU that models could use, so {wanted} layers cannot be on it; leave --gpu-layers out, or "
                "name a machine with one (mmpredict hardware list) or a card (--vram 8GiB)"
            )
        return 0, False
    if wanted is None or wanted == "fit":
        return most, True
    return (most if wanted == "all" else min(int(wanted), most)), False


def placement(wish: Wish, machine: Machine, gpu_layers: int, mapped: bool) -> Placement:
    """Where a model's parts lie.

    Args:
        wish: options; a file that may not be mapped is not.
        machine: decides what the CPU copies, which it only does where no GPU is used.
        gpu_layers: layers on the GPU [1].
        mapped: whether the engine maps files by default.
    """
    features = machine.wheel_features if wish.engine == "embedded" else machine.features
    return Placement(
        gpu_layers=gpu_layers,
        mapped=mapped if wish.mapped is None else wish.mapped,
        repacking=not gpu_layers and wish.repacking is not False,
        features=features,
    )


def maps_by_itself(machine: Machine, gpu_layers: int) -> bool:
    """Whether llama.cpp maps files when nothing is asked for: unless a GPU shares the system's memory, Apple's apart."""
    return not (gpu_layers and machine.integrated and machine.backend != METAL)


def gpu_context(machine: Machine, gpu_layers: int) -> Span:
    """What the process loses on the GPU [bytes]."""
    return machine.context if gpu_layers else NOTHING


def cache_types(wish: Wish) -> tuple[str, str]:
    """Types of keys and values."""
    return wish.key_type or CACHE_TYPE, wish.value_type or CACHE_TYPE


def common_defaults(wish: Wish, resident: Resident) -> list[str]:
    """Sentences on defaults that all engines have."""
    found = []
    if wish.key_type is None and wish.value_type is None:
        found.append(f"keys and values in {CACHE_TYPE}")
    if wish.flash_attention is None:
        found.append("flash attention on (the engine's auto)")
    if wish.mapped is None:
        found.append("the file stays mapped" if resident.placement.mapped else "the file is read, not mapped")
    return found
