"""Which calibration of a machine answers for the engine that serves."""

from __future__ import annotations

from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.lent import lent
from mmpredict.cost.library import load_coefficients, machine_key, newest_coefficients
from mmpredict.hardware.profile import HardwareProfile
from mmpredict.live.choice import EMBEDDED, LLAMA_SERVER, OLLAMA, OPENAI
from mmpredict.live.embedded import engine_build

ANSWERING = {LLAMA_SERVER: (LLAMA_SERVER,), OLLAMA: (OLLAMA, LLAMA_SERVER), OPENAI: (LLAMA_SERVER,)}
"""Kind of engine → programs whose calibration tells most of it, the best first; without one the embedded engine's does."""


def own_coefficients(profile: HardwareProfile, kind: str = EMBEDDED) -> Coefficients:
    """The calibration of a machine that says most of an engine: the newest of its own program, else that of another, less sure.

    Args:
        profile: the machine.
        kind: of the engine, as a scenario names it.

    Raises:
        NotCalibratedError: there is none; the message says how to get one.
        EngineMissingError: there is none, and the embedded engine, which could be calibrated, is not installed.
        FileFormatError: a file is damaged.
    """
    for program in ANSWERING.get(kind, ()):
        if (found := newest_coefficients(machine_key(profile), program)) is not None:
            return found if program == kind else lent(found, kind)
    embedded = load_coefficients(profile, engine_build())
    return embedded if kind == EMBEDDED else lent(embedded, kind)
