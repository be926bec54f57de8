"""The cost model of one instance: between measured numbers of threads, priced waiting rules, shared luck."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.cost.chain import CalibratedSource, CostModel, InstanceCost, unmeasured_types
from mmpredict.cost.coefficients import Coefficients, Kernel, StepCoefficients, read_coefficients
from mmpredict.cost.draw import UNMEASURED_LOG_SPREAD, Draw
from mmpredict.cost.loading import load_s
from mmpredict.cost.step import PromptPiece, StepCost, decode_features
from mmpredict.errors import FileFormatError, InputError
from mmpredict.models.cache import CacheOptions, cache_bytes
from mmpredict.models.catalog import uniform_spec
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.models.spec import ModelSpec

SPEC = uniform_spec("smollm2-360m", weight_type("q4_0"))
PROMPT = [PromptPiece(0, 100, True)]


def instance(
    coefficients: Coefficients, threads: int, spec: ModelSpec = SPEC, draw: Draw | None = None, **options: int
) -> InstanceCost:
    return CostModel(coefficients, draw).instance(spec, threads, options.get("spincount"), CacheOptions(4096, 4, 512))


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=4), st.integers(1, 50))
def test_between_measured_threads_the_cost_lies_between(coefficients: Coefficients, depths: list[int], steps: int) -> None:
    two, three, four = (instance(coefficients, threads) for threads in (2, 3, 4))
    assert four.prices.decode_s(depths, steps) < three.prices.decode_s(depths, steps) < two.prices.decode_s(depths, steps)
    assert four.prices.batch_s(depths, PROMPT) < three.prices.batch_s(depths, PROMPT) < two.prices.batch_s(depths, PROMPT)


def test_perfect_scaling_is_interpolated_without_error(coefficients: Coefficients) -> None:
    def scaled(threads: int) -> StepCoefficients:
        one = coefficients.steps[1]
        names = [name for name in StepCoefficients.model_fields if name.endswith("_s") and not name.endswith("_per_s")]
        kernels = {
            name: kernel.model_copy(update={"weight_s": tuple(value / threads for value in kernel.weight_s)})
            for name, kernel in one.kernels.items()
        }
        by_type = ("far_s", "row_s")
        times: dict[str, object] = {name: getattr(one, name) / threads for name in names if name not in by_type}
        times |= {name: {kind: value / threads for kind, value in getattr(one, name).items()} for name in by_type}
        return one.model_copy(update={**times, "kernels": kernels})

    ideal = coefficients.model_copy(update={"steps": {1: scaled(1), 4: scaled(4)}})
    alone_s = instance(ideal, 1).prices.decode_s([10], 5)
    for threads in (2, 3, 4):
        assert instance(ideal, threads).prices.decode_s([10], 5) == pytest.approx(alone_s / threads, rel=1e-9)


def test_at_a_measured_number_of_threads_nothing_is_interpolated(coefficients: Coefficients) -> None:
    for threads, own in coefficients.steps.items():
        exact_s = StepCost(own).duration_s(decode_features(SPEC, [7, 9], 3))
        assert instance(coefficients, threads).prices.decode_s([7, 9], 3) == pytest.approx(exact_s, rel=1e-12)


def test_outside_the_measured_threads_the_nearest_counts(coefficients: Coefficients) -> None:
    only_two = coefficients.model_copy(update={"steps": {2: coefficients.steps[2]}})
    assert len({instance(only_two, threads).prices.decode_s([0], 1) for threads in (1, 2, 3, 4)}) == 1


def test_more_threads_than_cores_are_refused(coefficients: Coefficients) -> None:
    assert instance(coefficients, 4).threads == 4
    with pytest.raises(InputError, match=r"5 threads on 4 cores; .* use at most 4"):
        instance(coefficients, 5)


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=4), st.integers(0, 40), st.integers(0, 40))
def test_decode_adds_up_over_runs(coefficients: Coefficients, depths: list[int], first: int, second: int) -> None:
    cost = instance(coefficients, 2, draw=Draw(0, 3))
    later = [depth + first for depth in depths]
    whole_s = cost.prices.decode_s(depths, first + second)
    assert cost.prices.decode_s(depths, first) + cost.prices.decode_s(later, second) == pytest.approx(whole_s, rel=1e-12, abs=1e-15)


def test_interpolated_decode_adds_up_nearly(coefficients: Coefficients) -> None:
    # Geometric means of sums are not sums of geometric means; both measured neighbours grow alike, so little is lost.
    cost = instance(coefficients, 3)
    steps_s = sum(cost.prices.decode_s([100 + step], 1) for step in range(400))
    assert cost.prices.decode_s([100], 400) == pytest.approx(steps_s, rel=1e-3)


def test_the_waiting_rule_has_its_price_with_several_threads_only(coefficients: Coefficients) -> None:
    spinning, yielding = instance(coefficients, 2), instance(coefficients, 2, spincount=1000)
    assert yielding.yielding and not spinning.yielding
    assert yielding.prices.decode_s([5], 4) == pytest.approx(1.07 * spinning.prices.decode_s([5], 4), rel=1e-12)
    assert yielding.prices.batch_s([], PROMPT) == pytest.approx(1.02 * spinning.prices.batch_s([], PROMPT), rel=1e-12)
    single = instance(coefficients, 1, spincount=1000)
    assert not single.yielding
    assert single.prices.decode_s([5], 4) == instance(coefficients, 1).prices.decode_s([5], 4)


def test_a_load_includes_the_cache_that_is_filled(coefficients: Coefficients) -> None:
    kv_cache_bytes = cache_bytes(SPEC.shape, CacheOptions(4096, 4, 512))
    for cold in (False, True):
        assert instance(coefficients, 2).load_s(cold) == load_s(SPEC, kv_cache_bytes, cold, coefficients.loading)


def test_an_unmeasured_type_is_flagged_and_spreads_wider(coefficients: Coefficients, make_spec: Callable[[str], ModelSpec]) -> None:
    known, unknown = SPEC, make_spec("smollm2-360m@q6_k")  # rows of 960 weights are stored as q8_0, those of 2560 as q6_k
    assert unmeasured_types(known, coefficients) == set()
    assert unmeasured_types(unknown, coefficients) == {"q6_k"}

    def spread(spec: ModelSpec) -> float:
        costs = [instance(coefficients, 2, spec, Draw(0, number)) for number in range(300)]
        return float(np.std(np.log([cost.prices.decode_s([0], 1) for cost in costs])))

    usual = float(np.hypot(coefficients.machine_log_spread, coefficients.model_log_spread["decode"]))
    assert spread(known) == pytest.approx(usual, rel=0.15)
    assert spread(unknown) == pytest.approx(float(np.hypot(usual, UNMEASURED_LOG_SPREAD)), rel=0.15)


def test_luck_belongs_to_the_model_and_the_machine_not_to_the_plan(coefficients: Coefficients) -> None:
    other = replace(SPEC, name="another")
    median = instance(coefficients, 2).prices.decode_s([5], 4)
    for number in range(5):
        draw = Draw(0, number)
        luck = instance(coefficients, 2, draw=draw).prices.decode_s([5], 4) / median
        single, drawn = instance(coefficients, 1).prices, instance(coefficients, 1, draw=draw).prices
        assert drawn.decode_s([9], 2) / single.decode_s([9], 2) == pytest.approx(luck)
        assert instance(coefficients, 2, other, draw).prices.decode_s([5], 4) / median != pytest.approx(luck, rel=1e-6)
        machine = draw.factor("machine", coefficients.machine_log_spread)
        own = draw.factor(f"decode of {SPEC.name}", coefficients.model_log_spread["decode"])
        assert luck == pytest.approx(machine * own)


def test_drawn_memory_keeps_its_proportions(coefficients: Coefficients) -> None:
    median, drawn = instance(coefficients, 2).memory, instance(coefficients, 2, draw=Draw(0, 1)).memory
    ratios = {round(one / other, 9) for one, other in zip(astuple(drawn), astuple(median), strict=True) if other}
    assert len(ratios) == 1 and ratios != {1.0}


def test_stacking_comes_in_pairs(coefficients: Coefficients) -> None:
    always = coefficients.contention.model_copy(update={"stacked_probability": 1.0})
    model = CostModel(coefficients.model_copy(update={"contention": always}))
    assert [len(model.stacked(["a", "b", "c", "d", "e"][:count])) for count in range(6)] == [0, 0, 2, 2, 4, 4]
    drawn = [CostModel(model.coefficients, Draw(0, number)).stacked(["a", "b", "c"]) for number in range(40)]
    spared = {next(iter({"a", "b", "c"} - found)) for found in drawn}
    assert spared == {"a", "b", "c"}, "now one and now another is spared"


def test_stacking_does_not_depend_on_the_order_of_instances(coefficients: Coefficients) -> None:
    for number in range(30):
        model = CostModel(coefficients, Draw(0, number))
        assert model.stacked(["a", "b", "c"]) == model.stacked(["c", "a", "b"])


@pytest.mark.parametrize(
    ("knots", "weight_s"),
    [((1, 2), (1.0,)), ((2, 1), (1.0, 2.0)), ((1, 1), (1.0, 2.0)), ((0, 1), (1.0, 2.0)), ((1, 2), (-1.0, 2.0))],
)
def test_files_with_kernels_that_cannot_be_interpolated_are_refused(
    coefficients: Coefficients, tmp_path: Path, knots: tuple[int, ...], weight_s: tuple[float, ...]
) -> None:
    broken = Kernel.model_construct(batch_tokens=knots, weight_s=weight_s, weight_low_s=weight_s, weight_high_s=weight_s)
    steps = coefficients.steps[1].model_copy(update={"kernels": {"q8_0": broken}})
    path = tmp_path / "broken.json"
    path.write_text(coefficients.model_copy(update={"steps": {1: steps}}).model_dump_json())
    with pytest.raises(FileFormatError, match=r"is no coefficient file: steps\.1\.kernels\.q8_0.*; calibrate again"):
        read_coefficients(path)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("steps",), {}),
        (("steps",), {"0": None}),
        (("steps", "1", "kernels"), {}),
        (("model_log_spread",), {"prefill": 0.1}),
        (("contention", "spinning_efficiency"), {"decode": {"value": 0.5}}),
        (("contention", "stacked_probability"), 1.5),
        (("loading", "start_s"), -1.0),
        (("cores",), 0),
        (("request_s",), "soon"),
        (("surplus",), 1),
    ],
)
def test_files_with_impossible_numbers_are_refused(
    coefficients: Coefficients, tmp_path: Path, place: tuple[str, ...], value: object
) -> None:
    data = json.loads(coefficients.model_dump_json())
    parent = data
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = {"0": data["steps"]["1"]} if value == {"0": None} else value
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(data))
    with pytest.raises(FileFormatError, match=f"is no coefficient file: {place[0]}.*; calibrate again"):
        read_coefficients(path)


def test_a_file_reads_back_as_it_was_written(coefficients: Coefficients, tmp_path: Path) -> None:
    path = tmp_path / "whole.json"
    path.write_text(coefficients.model_dump_json())
    assert read_coefficients(path) == coefficients


def test_a_calibrated_cpu_takes_no_layers_on_a_gpu(coefficients: Coefficients) -> None:
    with pytest.raises(InputError, match=r"7 layers on a GPU, but invented was calibrated with its CPU alone"):
        CostModel(coefficients).instance(SPEC, 1, None, CacheOptions(4096, 4, 512), None, 7)


def test_prices_are_the_same_whether_passes_were_priced_before_or_not(coefficients: Coefficients) -> None:
    source = CalibratedSource(coefficients)
    for number in (None, 3, 4):
        kept = source.costs(Draw(1, number)).instance(SPEC, 2, None, CacheOptions(4096, 4, 512)).prices
        fresh = CostModel(coefficients, Draw(1, number)).instance(SPEC, 2, None, CacheOptions(4096, 4, 512)).prices
        assert [kept.decode_pass_s(n) for n in (1, 3)] == [fresh.decode_pass_s(n) for n in (1, 3)]
        assert [kept.batch_pass_s(n, 1) for n in (5, 400)] == [fresh.batch_pass_s(n, 1) for n in (5, 400)]
