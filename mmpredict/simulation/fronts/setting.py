"""What every front is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import simpy

from mmpredict.cost.server_cost import MachineCosts
from mmpredict.results.records import Records
from mmpredict.simulation.fleet import Fleet
from mmpredict.simulation.job import Job
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.site import Site


@dataclass(frozen=True, slots=True)
class Setting:
    """One simulated run, as a front sees it.

    Attributes:
        env: SimPy environment.
        fleet: servers.
        plan: what they are, and how they are run.
        costs: of the machine.
        site: memories of the machine.
        records: where rows go.
        detail: whether every request leaves rows of its own.
        expected: instance → requests that it will get [1]; None where nobody knows.
        refused: called with every request that will not be served; its row has the status.
    """

    env: simpy.Environment
    fleet: Fleet
    plan: Plan
    costs: MachineCosts
    site: Site
    records: Records
    detail: bool
    expected: Mapping[str, int] | None
    refused: Callable[[Job], None]
