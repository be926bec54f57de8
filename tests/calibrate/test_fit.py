"""A whole fit gives back what measurements of every kind were made from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from made_steps import (
    CACHE_BYTES,
    CORES,
    HEADER,
    MASKED_S,
    OPTIONS,
    PROTOCOL,
    SPECS,
    UNSEEN,
    measure_steps,
    prefill,
    truth,
)

from mmpredict.calibrate import fit_steps as stepping
from mmpredict.calibrate.fit import MODEL_SPREAD_FLOOR, fit
from mmpredict.calibrate.fit_steps import (
    MASKED_CORE_S,
)
from mmpredict.calibrate.measurement import AT_S, MASKED_CELLS, ROUND, Measurement
from mmpredict.calibrate.repeats import MINUTES_SPREAD
from mmpredict.cost.chain import CostModel
from mmpredict.cost.coefficients import Coefficients, StepCoefficients
from mmpredict.cost.drift import HOURS_SPREAD
from mmpredict.cost.loading import load_s, unload_s
from mmpredict.cost.memory import Touched, instance_memory
from mmpredict.cost.overhead import EMBEDDED
from mmpredict.cost.piece import PromptPiece
from mmpredict.cost.step import (
    StepCost,
    decode_features,
)
from mmpredict.errors import NotCalibratedError
from mmpredict.models.cache import cache_bytes
from mmpredict.models.synthetic import synthetic_spec
from mmpredict.simulation.plan import DEFAULT_CONTEXT_TOKENS, DEFAULT_SLOTS, DEFAULT_UBATCH_TOKENS, YIELDING_SPINCOUNT

__all__ = ["truth"]  # a fixture, which pytest finds by its name

PRICE = {"prefill": 1.03, "decode": 1.08}
WITHIN, YIELDING, SPINNING = 0.95, 0.88, {"prefill": 0.7, "decode": 0.4}
STALL_LAYER_S = 0.1
OVERHEADS_S = (0.9e-3, 1.1e-3, 50e-3)


def company(set_up: str, spincount: int | None, sums: dict[str, float], episode: int, stacked: bool = False) -> list[Measurement]:
    """Both servers of a pair, unequally slow."""
    rows = []
    for phase, total in sums.items():
        for model, part in zip(PROTOCOL.pair, (0.52, 0.48), strict=True):
            alone_tokens_per_s = 30.0
            speed_frac = total * part
            if stacked and phase == "decode":
                speed_frac = 1 / (2 + STALL_LAYER_S * SPECS[model].shape.n_layers * alone_tokens_per_s)
            values: dict[str, float | int | str] = {
                "set_up": set_up,
                "phase": phase,
                "episode": episode,
                "total_threads": 4,
                "alone_tokens_per_s": alone_tokens_per_s,
                "speed_frac": speed_frac,
            }
            rows.append(Measurement("company", model, 2, spincount, values))
    return rows


@pytest.fixture(scope="module")
def rows(truth: dict[int, StepCoefficients], coefficients: Coefficients) -> list[Measurement]:
    """Exact measurements of every kind."""
    made = measure_steps(truth, 0.0, 1)
    for row in [row for row in made if row.threads == CORES and row.model in PROTOCOL.pair]:
        values = {**row.values, "duration_s": PRICE[row.kind] * row.number("duration_s")}
        made.append(Measurement(row.kind, row.model, CORES, YIELDING_SPINCOUNT, values))
    made += [Measurement("request", PROTOCOL.models[0], 2, None, {"tokens": 8, "overhead_s": value}) for value in OVERHEADS_S]
    for name, spec in SPECS.items():
        kv_cache_bytes = cache_bytes(spec.shape, OPTIONS)
        for cold in (0, 1) if name in PROTOCOL.pair else (0,):
            duration_s = load_s(spec, kv_cache_bytes, bool(cold), coefficients.loading)
            made.append(
                Measurement("load", name, 2, None, {"cold": cold, "kv_cache_bytes": kv_cache_bytes, "duration_s": duration_s})
            )
        ending_s = unload_s(spec, kv_cache_bytes, coefficients.loading)
        made.append(Measurement("unload", name, 2, None, {"kv_cache_bytes": kv_cache_bytes, "duration_s": ending_s}))
        longest = max(int(row.number("tokens")) for row in made if (row.kind, row.model, row.threads) == ("prefill", name, 2))
        memory = instance_memory(spec, OPTIONS, EMBEDDED, threads=2, touched=Touched(longest, OPTIONS.slots)).host
        values = {
            "context_tokens": DEFAULT_CONTEXT_TOKENS,
            "slots": DEFAULT_SLOTS,
            "ubatch_tokens": DEFAULT_UBATCH_TOKENS,
            "proportional_bytes": memory.total,
            "compute_bytes": memory.compute,
        }
        made.append(Measurement("memory", name, 2, None, values))
    both = ("prefill", "decode")
    made += company("within", None, {"prefill": 2 * WITHIN}, 0)
    for episode in range(2):
        made += company("yielding", YIELDING_SPINCOUNT, dict.fromkeys(both, YIELDING), episode)
    for episode in range(4):
        made += company("spinning", None, SPINNING, episode, stacked=episode == 3)
    layers = SPECS[PROTOCOL.pair[0]].shape.n_layers
    stalled = {"steps": 3, "solo_s": 0.1, "duration_s": 0.1 + 3 * layers * STALL_LAYER_S}
    made.append(Measurement("stacked", PROTOCOL.pair[0], 2, None, stalled))
    return made


@pytest.fixture(scope="module")
def few_candidates() -> Iterator[None]:
    """Whole fits try fewer sizes of caches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stepping, "CACHE_CANDIDATES_BYTES", (0.0, CACHE_BYTES, 256e6))
        yield


@pytest.fixture(scope="module")
def fitted(rows: list[Measurement], few_candidates: None) -> Coefficients:
    return fit(HEADER, rows, SPECS)


def test_what_was_measured_is_noted(fitted: Coefficients, rows: list[Measurement]) -> None:
    assert (fitted.machine, fitted.engine, fitted.cores, fitted.measured_on) == ("invented", "none", CORES, "2026-01-01")
    assert fitted.measurements == len(rows)
    assert set(fitted.models) == set(PROTOCOL.models)
    assert sorted(fitted.steps) == [1, 2]


def test_the_waiting_rule_has_the_price_that_was_put_in(fitted: Coefficients) -> None:
    assert fitted.yielding_price == pytest.approx(PRICE, rel=1e-9)


def test_company_is_recovered(fitted: Coefficients) -> None:
    own = fitted.contention
    # two servers, unequally slowed: the geometric mean is a little below the arithmetic one
    assert own.within_efficiency.value == pytest.approx(2 * WITHIN * math.sqrt(0.52 * 0.48), rel=1e-9)
    assert own.yielding_efficiency.value == pytest.approx(YIELDING, rel=1e-9)
    assert own.spinning_efficiency["prefill"].value == pytest.approx(SPINNING["prefill"], rel=1e-9)
    assert own.spinning_efficiency["decode"].value == pytest.approx(SPINNING["decode"], rel=1e-9), "without the stacked episode"


def test_stalls_and_their_frequency_are_recovered(fitted: Coefficients) -> None:
    assert fitted.contention.stacked_layer_s.value == pytest.approx(STALL_LAYER_S, rel=1e-9)
    assert fitted.contention.stacked_probability == pytest.approx((1 + 1) / (4 + 2)), "one of four, and the prior"


def test_without_a_stacked_measurement_nothing_is_stacked(rows: list[Measurement], few_candidates: None) -> None:
    own = fit(HEADER, [row for row in rows if row.kind != "stacked"], SPECS).contention
    assert (own.stacked_layer_s.value, own.stacked_probability) == (0.0, 0.0)


def test_loads_are_recovered(fitted: Coefficients, coefficients: Coefficients) -> None:
    for name in ("start_s", "mapped_byte_s", "private_byte_s", "vocabulary_s", "cold_byte_s", "unload_s", "unload_byte_s"):
        assert getattr(fitted.loading, name) == pytest.approx(getattr(coefficients.loading, name), rel=1e-3), name


def test_memory_is_recovered(fitted: Coefficients, coefficients: Coefficients) -> None:
    assert fitted.memory.log_spread == coefficients.memory.log_spread, "exact measurements leave the floor"


def test_requests_cost_the_median(fitted: Coefficients) -> None:
    assert fitted.request_s == sorted(OVERHEADS_S)[1]


def test_passing_over_cells_costs_what_was_measured_or_what_it_did_elsewhere(
    fitted: Coefficients, rows: list[Measurement], few_candidates: None
) -> None:
    for steps in fitted.steps.values():
        assert {name: getattr(steps, name) for name in MASKED_S} == pytest.approx(MASKED_S, rel=1e-3)
    old = [replace(row, values={name: value for name, value in row.values.items() if name != MASKED_CELLS}) for row in rows]
    for count, steps in fit(HEADER, old, SPECS).steps.items():
        core_s = {name: count * getattr(steps, name) for name in MASKED_CORE_S}
        assert core_s == pytest.approx(MASKED_CORE_S), "cores share what is passed over"


def test_tokens_that_all_came_at_once_tell_nothing(fitted: Coefficients, rows: list[Measurement], few_candidates: None) -> None:
    decode = next(row for row in rows if row.kind == "decode")
    stalled = replace(decode, values={**decode.values, "duration_s": 0.0})
    assert fit(HEADER, [*rows, stalled], SPECS) == fitted


def test_rounds_that_are_apart_widen_the_machines_spread(rows: list[Measurement], few_candidates: None) -> None:
    def round_at(number: int, factor: float) -> list[Measurement]:
        values = [{**row.values, ROUND: number, "duration_s": factor * float(row.values.get("duration_s", 0))} for row in rows]
        return [
            replace(row, values=found)
            for row, found in zip(rows, values, strict=True)
            if row.kind in ("prefill", "decode") and row.spincount is None
        ]

    rest = [row for row in rows if row.kind not in ("prefill", "decode")]
    steady = fit(HEADER, [row for number in range(3) for row in round_at(number, 1.0)] + rest, SPECS)
    assert steady.machine_log_spread == pytest.approx(math.hypot(HOURS_SPREAD, MINUTES_SPREAD / math.sqrt(3) * math.sqrt(4 / 3)))
    apart = fit(HEADER, [row for number, factor in enumerate((1.0, 1.2, 0.8)) for row in round_at(number, factor)] + rest, SPECS)
    assert 0.1 < apart.machine_log_spread < 0.5
    assert apart.measured_at_s is None, "measurements before 2026-11-28 do not say it"
    steady_rows = [row for number in range(3) for row in round_at(number, 1.0)]
    timed = [replace(row, values={**row.values, AT_S: 100.0 + row.number(ROUND)}) for row in steady_rows]
    assert fit(HEADER, timed + rest, SPECS).measured_at_s == 101.0
    assert apart.steps[2].kernels["q8_0"].weight_s == pytest.approx(steady.steps[2].kernels["q8_0"].weight_s, rel=1e-6), "means"


def test_exact_measurements_leave_no_error_but_the_floors(fitted: Coefficients) -> None:
    assert all(value < 1e-3 for value in fitted.errors.values())
    assert fitted.model_log_spread == {"prefill": MODEL_SPREAD_FLOOR, "decode": MODEL_SPREAD_FLOOR}
    assert fitted.machine_log_spread == math.hypot(HOURS_SPREAD, MINUTES_SPREAD * math.sqrt(2)), (
        "one round cannot show how steady it is"
    )


def test_a_fitted_model_predicts_what_it_was_made_from(fitted: Coefficients, truth: dict[int, StepCoefficients]) -> None:
    spec = synthetic_spec(UNSEEN[0])
    for threads in (1, 2):
        cost = CostModel(fitted).instance(spec, threads, None, OPTIONS).prices
        exact = StepCost(truth[threads])
        decode_s, prompt_s = (
            exact.duration_s(work) for work in (decode_features(spec, [100, 200], 50, threads), prefill(spec, 200, threads))
        )
        assert cost.decode_s([100, 200], 50) == pytest.approx(decode_s, rel=0.01)
        assert cost.batch_s([], [PromptPiece(0, 200, True)]) == pytest.approx(prompt_s, rel=0.01)


def test_a_single_core_needs_no_company(rows: list[Measurement], few_candidates: None) -> None:
    alone = [row for row in rows if row.threads == 1 or row.kind in ("load", "memory", "request")]
    found = fit({**HEADER, "cores": 1}, alone, SPECS)
    assert list(found.steps) == [1]
    assert found.yielding_price == {"prefill": 1.0, "decode": 1.0}


def without(rows: Sequence[Measurement], kind: str, **values: Any) -> list[Measurement]:
    return [row for row in rows if row.kind != kind or any(row.values[name] != value for name, value in values.items())]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("prefill", {}),
        ("decode", {}),
        ("load", {}),
        ("memory", {}),
        ("company", {}),
        ("company", {"set_up": "within"}),
        ("company", {"set_up": "yielding"}),
        ("company", {"set_up": "spinning"}),
    ],
)
def test_a_missing_kind_is_no_calibration(rows: list[Measurement], kind: str, values: dict[str, str]) -> None:
    with pytest.raises(NotCalibratedError, match=rf"hold no .*{values.get('set_up', kind)}.*; run: mmpredict calibrate run"):
        fit(HEADER, without(rows, kind, **values), SPECS)


def test_no_measurement_is_no_calibration() -> None:
    with pytest.raises(NotCalibratedError, match="run: mmpredict calibrate run"):
        fit(HEADER, [], SPECS)
