"""First tokens after a pause: what measurements tell, and what a server makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.calibrate.measurement import ROUND, Measurement
from mmpredict.calibrate.rest import rests
from mmpredict.cost.chain import CostModel
from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.draw import REST_LOG_SPREAD, Draw
from mmpredict.cost.prices import StepPrices
from mmpredict.models.cache import CacheOptions
from mmpredict.models.catalog import uniform_spec
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.models.spec import ModelSpec
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.simulation.run import simulate
from mmpredict.workload.request import Request, Workload

RESTS = ((1.0, 0.01), (4.0, 0.03))


def rest(number: int, pause_s: float, duration_s: float) -> Measurement:
    return Measurement("rest", "m", 2, None, {"pause_s": pause_s, "tokens": 32, "duration_s": duration_s, ROUND: number})


def test_each_round_is_held_against_itself() -> None:
    # the machine is slower in the second round, and once something disturbed it
    rows = [
        rest(number, pause_s, base + longer_s)
        for number, base in ((0, 0.1), (1, 0.2), (2, 0.1))
        for pause_s, longer_s in ((0.0, 0.0), (1.0, 0.01), (4.0, 0.03))
    ]
    assert rests([*rows, rest(0, 4.0, 0.13), rest(0, 4.0, 5.0)]) == (
        (1.0, pytest.approx(0.01)),
        (4.0, pytest.approx(0.03)),
    )


def test_longer_pauses_add_no_less_and_none_nothing() -> None:
    assert rests([rest(0, 0.0, 0.1), rest(0, 1.0, 0.15), rest(0, 4.0, 0.12)]) == (
        (1.0, pytest.approx(0.05)),
        (4.0, pytest.approx(0.05)),
    )
    assert rests([rest(0, 0.0, 0.1), rest(0, 1.0, 0.08)]) == ((1.0, 0.0),)
    assert rests([]) == rests([rest(0, 1.0, 0.1)]) == ()


def own_prices(coefficients: Coefficients, spec: ModelSpec, draw: Draw | None = None) -> StepPrices:
    own = coefficients.model_copy(update={"rests": RESTS})
    return CostModel(own, draw).instance(spec, 4, None, CacheOptions(4096, 4)).prices


@pytest.mark.parametrize(("pause_s", "longer_s"), [(0.0, 0.0), (0.5, 0.005), (1.0, 0.01), (2.5, 0.02), (4.0, 0.03), (1000.0, 0.03)])
def test_between_measured_pauses_it_is_linear(
    coefficients: Coefficients, make_spec: Callable[[str], ModelSpec], pause_s: float, longer_s: float
) -> None:
    assert own_prices(coefficients, make_spec("smollm2-135m@q8_0")).rested_s(pause_s) == pytest.approx(longer_s)


@given(st.floats(0, 10), st.floats(0, 10))
def test_longer_pauses_never_cost_less(coefficients: Coefficients, one: float, other: float) -> None:
    prices = own_prices(coefficients, uniform_spec("smollm2-135m", weight_type("q8_0")))
    assert prices.rested_s(min(one, other)) <= prices.rested_s(max(one, other))


def test_luck_is_of_the_run(coefficients: Coefficients, make_spec: Callable[[str], ModelSpec]) -> None:
    found = [
        own_prices(coefficients, make_spec("smollm2-135m@q8_0"), Draw(0, number)).rested_s(4.0) / 0.03 for number in range(400)
    ]
    logs = sorted(math.log(one) for one in found)
    assert logs[200] == pytest.approx(0.0, abs=0.1)
    assert (logs[359] - logs[40]) / 2 == pytest.approx(1.28 * REST_LOG_SPREAD, rel=0.2)


def test_only_who_rested_begins_slowly(coefficients: Coefficients, make_spec: Callable[[str], ModelSpec]) -> None:
    spec = make_spec("smollm2-135m@q8_0")
    instance = InstancePlan("m", "m", 2, slots=2)
    plan = Plan("one", (instance,), (Stage(("m",)),))
    # the second comes while the first is served, the third after 4 s of rest
    workload = Workload(tuple(Request(str(n), "m", 64, 16, arrival_s) for n, arrival_s in enumerate((0.0, 0.01, 20.0))))

    def firsts(own: Coefficients) -> list[float]:
        records = simulate(plan, workload, {"m": spec}, CostModel(own), 1e12)
        return [row.first_token_s - row.prefill_start_s for row in records.requests]

    before, after = firsts(coefficients), firsts(coefficients.model_copy(update={"rests": RESTS}))
    assert [later - sooner for sooner, later in zip(before, after, strict=True)] == pytest.approx([0.0, 0.0, 0.03], abs=1e-3)
