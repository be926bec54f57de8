"""One active model, exchanged for another when a request asks for it."""

from __future__ import annotations

from collections.abc import Sequence

from mmpredict.simulation.plan import Plan
from mmpredict.simulation.serving import SwapServing
from mmpredict.strategy.on_demand import on_demand
from mmpredict.strategy.options import ServerOptions


def swap(models: Sequence[str], cores: int, options: ServerOptions) -> Plan:
    """Plan of servers of which one is loaded at a time: a swap server's (``simulation.fronts.swap_server``)."""
    return on_demand(models, cores, options, SwapServing())
