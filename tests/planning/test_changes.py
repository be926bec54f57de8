"""A slower machine takes longer by its factor, and what servers ask of it stays in proportion."""

from __future__ import annotations

import pytest
from questions import calibrated, ground, plans, rated, scenario

from mmpredict.cost.coefficients import Coefficients
from mmpredict.cost.draw import Draw
from mmpredict.planning.changes import slower_machine
from mmpredict.planning.evaluate import Evaluator


@pytest.mark.parametrize("machine", ["calibrated", "ms-s1-max"])
def test_times_alone_grow_by_their_factors(coefficients: Coefficients, machine: str) -> None:
    question = scenario(4, models=1, requests=1)
    costing = calibrated(coefficients) if machine == "calibrated" else rated(machine)
    on = ground(question, costing)
    (plan,) = plans(question, costing, on, ("sequential",))
    before, after = (Evaluator(one).run(plan) for one in (on, slower_machine(on, steps=1.5, loads=3.0)))
    (row,), (slower,) = before.requests, after.requests
    assert slower.finish_s - slower.prefill_start_s == pytest.approx(1.5 * (row.finish_s - row.prefill_start_s))
    loads = [next(one.end_s - one.start_s for one in run.activities if one.kind == "load") for run in (before, after)]
    assert loads[1] == pytest.approx(3.0 * loads[0])


@pytest.mark.parametrize("machine", ["calibrated", "ms-s1-max"])
def test_demands_stay_in_proportion(coefficients: Coefficients, machine: str) -> None:
    question = scenario(4, models=1, requests=1)
    costing = calibrated(coefficients) if machine == "calibrated" else rated(machine)
    on = ground(question, costing)
    (plan,) = plans(question, costing, on, ("sequential",))
    (one,), spec = plan.plan.instances, on.specs[""][question.models()[0]]
    plain, slower = (
        Evaluator(asked).source(plan).costs(Draw()).instance(spec, one.threads, one.spincount, one.cache)
        for asked in (on, slower_machine(on, steps=1.5))
    )
    was, now = plain.demand("decode", 0.2, 10, 1), slower.demand("decode", 0.3, 10, 1)
    assert (now.solo_s, now.gpu, now.bandwidth) == (0.3, pytest.approx(was.gpu), pytest.approx(was.bandwidth))
    assert now.quantum_s == pytest.approx(1.5 * was.quantum_s)
    plain.stacked = slower.stacked = True
    assert slower.demand("decode", 0.3, 10, 1).stacked
