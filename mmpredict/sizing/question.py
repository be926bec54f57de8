"""What is asked: models, a machine and options, resolved from names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmpredict.errors import InputError
from mmpredict.models.spec import ModelSpec
from mmpredict.sizing.find_machine import THIS_MACHINE, find_machine
from mmpredict.sizing.machine import Machine
from mmpredict.sizing.models import described
from mmpredict.sizing.wish import Wish

if TYPE_CHECKING:
    from mmpredict.hardware.profile import HardwareProfile

MAX_MODELS = 1000


@dataclass(frozen=True, slots=True)
class Question:
    """Models, a machine and options, resolved.

    Attributes:
        specs: models in the order in which they are loaded; the same one may appear several times.
        machine: where.
        wish: how.
    """

    specs: tuple[ModelSpec, ...]
    machine: Machine
    wish: Wish


def question(
    models: str | ModelSpec | Sequence[str | ModelSpec],
    hardware: str | HardwareProfile | Machine = THIS_MACHINE,
    wish: Wish | None = None,
    budget_bytes: float | None = None,
    vram_bytes: float | None = None,
) -> Question:
    """Resolve names.

    Args:
        models: one or several; the same name twice means two instances.
        hardware: name of a machine, or its profile.
        wish: options of the server.
        budget_bytes: what models may take of the memory they live in, instead of what the profile says [bytes].
        vram_bytes: size of a graphics card to put in the place of the machine's GPU [bytes].

    Raises:
        InputError: a model, a machine or a size that cannot be used.
    """
    listed = [models] if isinstance(models, str | ModelSpec) else list(models)
    if not 0 < len(listed) <= MAX_MODELS:
        raise InputError(f"{len(listed)} models; give at least one and at most {MAX_MODELS}")
    machine = find_machine(hardware)
    for what, size in (("VRAM", vram_bytes), ("budget", budget_bytes)):
        if size is not None and size < 1:
            raise InputError(f"{what} of {size:g} bytes; it must be more than nothing")
    if vram_bytes is not None:
        machine = machine.with_card(vram_bytes)
    if budget_bytes is not None:
        machine = machine.with_budget(budget_bytes)
    return Question(tuple(described(model) for model in listed), machine, wish or Wish())
