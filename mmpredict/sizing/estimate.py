"""Memory of models on a machine: what each takes, whether they fit together, and by whose rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mmpredict.cost.placement import most_gpu_layers
from mmpredict.models.spec import ModelSpec
from mmpredict.results.estimate import Estimate, InstanceEstimate
from mmpredict.sizing.advice import advise
from mmpredict.sizing.find_machine import THIS_MACHINE
from mmpredict.sizing.gauge import Gauge, parts
from mmpredict.sizing.machine import Machine
from mmpredict.sizing.models import gauge_of, notes
from mmpredict.sizing.pools import physics, pools
from mmpredict.sizing.provenance import doubts, sources, unique
from mmpredict.sizing.question import Question, question
from mmpredict.sizing.residents import Added, Resident, added
from mmpredict.sizing.speed import speeds
from mmpredict.sizing.start import Started
from mmpredict.sizing.start_llama import start_embedded, start_llama_server
from mmpredict.sizing.start_ollama import start_ollama
from mmpredict.sizing.wish import Engine, GpuLayers, Wish

if TYPE_CHECKING:
    from mmpredict.hardware.profile import HardwareProfile

_Start = Callable[[Gauge, Wish, Machine, Sequence[Resident]], Started]
_STARTS: dict[Engine, _Start] = {
    "llama-server": start_llama_server,
    "ollama": start_ollama,
    "embedded": start_embedded,
}


def estimate(
    models: str | ModelSpec | Sequence[str | ModelSpec],
    hardware: str | HardwareProfile = THIS_MACHINE,
    *,
    engine: Engine = "llama-server",
    context_tokens: int | None = None,
    slots: int | None = None,
    unified: bool | None = None,
    key_type: str | None = None,
    value_type: str | None = None,
    gpu_layers: GpuLayers | None = None,
    batch_tokens: int | None = None,
    ubatch_tokens: int | None = None,
    mapped: bool | None = None,
    repacking: bool | None = None,
    flash_attention: bool | None = None,
    budget_bytes: float | None = None,
    vram_bytes: float | None = None,
    backend: str | None = None,
    speed: bool = False,
    advice: bool = False,
) -> Estimate:
    """Memory of models on a machine, and whether it suffices; and how fast each is alone.

    What is left out is filled in as the engine would, and ``defaults`` of the result says so.

    Args:
        models: one or several names, loaded in this order; the same name twice means two instances.
        hardware: name of a machine (``mmpredict hardware list``), or its profile.
        engine: ``llama-server``, ``ollama`` or ``embedded``: whose defaults and rules hold.
        context_tokens: of all slots together for llama-server, of each slot for Ollama [tokens].
        slots: sequences served at a time [1].
        unified: whether the slots share the cells of one cache.
        key_type, value_type: storage of keys and of values (``f16``, ``q8_0``, …).
        gpu_layers: layers on the GPU, the output counted as one; ``all``, or ``fit`` for as many as the engine finds room for.
        batch_tokens, ubatch_tokens: logical and physical batch [tokens].
        mapped: whether files may stay mapped.
        repacking: whether the CPU may copy matrices into a layout of its own.
        flash_attention: whether attention is one fused operation.
        budget_bytes: what models may take of the memory they live in, instead of what the profile says [bytes].
        vram_bytes: size of a graphics card to put in the place of the machine's GPU [bytes].
        backend: programming interface of the GPU for the speed; by default the one that most people run.
        speed: whether to tell how fast each model is alone on the machine.
        advice: whether to look for the largest context, and for remedies where it does not fit.

    Raises:
        InputError: a model, a machine or an option that cannot be used.
    """
    wish = Wish(
        engine=engine,
        context_tokens=context_tokens,
        slots=slots,
        unified=unified,
        key_type=key_type,
        value_type=value_type,
        gpu_layers=gpu_layers,
        batch_tokens=batch_tokens,
        ubatch_tokens=ubatch_tokens,
        mapped=mapped,
        repacking=repacking,
        flash_attention=flash_attention,
    )
    asked = question(models, hardware, wish, budget_bytes, vram_bytes)
    found = answer(asked)
    if speed:
        found = replace(found, speeds=speeds(asked, found, hardware, backend))
    return replace(found, advice=advise(asked, found, answer)) if advice else found


def answer(asked: Question, count_layers: bool = True) -> Estimate:
    """Start the models one after the other, as their server would, and add up what they take.

    Args:
        asked: models, machine and options.
        count_layers: whether to find out how many layers the GPU would hold, which takes the longest.
    """
    engine, machine = asked.wish.engine, asked.machine
    started, running = [], list[Resident]()
    for spec in asked.specs:
        one = start(spec, asked, running)
        running = [resident for resident in running if resident not in one.evicted]
        running.append(one.resident)
        started.append(one)
    residents = [one.resident for one in started]
    takes = added(residents)
    memories = pools(machine, takes)
    return Estimate(
        hardware=machine.name,
        engine=engine,
        instances=tuple(
            _instance(
                one,
                takes[position],
                one.resident in running,
                fitting_layers(one.resident, takes[:position], machine) if count_layers else None,
            )
            for position, one in enumerate(started)
        ),
        pools=memories,
        physics=physics(machine, memories),
        rules=unique(rule for one in started for rule in one.rules),
        defaults=unique(default for one in started for default in one.defaults),
        sources=sources(residents, machine, engine),
        doubts=doubts(residents, machine, engine),
    )


def start(spec: ModelSpec, asked: Question, residents: Sequence[Resident]) -> Started:
    """Start one model beside those that run already."""
    engine = asked.wish.engine
    return _STARTS[engine](gauge_of(spec, asked.machine, engine), asked.wish, asked.machine, residents)


def fitting_layers(resident: Resident, before: Sequence[Added], machine: Machine) -> int | None:
    """Layers that the GPU's memory would hold beside what is taken of it, with nothing to spare [1]; None without a GPU."""
    if machine.device is None:
        return None
    gauge, most = resident.gauge, most_gpu_layers(resident.gauge.spec)
    on_gpu, there = sum(one.device.value for one in before), machine.device.usable.value
    if machine.unified:
        there = min(there, machine.host.usable.value - sum(one.host.value for one in before))

    def fits(layers: int) -> bool:
        where = replace(resident.placement, gpu_layers=layers, repacking=False, kept=frozenset())
        return gauge.at(resident.options, where, machine.context.value).device.total <= there - on_gpu

    if fits(most):
        return most
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _instance(one: Started, take: Added, loaded: bool, layers: int | None) -> InstanceEstimate:
    resident, spec, options = one.resident, one.resident.gauge.spec, one.resident.options
    kept = resident.placement.kept
    return InstanceEstimate(
        model=spec.name,
        file=resident.gauge.file,
        file_bytes=spec.file_bytes,
        parameters=spec.parameters,
        context_tokens=options.context_tokens,
        slot_tokens=options.slot_cells,
        slots=options.slots,
        unified=options.unified,
        ubatch_tokens=options.ubatch_tokens,
        key_type=options.key_type,
        value_type=options.value_type,
        flash_attention=options.flash_attention,
        gpu_layers=resident.placement.gpu_layers,
        most_gpu_layers=most_gpu_layers(spec),
        fitting_gpu_layers=layers,
        kept_bytes=sum(tensor.size_bytes for tensor in spec.tensors if tensor.name in kept) if kept else 0,
        host=parts(resident.memory.host),
        device=parts(resident.memory.device),
        idle_bytes=resident.gauge.idle_bytes(resident.placement),
        host_added=take.host,
        device_added=take.device,
        server=one.sentence,
        loaded=loaded,
        doubts=notes(spec),
    )
