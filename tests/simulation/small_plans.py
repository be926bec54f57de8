"""Three models, requests to them, and a run or a prediction of a strategy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mmpredict.cost.chain import CalibratedSource, CostModel
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.draw import Draw
from mmpredict.models.catalog import uniform_spec
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.models.spec import ModelSpec
from mmpredict.results.records import Records
from mmpredict.simulation.plan import Plan
from mmpredict.simulation.repeat import predict_plan
from mmpredict.simulation.run import simulate
from mmpredict.strategy.table import make_plan
from mmpredict.workload.request import Request, Workload

MEMORY_BYTES = 64e9
MODELS = ("small", "middle", "large")
SPECS: dict[str, ModelSpec] = {
    name: replace(uniform_spec(shape, weight_type(matrices)), name=name)
    for name, shape, matrices in (
        ("small", "smollm2-135m", "q8_0"),
        ("middle", "smollm2-360m", "q4_0"),
        ("large", "qwen2.5-0.5b", "q8_0"),
    )
}
BUSY = Workload(
    tuple(
        Request(f"{name}{number}", name, 40 + 60 * number, 8 + 5 * number, 0.4 * number) for name in MODELS for number in range(3)
    )
)
AT_ONCE = Workload(tuple(replace(request, arrival_s=0.0) for request in BUSY.requests))


def run(
    coefficients: Coefficients,
    strategy: str | Plan,
    workload: Workload,
    specs: Mapping[str, ModelSpec] = SPECS,
    draw: Draw | None = None,
    cold: bool = False,
) -> Records:
    asked = [name for name in MODELS if name in workload.models]
    plan = make_plan(strategy, asked, coefficients.cores) if isinstance(strategy, str) else strategy
    return simulate(plan, workload, specs, CostModel(coefficients, draw), MEMORY_BYTES, cold)


def predict(coefficients: Coefficients, strategy: str, workload: Workload = AT_ONCE, **options: Any) -> Any:
    plan = make_plan(strategy, MODELS, coefficients.cores)
    return predict_plan(
        plan, workload, SPECS, CalibratedSource(coefficients), **{"memory_bytes": MEMORY_BYTES, "draws": 40, **options}
    )
