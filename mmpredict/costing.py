"""What the servers of a plan cost on a machine: by its own calibration, or by the best rates that are known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from mmpredict.calibrated import own_coefficients
from mmpredict.cost.chain import CalibratedSource
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.drift import at_time
from mmpredict.cost.placement import most_gpu_layers
from mmpredict.cost.server_cost import CostSource
from mmpredict.errors import EngineMissingError, InputError, NotCalibratedError
from mmpredict.hardware.detect import THIS_MACHINE
from mmpredict.hardware.profile import HardwareProfile
from mmpredict.live.choice import EMBEDDED
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.variants import variants
from mmpredict.sizing.costs import PlannedServer, UncalibratedMachine
from mmpredict.workload.request import Workload


@dataclass(frozen=True)
class CalibratedCosting:
    """Costs by a calibration (see ``planning.ground.Costing``); what a plan needs of memory is looked at elsewhere."""

    profile: HardwareProfile
    coefficients: Coefficients
    common = True

    @cached_property
    def _source(self) -> CalibratedSource:
        return CalibratedSource(self.coefficients)

    def source(self, plan: Plan, specs: Mapping[str, ModelSpec], workload: Workload) -> CostSource:
        """See ``Costing``."""
        return self._source

    def gpu_layers(self, specs: Mapping[str, ModelSpec]) -> dict[str, int]:
        """Model → layers of a full offload; empty without a GPU that models could use [1]."""
        return {}


@dataclass(frozen=True)
class RatedCosting:
    """Costs by rates (see ``planning.ground.Costing``): the servers of a stage are placed together, those on demand each alone."""

    profile: HardwareProfile
    machine: UncalibratedMachine
    common = False
    _known: dict[tuple[object, ...], CostSource] = field(default_factory=dict, repr=False, compare=False)

    def source(self, plan: Plan, specs: Mapping[str, ModelSpec], workload: Workload) -> CostSource:
        """See ``Costing``; what was found out before is not found out again."""
        asked = companies(plan, specs, workload)
        servers = tuple(tuple((one.spec.name, one.threads, one.options, one.gpu_layers) for one in company) for company in asked)
        key = (plan.on_demand, *servers)
        if key not in self._known:
            self._known[key] = self.machine.source(asked, check=not plan.on_demand)
        return self._known[key]

    def gpu_layers(self, specs: Mapping[str, ModelSpec]) -> dict[str, int]:
        """Model → layers of a full offload; empty without a GPU that models could use [1]."""
        if self.machine.machine.device is None:
            return {}
        return {name: most_gpu_layers(spec) for name, spec in specs.items()}


Costing = CalibratedCosting | RatedCosting
"""What is known of a machine."""


def companies(plan: Plan, specs: Mapping[str, ModelSpec], workload: Workload) -> list[list[PlannedServer]]:
    """The servers that are placed together: those of each stage; each alone where they are loaded on demand."""
    stages = (
        [[one] for one in variants(plan, specs, workload)]
        if plan.on_demand
        else [[plan.instance(name) for name in stage.instances] for stage in plan.stages]
    )
    return [[PlannedServer(specs[one.model], one.threads, one.cache, one.gpu_layers) for one in stage] for stage in stages]


def costing_of(
    profile: HardwareProfile, coefficients: Coefficients | None = None, now_s: float | None = None, engine: str = EMBEDDED
) -> Costing:
    """What is known of a machine: by these coefficients, its own calibration, or its rates.

    Args:
        profile: the machine.
        coefficients: instead of the stored ones.
        now_s: when the runs are (Unix time); any hour when not given [s].
        engine: kind of engine that serves.

    Raises:
        NotCalibratedError: there is neither.
        InputError: the profile says too little.
    """
    if coefficients is None and profile.name == THIS_MACHINE and profile.gpu is not None:
        return RatedCosting(profile, UncalibratedMachine(profile))
    try:
        own = coefficients or own_coefficients(profile, engine)
        return CalibratedCosting(profile, own if now_s is None else at_time(own, now_s))
    except (NotCalibratedError, EngineMissingError) as error:
        try:
            return RatedCosting(profile, UncalibratedMachine(profile))
        except NotCalibratedError:
            raise error from None  # it says how to calibrate
        except InputError as unknown:
            raise InputError(f"{unknown}; and {error}") from None
