"""llama.cpp's ``--fit``: what a server changes about its start so that it fits into the memory that is free.

Only what was not asked for is changed, in this order: the context shrinks, then layers stay with the CPU; of a mixture of experts
the experts stay behind first. One GPU is assumed. Source: llama.cpp ``common/fit.cpp`` (``common_params_fit_impl``) of b11549.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from mmpredict.cost.graph import compute_buffer
from mmpredict.cost.memory import InstanceMemory
from mmpredict.cost.placement import Placement, most_gpu_layers
from mmpredict.models.cache import CELL_PADDING, CacheOptions, cache_bytes
from mmpredict.models.spec import ModelSpec
from mmpredict.units import MIB

MARGIN_BYTES = 1024 * MIB  # --fit-target
MIN_CONTEXT_TOKENS = 4096  # --fit-ctx

Measure = Callable[[CacheOptions, Placement], InstanceMemory]
_Fraction = Literal["attention", "up", "gate", "experts"]
# What of a layer stays with the CPU when only this much of it is on the GPU.
_KEPT: dict[_Fraction, re.Pattern[str]] = {
    "attention": re.compile(r"ffn_(gate|up|gate_up|down)"),
    "up": re.compile(r"ffn_(gate|gate_up|down)"),
    "gate": re.compile(r"ffn_down"),
    "experts": re.compile(r"ffn_(up|down|gate_up|gate)_(ch|)exps"),
}


@dataclass(frozen=True, slots=True)
class Start:
    """How a server would start if nothing stood in its way.

    Attributes:
        spec: the model.
        options: context, slots and cache; of an automatic context, the largest that ``--fit`` would choose.
        placement: with all layers that it would put on a GPU.
        auto_context: whether the context may shrink (no ``--ctx-size``).
        auto_layers: whether layers may stay behind (no ``--n-gpu-layers``).
        in_place_bytes: see ``cost.placement.in_place_bytes``; only looked at without a GPU [bytes].
    """

    spec: ModelSpec
    options: CacheOptions
    placement: Placement
    auto_context: bool
    auto_layers: bool
    in_place_bytes: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """What became of a start.

    Attributes:
        options, placement: as the server starts.
        met: whether the margin is kept; if not, it starts all the same.
        projected_bytes: what it projects to use of the memory that it looks at [bytes].
    """

    options: CacheOptions
    placement: Placement
    met: bool
    projected_bytes: float


def projected_on_gpu(memory: InstanceMemory) -> float:
    """What ``--fit`` counts where there is a GPU: weights, cache and compute buffer there [bytes]."""
    device = memory.device
    return device.mapped + device.weights + device.kv_cache + device.compute


def projected_on_host(spec: ModelSpec, options: CacheOptions, weights_bytes: float) -> float:
    """What ``--fit`` counts without a GPU [bytes]: weights that stay as they are, cache and compute buffer.

    Matrices that the CPU copies into a layout of its own are overlooked: their buffers count neither as the host's nor as a
    device's.
    """
    return weights_bytes + cache_bytes(spec.shape, options) + compute_buffer(spec.shape, options).bytes


def fit(start: Start, free_bytes: float, measure: Measure) -> Fitted:
    """Apply ``--fit`` to a start.

    Args:
        start: what was asked for.
        free_bytes: free on the GPU as the driver reports it; without a GPU, all memory of the machine, which is what llama.cpp
            takes for free there [bytes].
        measure: memory of the model with given options and placement; only asked where there is a GPU.
    """
    on_gpu = start.placement.gpu_layers > 0
    target = free_bytes - MARGIN_BYTES

    def used(options: CacheOptions, where: Placement = start.placement) -> float:
        return projected_on_gpu(measure(options, where)) if on_gpu else projected_on_host(start.spec, options, start.in_place_bytes)

    options, needed = start.options, used(start.options)
    if needed <= target:
        return Fitted(options, start.placement, True, needed)
    if start.auto_context:
        options, settled = _shrunk(start.options, needed, target, used)
        needed = used(options)
        if settled:
            return Fitted(options, start.placement, True, needed)
    if not on_gpu or not start.auto_layers:
        return Fitted(options, start.placement, False, needed)
    placed = _placed(start, lambda where: used(options, where), target)
    needed = used(options, placed)
    return Fitted(options, placed, needed <= target, needed)


def _shrunk(
    options: CacheOptions, largest_bytes: float, target: float, used: Callable[[CacheOptions], float]
) -> tuple[CacheOptions, bool]:
    """A smaller context, and whether that settles it: what is interpolated is not measured again."""
    least = MIN_CONTEXT_TOKENS * options.streams
    if options.context_tokens <= least:
        return options, False
    smallest = replace(options, context_tokens=least)
    least_bytes = used(smallest)
    if target <= least_bytes:
        return smallest, False
    room = int((options.context_tokens - least) * (target - least_bytes) / (largest_bytes - least_bytes))
    context = least + room
    return replace(options, context_tokens=max(context - context % (CELL_PADDING * options.streams), least)), True


def _placed(start: Start, used: Callable[[Placement], float], target: float) -> Placement:
    """As many layers on the GPU as the target allows, from the last one on."""
    spec, most = start.spec, most_gpu_layers(start.spec)
    mixture = spec.shape.experts is not None

    def at(layers: int, partial: int = 0, first: _Fraction = "experts") -> Placement:
        kept = _kept_tensors(spec, partial, first) if mixture else frozenset[str]()
        return replace(start.placement, gpu_layers=layers, kept=kept)

    def layers_only(layers: int) -> Placement:
        return at(layers, max(0, layers - 1))

    if not mixture or used(at(most, most)) > target:
        return layers_only(_largest(most, lambda layers: used(layers_only(layers)) <= target))
    if used(layers_only(most)) > target:
        return layers_only(_largest(most, lambda layers: used(layers_only(layers)) <= target))
    full = 1 + _largest(most - 1, lambda more: used(at(most, most - 1 - more)) <= target)
    partial = most - full
    if not partial:
        return at(most)
    if used(at(most, partial, "up")) < target:
        return at(most, partial, "gate") if used(at(most, partial, "gate")) < target else at(most, partial, "up")
    return at(most, partial, "attention") if used(at(most, partial, "attention")) < target else at(most, partial)


def _kept_tensors(spec: ModelSpec, partial: int, first: _Fraction) -> frozenset[str]:
    """Tensors of the last ``partial`` layers, the output counted as one, that stay with the CPU."""
    begin = most_gpu_layers(spec) - partial
    return frozenset(
        tensor.name
        for tensor in spec.tensors
        if tensor.layer is not None
        and tensor.layer >= begin
        and _KEPT[first if tensor.layer == begin else "experts"].match(tensor.name.rpartition(f"blk.{tensor.layer}.")[2])
    )


def _largest(most: int, holds: Callable[[int], bool]) -> int:
    """The largest number from 0 to ``most`` for which a condition holds that, once it fails, fails for all larger ones."""
    if most <= 0 or holds(most):
        return max(most, 0)
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
