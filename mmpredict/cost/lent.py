"""A calibration that answers for an engine of which there is none: another build of llama.cpp on the same machine.

Builds differ in the instructions that they use, in the thread library, and in what their servers do beside; by how much, only a
calibration of the build itself can tell.
"""

from __future__ import annotations

import math

from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.library import PROGRAMS, how_to_calibrate

LENT_LOG_SPREAD = 0.12
"""Predicted ÷ measured makespans of llama-servers from source by the embedded build's calibration, in two sittings: 1.11, 1.04,
1.19 and 1.10, 1.14 behind llama-swap (docs/executing.md); the root mean square of their logarithms."""


def lent(coefficients: Coefficients, kind: str) -> Coefficients:
    """The same numbers, less sure, for an engine of another kind.

    Args:
        coefficients: of another program.
        kind: of the engine that they are to answer for, as a scenario names it.
    """
    spread = math.hypot(coefficients.machine_log_spread, LENT_LOG_SPREAD)
    return coefficients.model_copy(update={"machine_log_spread": spread, "lent_to": kind})


def lent_sentence(coefficients: Coefficients) -> str:
    """What a reader should know of it; empty where nothing is lent."""
    if not coefficients.lent_to:
        return ""
    kind = coefficients.lent_to
    remedy = how_to_calibrate(kind) if kind in PROGRAMS else "calibrate the build that it runs"
    return (
        f"by the calibration of {coefficients.engine}, as {kind} has none of its own and may be a tenth or two quicker or slower; "
        f"{remedy}"
    )
