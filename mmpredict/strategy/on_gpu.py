"""Which strategies are left where models run on a GPU: those that differ in more than the use of the CPU's cores."""

from __future__ import annotations

from collections.abc import Sequence

from mmpredict.errors import InputError
from mmpredict.simulation.plan import Plan
from mmpredict.strategy.table import OF_THE_CORES


def different_on_gpu(plans: Sequence[Plan], machine: str) -> tuple[list[Plan], dict[str, str]]:
    """Plans that differ on a machine whose GPU works: (those, strategy → why it is left out).

    Args:
        plans: of any strategies.
        machine: its name, for people.

    Raises:
        InputError: none is left.
    """
    left_out = {
        plan.strategy: f"the same as {OF_THE_CORES[plan.strategy]} on {machine}, where models run on the GPU"
        for plan in plans
        if plan.strategy in OF_THE_CORES
    }
    kept = [plan for plan in plans if plan.strategy not in left_out]
    if not kept:
        reasons = "; ".join(f"{name} is {reason}" for name, reason in left_out.items())
        raise InputError(f"no strategy is left: {reasons}; ask for {', '.join(sorted(set(OF_THE_CORES.values())))}")
    return kept, left_out
