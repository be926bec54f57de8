"""Speed of the models of an estimate, each alone on the machine, in llama-bench's words."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from mmpredict.cost.library import newest_coefficients, own_rates_stamp, this_machine_key
from mmpredict.cost.loading import assumed_load, load_s
from mmpredict.cost.rates.attention import is_cached
from mmpredict.cost.rates.choice import PREFERRED_BACKENDS, Basis, Choice, measured_rates, related_rates
from mmpredict.cost.rates.parameters import ProcessorClass
from mmpredict.cost.rates.step_terms import Conditions
from mmpredict.cost.speed import NORMAL_80, CalibratedSpeed, Duration, PublishedSpeed, Speed, SplitSpeed
from mmpredict.errors import MmpredictError, NotCalibratedError
from mmpredict.models.spec import ModelSpec
from mmpredict.results.estimate import Estimate, InstanceEstimate
from mmpredict.results.speed import Figure, SpeedEstimate
from mmpredict.sizing.divided import DOUBT, divided
from mmpredict.sizing.find_machine import THIS_MACHINE
from mmpredict.sizing.machine import Machine
from mmpredict.sizing.question import Question

if TYPE_CHECKING:
    from mmpredict.cost.coefficients import Coefficients
    from mmpredict.hardware.profile import HardwareProfile

PROMPT_TOKENS, GENERATED_TOKENS, DEPTH_TOKENS = 512, 128, 4096
IN_MEMORY, ON_DISK = "load, file in memory", "load, file on disk"
_BASES: tuple[Basis, ...] = ("own", "published", "family", "data sheet")


def speeds(
    asked: Question, found: Estimate, hardware: str | HardwareProfile, backend: str | None = None
) -> tuple[SpeedEstimate, ...]:
    """Speed of every instance of an estimate, alone on the machine; one that cannot be told says why.

    Args:
        asked: the question that was answered.
        found: the answer.
        hardware: name of the machine, or its profile.
        backend: programming interface of the GPU; by default the one that most people run.
    """
    return tuple(
        _speed(spec, instance, asked.machine, hardware, backend)
        for spec, instance in zip(asked.specs, found.instances, strict=True)
    )


def _speed(
    spec: ModelSpec, one: InstanceEstimate, machine: Machine, hardware: str | HardwareProfile, backend: str | None
) -> SpeedEstimate:
    where: ProcessorClass = "gpu" if one.gpu_layers else "cpu"
    try:
        speed, choices, doubts = _parts(spec, one, machine, hardware, backend)
    except MmpredictError as error:
        return SpeedEstimate(spec.name, where, backend or machine.backend or "cpu", "", "", (), missing=str(error))
    own = speed.coefficients if isinstance(speed, CalibratedSpeed) else None
    worst = max((choice[0] for choice in choices), key=_BASES.index)
    return SpeedEstimate(
        model=spec.name,
        processor=where,
        backend=choices[0][2],
        basis=worst,
        source="; ".join(choice[1] for choice in choices),
        figures=(*_figures(spec, speed, one), *_loads(spec, one, machine, own)),
        verify=_command(spec, one, machine, where),
        doubts=tuple(doubts),
    )


_Known = tuple[Basis, str, str]  # basis, sentence, backend


def _parts(
    spec: ModelSpec, one: InstanceEstimate, machine: Machine, hardware: str | HardwareProfile, backend: str | None
) -> tuple[Speed, list[_Known], list[str]]:
    """What answers for the model, where its numbers come from, and what is assumed."""
    how = Conditions(one.ubatch_tokens, one.key_type, one.value_type)
    doubts = [] if one.flash_attention else ["flash attention is off: the figures are of runs with it"]
    parts = divided(spec, one.gpu_layers, one.kept_bytes, how)
    found = [_on(part.spec, part.kind, machine, hardware, part.how, backend if part.kind == "gpu" else None) for part in parts]
    known = [source for _, source in found]
    if len(found) == 1:
        return found[0][0], known, doubts
    return SplitSpeed(tuple(speed for speed, _ in found)), known, [*doubts, DOUBT]


def _on(
    spec: ModelSpec, kind: ProcessorClass, machine: Machine, hardware: str | HardwareProfile, how: Conditions, backend: str | None
) -> tuple[Speed, _Known]:
    if machine.name == THIS_MACHINE and kind == "cpu" and (own := newest_coefficients(_this_machine())) is not None:
        sentence = f"your calibration of this machine with {own.engine} on {own.measured_on}"
        return CalibratedSpeed(spec, own, machine.threads, how.ubatch_tokens), ("own", sentence, "cpu")
    choice = choice_of(machine, hardware, backend, kind)
    return PublishedSpeed(spec, choice.rates, how), (choice.basis, choice.sentence, choice.rates.backend)


def choice_of(
    machine: Machine, hardware: str | HardwareProfile, backend: str | None = None, kind: ProcessorClass | None = None
) -> Choice:
    """The best known rates of a machine's GPU, or of its CPU where it has none.

    Raises:
        InputError: its profile says too little of the processor.
        NotCalibratedError: it is this machine, and nothing was measured here.
    """
    kind = kind or ("gpu" if machine.device is not None else "cpu")
    name, _, mode = machine.name.partition(":")
    backends = [backend.lower()] if backend else _backends(machine, kind)
    key = _this_machine() if name == THIS_MACHINE else name
    found = _choice(key, mode, kind, tuple(backends), own_rates_stamp(key), machine.like)
    if found is None and name == THIS_MACHINE and kind == "cpu":
        raise NotCalibratedError("nothing was measured on this machine; measure it: mmpredict calibrate run")
    return found or related_rates(_profile(hardware), kind, backends)


@lru_cache(64)
def _choice(name: str, mode: str, kind: ProcessorClass, backends: tuple[str, ...], stamp: int, like: str) -> Choice | None:
    """``stamp`` tells a machine's own rates from later ones."""
    return measured_rates(name, mode, kind, backends, like=like)


def _backends(machine: Machine, kind: ProcessorClass) -> list[str]:
    if kind == "cpu":
        return ["cpu"]
    known = [name for name in PREFERRED_BACKENDS if name in machine.backends]
    return known or [machine.backend or PREFERRED_BACKENDS[0]]


@lru_cache(1)
def _this_machine() -> str:
    from mmpredict.hardware.detect import count_usable_cores, cpu_identity

    return this_machine_key(cpu_identity().model, count_usable_cores().cores)


def _profile(hardware: str | HardwareProfile) -> HardwareProfile:
    from mmpredict.hardware.library import find_profile

    return find_profile(hardware, gpus=True) if isinstance(hardware, str) else hardware


def _figures(spec: ModelSpec, speed: Speed, one: InstanceEstimate) -> list[Figure]:
    """llama-bench's tests, as far as the context allows, and the time to the first token of a request."""
    prompt = min(PROMPT_TOKENS, one.slot_tokens)
    figures = [_rate(f"pp{prompt}", speed.prompt(prompt), prompt)]
    if spec.output_matrix is None or not is_cached(spec.shape):
        return [*figures, _time(f"{prompt} tokens", speed.prompt(prompt, served=True))]
    for depth in (0, DEPTH_TOKENS):
        if depth + GENERATED_TOKENS <= one.slot_tokens:
            name = f"tg{GENERATED_TOKENS}" + (f" @ d{depth}" if depth else "")
            figures.append(_rate(name, speed.decode(1, depth, GENERATED_TOKENS), GENERATED_TOKENS))
    if one.slots > 1 and one.context_tokens >= one.slots * (prompt + GENERATED_TOKENS):
        together = speed.decode(one.slots, prompt, GENERATED_TOKENS, served=True)
        figures.append(_rate(f"tg{GENERATED_TOKENS} × {one.slots} slots", together, one.slots * GENERATED_TOKENS))
    return [*figures, _time(f"TTFT, {prompt} tokens", speed.prompt(prompt, served=True))]


def _rate(test: str, duration: Duration, tokens: int) -> Figure:
    return Figure(test, tokens / duration.value, tokens / duration.high, tokens / duration.low, "t/s")


def _time(test: str, duration: Duration) -> Figure:
    return Figure(test, duration.value, duration.low, duration.high, "s")


def _loads(spec: ModelSpec, one: InstanceEstimate, machine: Machine, own: Coefficients | None) -> list[Figure]:
    """Time until a server has loaded the file, from the page cache and from storage."""
    if own is not None:
        spread = math.exp(NORMAL_80 * math.hypot(own.loading.log_spread, own.machine_log_spread))
        known = {name: load_s(spec, one.host.kv_cache, cold, own.loading) for name, cold in ((IN_MEMORY, False), (ON_DISK, True))}
        return [Figure(name, time, time / spread, time * spread, "s") for name, time in known.items()]
    times = {IN_MEMORY: assumed_load(one.file_bytes, machine.bandwidth_bytes_per_s)}
    if (disk := machine.storage_bytes_per_s) is not None:
        read = (disk.value, disk.low, disk.high)
        times[ON_DISK] = assumed_load(one.file_bytes, machine.bandwidth_bytes_per_s, read)
    return [Figure(name, time.value, time.low, time.high, "s") for name, time in times.items()]


def _command(spec: ModelSpec, one: InstanceEstimate, machine: Machine, where: ProcessorClass) -> str:
    """llama-bench's command for the same tests."""
    file = str(spec.path) if spec.path else "MODEL.gguf"
    parts = [f"llama-bench -m {file} -p {PROMPT_TOKENS} -n {GENERATED_TOKENS} -d 0,{DEPTH_TOKENS}"]
    parts.append(f"-ngl {one.gpu_layers}" if where == "gpu" else f"-ngl 0 -t {machine.threads}")
    parts.append(f"-fa {int(one.flash_attention)} -ub {one.ubatch_tokens}")
    if (one.key_type, one.value_type) != ("f16", "f16"):
        parts.append(f"-ctk {one.key_type} -ctv {one.value_type}")
    return " ".join(parts)
