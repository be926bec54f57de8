"""The strategies by their short names. Adding one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.simulation.plan import Plan
from mmpredict.strategy.batched import batched, batched_best
from mmpredict.strategy.options import ServerOptions
from mmpredict.strategy.parallel import parallel, parallel_divided, parallel_yielding
from mmpredict.strategy.sequential import sequential, sequential_lean, sequential_shortest
from mmpredict.strategy.split import split
from mmpredict.strategy.swap import swap
from mmpredict.strategy.task import Task

Strategy = Callable[[Sequence[str], int, ServerOptions], Plan]
"""(models, cores, options) → plan."""
LookingStrategy = Callable[[Task], Plan]
"""What looks at costs and memory before it plans."""

STRATEGIES: dict[str, Strategy] = {
    "sequential": sequential,
    "parallel": parallel,
    "parallel-divided": parallel_divided,
    "parallel-yielding": parallel_yielding,
    "batched": batched,
}
"""Those that are compared where nobody names any."""

ON_DEMAND: dict[str, Strategy] = {"swap": swap}
"""Those that load servers when they are asked for, which can be predicted, but not executed."""

LOOKING: dict[str, LookingStrategy] = {
    "sequential-shortest": sequential_shortest,
    "sequential-lean": sequential_lean,
    "batched-best": batched_best,
    "split": split,
}

AUTO = "auto"
"""The recommended plan of a search over all of them."""


OF_THE_CORES: dict[str, str] = {"parallel-divided": "parallel", "parallel-yielding": "parallel"}
"""Strategies that differ from another one in the use of the CPU's cores alone → the other one, which is the same on a GPU."""


def make_plan(
    name: str, models: Sequence[str], cores: int, options: ServerOptions | None = None, task: Callable[[], Task] | None = None
) -> Plan:
    """The plan of a strategy.

    Args:
        name: of the strategy.
        models: names.
        cores: of the machine [1].
        options: of every server.
        task: for strategies that look before they plan: finds out what models cost.

    Raises:
        UnknownNameError: no such strategy.
        InputError: no model, or nobody tells what models cost.
        DoesNotFitError: no plan fits.
    """
    if name in STRATEGIES or name in ON_DEMAND:
        return {**STRATEGIES, **ON_DEMAND}[name](models, cores, options or ServerOptions())
    if name not in LOOKING and name != AUTO:
        raise UnknownNameError("strategy", name, [*STRATEGIES, *ON_DEMAND, *LOOKING, AUTO])
    if name == AUTO or task is None:
        raise InputError(f"strategy {name!r} depends on what the models cost; ask mmpredict predict or recommend for it")
    return LOOKING[name](task())
