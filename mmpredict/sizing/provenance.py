"""Where the figures of an estimate come from, and what they leave out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mmpredict.sizing.machine import Machine
from mmpredict.sizing.models import is_encoder, notes
from mmpredict.sizing.residents import Resident
from mmpredict.sizing.wish import Engine


def sources(residents: Sequence[Resident], machine: Machine, engine: Engine) -> tuple[str, ...]:
    """Sentences on where figures come from, and what their bounds are."""
    found = [f"{one.gauge.spec.name}: {one.gauge.spec.source}" for one in residents if one.gauge.spec.source]
    found.append(f"process of {engine}: {residents[0].gauge.overhead.source}; bounds: the other engines that were measured")
    found.append(f"usable memory: {machine.host.source}")
    if machine.device is not None:
        found.append(f"usable memory of the GPU: {machine.device.source}")
    if any(one.placement.gpu_layers for one in residents):
        found.append(f"what each process loses on the GPU: {machine.context_source}")
    return unique(found)


def doubts(residents: Sequence[Resident], machine: Machine, engine: Engine) -> tuple[str, ...]:
    """Sentences on what is assumed or not counted."""
    found = [sentence for one in residents for sentence in (*notes(one.gauge.spec), *one.memory.doubts)]
    if any(one.placement.gpu_layers for one in residents) and not machine.unified:
        found.append("what the GPU's driver and libraries take of the RAM is not counted")
    if engine != "embedded" and not all(is_encoder(one.gauge.spec) for one in residents):
        found.append("prompts that are kept for later requests are not counted: up to 8 GiB of RAM per server (--cache-ram)")
    if engine != "embedded" and any(one.gauge.spec.shape.window or one.gauge.spec.shape.recurrent for one in residents):
        found.append(
            "checkpoints of windows and recurrent states, which grow while a server runs (--ctx-checkpoints), are not counted"
        )
    return unique([*found, *machine.doubts])


def unique(sentences: Iterable[str]) -> tuple[str, ...]:
    """Each sentence once, in order."""
    return tuple(dict.fromkeys(sentences))
