"""Starts of Ollama: a llama-server per model, with Ollama's own defaults and its check before a further model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mmpredict.cost.admission import ollama
from mmpredict.cost.admission.llama_fit import Start, fit
from mmpredict.cost.placement import most_gpu_layers
from mmpredict.errors import InputError
from mmpredict.models.cache import CacheOptions
from mmpredict.sizing.gauge import Gauge
from mmpredict.sizing.machine import METAL, Machine
from mmpredict.sizing.residents import Resident, buffers_on_gpu, free_on_gpu, free_on_host
from mmpredict.sizing.start import (
    NO_DEVICE,
    Started,
    cache_types,
    common_defaults,
    gpu_context,
    placement,
    wanted_layers,
)
from mmpredict.sizing.wish import Wish
from mmpredict.units import format_bytes, format_percent

_DISAGREES = 1.15


def start_ollama(gauge: Gauge, wish: Wish, machine: Machine, residents: Sequence[Resident]) -> Started:
    """A request for a model that is not loaded yet, beside those that are.

    Raises:
        InputError: options that Ollama does not have, or that contradict the machine.
    """
    spec, shape = gauge.spec, gauge.spec.shape
    _check(wish)
    layers, auto_layers = wanted_layers(spec, wish, machine)
    tokens = ollama.context_tokens(wish.context_tokens or ollama.default_context_tokens(machine.gpu_bytes), shape)
    slots = ollama.slots(wish.slots or 1, shape)
    cells = tokens * slots
    predicted = ollama.predicted_bytes(spec, cells)
    available = _free(machine, residents) if layers else 0.0
    batch = wish.batch_tokens or wish.ubatch_tokens or ollama.batch_tokens(shape, cells, predicted, available)
    predicted += ollama.surcharge_bytes(shape, batch)
    staying, evicted = _make_room(machine, residents, predicted, layers, auto_layers or layers == most_gpu_layers(spec), gauge.file)
    key_type, value_type = cache_types(wish)
    flash = True if wish.flash_attention is None else wish.flash_attention
    options = CacheOptions(cells, slots, min(batch, cells), False, key_type, value_type, flash)
    where = placement(wish, machine, layers, _maps(gauge, wish, machine, staying, layers, predicted))
    context = gpu_context(machine, layers)
    free = free_on_gpu(machine, staying) - context.value if layers else machine.host.capacity_bytes
    start = Start(spec, options, where, False, auto_layers, 0.0 if layers else gauge.in_place_bytes(where))
    fitted = fit(start, free, lambda tried, placed: gauge.at(tried, placed, context.value))
    final = fitted.placement
    if layers and not final.gpu_layers:
        final, context = replace(final, kept=frozenset()), gpu_context(machine, 0)
    memory = gauge.at(options, final, context.value)
    resident = Resident(gauge, options, final, memory, context)
    defaults = _defaults(wish, machine, resident, tokens, batch)
    if machine.device is not None and not layers:
        defaults.append(NO_DEVICE)
    repeated = gauge.file in {one.gauge.file for one in residents}
    return Started(
        resident,
        _sentence(resident, evicted, predicted, _free(machine, residents), bool(residents), repeated),
        _rules(wish, resident, machine, predicted, layers),
        tuple(defaults),
        evicted,
    )


def _check(wish: Wish) -> None:
    ollama.check_cache_types(*cache_types(wish))
    if wish.unified:
        raise InputError("Ollama gives every slot a cache of its own; --unified is an option of llama-server")
    if wish.repacking is not None:
        raise InputError("Ollama has no option against repacking; --no-repack is one of llama-server")
    if wish.batch_tokens and wish.ubatch_tokens and wish.batch_tokens != wish.ubatch_tokens:
        raise InputError("Ollama has one batch size (num_batch), for the logical and the physical batch; give --batch alone")


def _free(machine: Machine, residents: Sequence[Resident]) -> float:
    """What Ollama takes for free on the GPU: what is reported, or the total less the buffers of loaded models if that is less."""
    return min(free_on_gpu(machine, residents), max(0.0, machine.gpu_bytes - buffers_on_gpu(residents)))


def _make_room(
    machine: Machine, residents: Sequence[Resident], predicted: float, layers: int, whole: bool, file: str
) -> tuple[list[Resident], tuple[Resident, ...]]:
    """Instances that stay, and those that are unloaded first.

    All have the same keep-alive, so the digest of their files decides who goes, which nobody knows beforehand; the first goes here.
    """
    staying = list(residents)

    def loaded() -> list[str]:
        return list(dict.fromkeys(one.gauge.file for one in staying))

    if file in loaded():
        return staying, ()
    while (count := len(loaded())) >= ollama.MODELS_PER_GPU or (
        layers and whole and ollama.evicts(predicted, _free(machine, staying), count)
    ):
        first = loaded()[0]
        staying = [one for one in staying if one.gauge.file != first]
    return staying, tuple(one for one in residents if one not in staying)


def _maps(gauge: Gauge, wish: Wish, machine: Machine, residents: Sequence[Resident], layers: int, predicted: float) -> bool:
    available = _free(machine, residents)
    partial = 0 < layers < most_gpu_layers(gauge.spec) if wish.gpu_layers not in (None, "fit") else predicted > available
    pressure = (
        bool(layers)
        and not machine.integrated
        and predicted <= ollama.FREE_SHARE * available
        and ollama.host_pressure(
            gauge.spec.file_bytes,
            sum(one.gauge.spec.file_bytes for one in residents if one.placement.mapped),
            free_on_host(machine, residents),
            machine.host.capacity_bytes,
        )
    )
    return ollama.maps_file(bool(layers), machine.integrated, machine.backend, partial and machine.backend == METAL, pressure)


def _defaults(wish: Wish, machine: Machine, resident: Resident, tokens: int, batch: int) -> list[str]:
    found = []
    if wish.context_tokens is None:
        tier = f"{format_bytes(machine.gpu_bytes)} of GPU memory" if machine.device else "no GPU"
        found.append(f"a context of {tokens} tokens per slot: Ollama's default with {tier}, at most what the model was trained on")
    if wish.slots is None:
        found.append("one slot per model (OLLAMA_NUM_PARALLEL)")
    if not wish.batch_tokens and not wish.ubatch_tokens:
        found.append(f"batches of {batch} tokens")
    return [*found, *common_defaults(wish, resident)]


def _sentence(
    resident: Resident, evicted: Sequence[Resident], predicted: float, free_bytes: float, others: bool, repeated: bool
) -> str:
    most, layers = most_gpu_layers(resident.gauge.spec), resident.placement.gpu_layers
    if repeated:
        return "Ollama runs one instance per model: this one would share the first, with OLLAMA_NUM_PARALLEL raised"
    where = f"{layers} of {most} layers on the GPU" if layers else "runs on the CPU"
    if evicted:
        gone = " and ".join(dict.fromkeys(one.gauge.spec.name for one in evicted))
        return f"unloads {gone} first (or others: the digests of the files decide); then {where}"
    if not others:
        return f"loads as the first model, unchecked; {where}"
    if not layers:
        return f"loads beside the others: without a GPU only their number counts, at most {ollama.MODELS_PER_GPU}; {where}"
    return f"loads beside the others: {format_bytes(predicted)} predicted, within 80 % of {format_bytes(free_bytes)} free; {where}"


def _rules(wish: Wish, resident: Resident, machine: Machine, predicted: float, layers: int) -> tuple[str, ...]:
    found, name = [], resident.gauge.spec.name
    if wish.context_tokens and wish.context_tokens > resident.options.context_tokens // resident.options.slots:
        found.append(f"{name}: the context is capped to the {resident.gauge.spec.shape.context_length} tokens it was trained on")
    if wish.slots and resident.options.slots < wish.slots:
        found.append(f"{name}: Ollama gives this kind of model one slot, whatever OLLAMA_NUM_PARALLEL says")
    if layers:
        full = resident.gauge.at(resident.options, replace(resident.placement, gpu_layers=layers, kept=frozenset()))
        real = full.device.total
        if predicted > _DISAGREES * real or predicted * _DISAGREES < real:
            more = format_percent(predicted / real - 1, signed=True)
            found += [
                f"{name}: Ollama predicts {format_bytes(predicted)}, {more} against {format_bytes(real)} that the GPU would hold",
                f"Ollama's prediction is the {ollama.EXPLANATION}, and up to 2 GiB for a large batch",
            ]
    return tuple(found)
