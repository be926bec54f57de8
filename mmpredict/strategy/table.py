"""The strategies by their short names. Adding one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mmpredict.errors import UnknownNameError
from mmpredict.simulation.plan import Plan
from mmpredict.strategy.batched import batched
from mmpredict.strategy.options import ServerOptions
from mmpredict.strategy.parallel import parallel, parallel_divided, parallel_yielding
from mmpredict.strategy.sequential import sequential

Strategy = Callable[[Sequence[str], int, ServerOptions], Plan]
"""(models, cores, options) → plan."""

STRATEGIES: dict[str, Strategy] = {
    "sequential": sequential,
    "parallel": parallel,
    "parallel-divided": parallel_divided,
    "parallel-yielding": parallel_yielding,
    "batched": batched,
}


OF_THE_CORES: dict[str, str] = {"parallel-divided": "parallel", "parallel-yielding": "parallel"}
"""Strategies that differ from another one in the use of the CPU's cores alone → the other one, which is the same on a GPU."""


def make_plan(name: str, models: Sequence[str], cores: int, options: ServerOptions | None = None) -> Plan:
    """The plan of a strategy.

    Raises:
        UnknownNameError: no such strategy.
        InputError: no model.
    """
    if name not in STRATEGIES:
        raise UnknownNameError("strategy", name, STRATEGIES)
    return STRATEGIES[name](models, cores, options or ServerOptions())
