"""What a request costs alone is what a simulation of it alone takes, and the floor is never above."""

from __future__ import annotations

import pytest

from mmpredict.cost.chain import CostModel
from mmpredict.cost.coefficients import Coefficients
from mmpredict.models.resolve import resolve
from mmpredict.planning.alone import Floor, answer_s, prompt_s, work_s
from mmpredict.simulation.plan import InstancePlan, Plan, Stage
from mmpredict.simulation.run import simulate
from mmpredict.workload.request import Request, Workload

MODEL = "synthetic:qwen2.5-0.5b@q8_0"
SPECS = {MODEL: resolve(MODEL)}


@pytest.mark.parametrize(("prompt", "answer"), [(1, 1), (37, 5), (512, 40), (3000, 300)])
def test_a_request_alone(coefficients: Coefficients, prompt: int, answer: int) -> None:
    one = InstancePlan("a", MODEL, 4, slots=1, batch_tokens=1024)
    plan = Plan("alone", (one,), (Stage(("a",)),))
    request = Request("r", MODEL, prompt, answer)
    (row,) = simulate(plan, Workload((request,)), SPECS, CostModel(coefficients), 8e9).requests
    prices = CostModel(coefficients).instance(SPECS[MODEL], 4, None, one.cache).prices
    floor = Floor(prices, one)
    assert prompt_s(prices, request, 1024) == pytest.approx(row.first_token_s - row.prefill_start_s, rel=1e-9)
    assert answer_s(prices, request) == pytest.approx(row.finish_s - row.first_token_s, rel=1e-9, abs=1e-12)
    assert work_s(prices, [request], 1024) == pytest.approx(row.finish_s - row.prefill_start_s, rel=1e-9)
    assert floor.prompt_s(request) <= prompt_s(prices, request, 1024) * (1 + 1e-9)
    assert 0.5 * answer_s(prices, request) <= floor.answer_s(request) <= answer_s(prices, request) * (1 + 1e-9)


@pytest.mark.parametrize("slots", [2, 4, 16])
def test_the_floor_of_many_requests_lies_below_what_they_take_together(coefficients: Coefficients, slots: int) -> None:
    one = InstancePlan("a", MODEL, 4, slots=slots, context_tokens=65536)
    plan = Plan("batch", (one,), (Stage(("a",)),))
    requests = tuple(Request(f"r{n}", MODEL, 20 + 61 * n, 10 + 17 * (n % 5)) for n in range(20))
    rows = simulate(plan, Workload(requests), SPECS, CostModel(coefficients), 8e9).requests
    busy_s = max(row.finish_s for row in rows) - min(row.prefill_start_s for row in rows)
    floor_s = Floor(CostModel(coefficients).instance(SPECS[MODEL], 4, None, one.cache).prices, one).work_s(requests)
    assert 0.4 * busy_s < floor_s <= busy_s


def test_what_a_session_has_cached_costs_nothing(coefficients: Coefficients) -> None:
    one = InstancePlan("a", MODEL, 4)
    floor = Floor(CostModel(coefficients).instance(SPECS[MODEL], 4, None, one.cache).prices, one)
    cached = Request("r", MODEL, 600, 5, session="s", shared_tokens=500)
    assert floor.prompt_s(cached) < 0.4 * floor.prompt_s(Request("r", MODEL, 600, 5))
