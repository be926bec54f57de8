"""Starts of llama.cpp's server: by itself, or embedded in this project's live runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mmpredict.cost.admission.llama_fit import MARGIN_BYTES, Fitted, Start, fit
from mmpredict.cost.placement import most_gpu_layers
from mmpredict.errors import InputError
from mmpredict.models.cache import CacheOptions
from mmpredict.models.spec import ModelSpec
from mmpredict.sizing.gauge import Gauge
from mmpredict.sizing.machine import Machine
from mmpredict.sizing.models import is_encoder
from mmpredict.sizing.residents import Resident, free_on_gpu
from mmpredict.sizing.start import (
    NO_DEVICE,
    Started,
    cache_types,
    common_defaults,
    gpu_context,
    maps_by_itself,
    placement,
    wanted_layers,
)
from mmpredict.sizing.wish import Wish
from mmpredict.units import format_bytes

# tools/server/server.cpp and common/common.h of llama.cpp b11549.
AUTO_SLOTS = 4
BATCH_TOKENS, UBATCH_TOKENS = 2048, 512
# What this project starts its own servers with (mmpredict.simulation.plan).
EMBEDDED_CONTEXT_TOKENS = 4096
EMBEDDED_SLOTS = 4


def start_llama_server(gauge: Gauge, wish: Wish, machine: Machine, residents: Sequence[Resident]) -> Started:
    """``llama-server -m FILE`` beside what runs already.

    Raises:
        InputError: options that contradict each other or the machine.
    """
    spec = gauge.spec
    layers, auto_layers = wanted_layers(spec, wish, machine)
    options, auto_context, defaults = _options(spec, wish)
    where = placement(wish, machine, layers, maps_by_itself(machine, layers))
    context = gpu_context(machine, layers)
    free = free_on_gpu(machine, residents) - context.value if layers else machine.host.capacity_bytes
    in_place = 0.0 if layers else gauge.in_place_bytes(where)
    start = Start(spec, options, where, auto_context, auto_layers, in_place)
    fitted = fit(start, free, lambda tried, placed: gauge.at(tried, placed, context.value))
    if machine.device is not None and not layers:
        defaults.append(NO_DEVICE)
    kept = fitted.placement
    if layers and not kept.gpu_layers:
        kept, context = replace(kept, kept=frozenset()), gpu_context(machine, 0)
    memory = gauge.at(fitted.options, kept, context.value)
    resident = Resident(gauge, fitted.options, kept, memory, context)
    return Started(
        resident,
        _sentence(start, fitted, free),
        _rules(start, resident, machine),
        (*defaults, *common_defaults(wish, resident)),
    )


def start_embedded(gauge: Gauge, wish: Wish, machine: Machine, residents: Sequence[Resident]) -> Started:
    """The engine of this project's live runs: on the CPU, with what is asked for and nothing adjusted.

    Raises:
        InputError: layers on a GPU.
    """
    if wish.gpu_layers not in (None, "fit", 0):
        raise InputError(
            "the embedded engine is a CPU build and is started without layers on a GPU; leave --gpu-layers out or use "
            "--engine llama-server"
        )
    slots = wish.slots or EMBEDDED_SLOTS
    asked = replace(
        wish,
        slots=slots,
        unified=True if wish.unified is None else wish.unified,
        context_tokens=wish.context_tokens or EMBEDDED_CONTEXT_TOKENS,
    )
    options, _, defaults = _options(gauge.spec, asked)
    if wish.context_tokens is None:
        defaults.append(f"a context of {EMBEDDED_CONTEXT_TOKENS} tokens")
    if wish.slots is None:
        defaults.append(f"{EMBEDDED_SLOTS} slots on one cache")
    where = placement(wish, machine, 0, True)
    resident = Resident(gauge, options, where, gauge.at(options, where), gpu_context(machine, 0))
    return Started(resident, "starts as asked: nothing is checked or adjusted", (), (*defaults, *common_defaults(wish, resident)))


def _options(spec: ModelSpec, wish: Wish) -> tuple[CacheOptions, bool, list[str]]:
    """Context, slots and cache; whether the context is automatic; what was filled in."""
    defaults = []
    slots, unified = wish.slots, bool(wish.unified)
    if slots is None:
        if wish.unified is False:
            raise InputError("without a number of slots llama-server always shares the cache among 4; add --parallel 4 to split it")
        slots, unified = AUTO_SLOTS, True
        defaults.append(f"{slots} slots that share the context")
    elif wish.unified is None and slots > 1:
        defaults.append("each slot has its part of the context (--unified shares it)")
    context = wish.context_tokens
    if context is None:
        context = spec.shape.context_length * (1 if unified else slots)
        if context < 1:
            raise InputError(f"{spec.name!r} does not say what context it was trained on; give one (--ctx 4096)")
    batch = wish.batch_tokens or BATCH_TOKENS
    ubatch = min(wish.ubatch_tokens or UBATCH_TOKENS, batch)
    if wish.ubatch_tokens is None and not is_encoder(spec):
        defaults.append(f"a physical batch of {ubatch} tokens")
    key_type, value_type = cache_types(wish)
    flash = True if wish.flash_attention is None else wish.flash_attention
    return CacheOptions(context, slots, ubatch, unified, key_type, value_type, flash), wish.context_tokens is None, defaults


def _sentence(start: Start, fitted: Fitted, free_bytes: float) -> str:
    projected, margin = format_bytes(fitted.projected_bytes), format_bytes(MARGIN_BYTES)
    before, after = start.options.context_tokens, fitted.options.context_tokens
    shrunk = f"shrinks the context from {before} to {after} tokens" if after != before else ""
    if not start.placement.gpu_layers:
        what = f"{projected} of weights, cache and buffers, of {format_bytes(free_bytes)} that the machine has in all"
        if fitted.met:
            return f"--fit {shrunk}: {what}" if shrunk else f"starts as asked: --fit counts {what}"
        return f"--fit {shrunk or 'changes nothing'} and it starts all the same: {what}, less than {margin} to spare"
    most = most_gpu_layers(start.spec)
    layers = fitted.placement.gpu_layers
    placed = f"all {most} layers on the GPU" if layers == most else f"{layers} of {most} layers on the GPU"
    if fitted.placement.kept:
        kept = sum(t.size_bytes for t in start.spec.tensors if t.name in fitted.placement.kept)
        placed += f", {format_bytes(kept)} of expert weights with the CPU"
    spare = f"{format_bytes(free_bytes - fitted.projected_bytes)} of it stay free by its count"
    if not fitted.met:
        fixed = "" if start.auto_layers else ": what is asked for is not changed"
        return f"{placed}, although less than {margin} would stay free{fixed}; --fit {shrunk or 'changes nothing'}"
    return f"--fit {shrunk}; {placed}, {spare}" if shrunk else f"{placed}, {spare}"


def _rules(start: Start, resident: Resident, machine: Machine) -> tuple[str, ...]:
    spec, slot, layers = start.spec, resident.options.slot_cells, resident.placement.gpu_layers
    trained, copied, found = spec.shape.context_length, resident.memory.host.weights, []
    if machine.device is None and resident.placement.mapped and copied:
        found.append(
            f"{spec.name}: --fit overlooks the {format_bytes(copied)} of matrices that the CPU copies into its own layout, and "
            "compares with all memory of the machine, not with what is free"
        )
    if trained and slot > trained and spec.shape.kind == "text-generation":
        found.append(
            f"{spec.name}: {slot} tokens per slot are more than the {trained} it was trained on; llama-server caps what a slot "
            "uses, the memory is taken all the same"
        )
    if machine.unified and layers < start.placement.gpu_layers:
        found.append(
            f"{spec.name}: --fit keeps layers from the GPU to leave 1 GiB free, but CPU and GPU share one memory, so that saves "
            "nothing; --gpu-layers all needs no more"
        )
    return tuple(found)
