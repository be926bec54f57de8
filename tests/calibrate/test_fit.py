"""A fit gives back the numbers that invented measurements were made from, and with them models that it has never seen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mmpredict.calibrate import fit_steps as stepping
from mmpredict.calibrate.fit import HOURS_SPREAD, MINUTES_SPREAD, MODEL_SPREAD_FLOOR, fit
from mmpredict.calibrate.fit_steps import (
    BANDWIDTH_CANDIDATES_BYTES_PER_S,
    CACHE_CANDIDATES_BYTES,
    MASKED_CORE_S,
    SATURATED_TOKENS,
    fit_steps,
    leave_one_model_out,
    step_observations,
)
from mmpredict.calibrate.measurement import MASKED_CELLS, ROUND, Kind, Measurement
from mmpredict.calibrate.protocol import LARGE, Protocol, thread_counts
from mmpredict.cost.chain import CostModel
from mmpredict.cost.coefficients import Coefficients, Kernel, StepCoefficients
from mmpredict.cost.loading import load_s, unload_s
from mmpredict.cost.memory import Touched, instance_memory
from mmpredict.cost.overhead import EMBEDDED
from mmpredict.cost.piece import PromptPiece
from mmpredict.cost.step import (
    EXPERTS,
    StepCost,
    StepFeatures,
    batch_features,
    decode_features,
    kernel_weight_s,
    masking_heads,
)
from mmpredict.errors import InputError, NotCalibratedError, UnknownNameError
from mmpredict.models.cache import CacheOptions, cache_bytes
from mmpredict.models.spec import ModelSpec
from mmpredict.models.synthetic import synthetic_spec
from mmpredict.simulation.plan import DEFAULT_CONTEXT_TOKENS, DEFAULT_SLOTS, DEFAULT_UBATCH_TOKENS, YIELDING_SPINCOUNT

PROTOCOL = Protocol()
SPECS: dict[str, ModelSpec] = {name: synthetic_spec(name) for name in PROTOCOL.models}
CORES = 2
HEADER = {"machine": "invented", "engine": "none", "cores": CORES, "measured_on": "2026-01-01"}
CACHE_BYTES, BANDWIDTH_BYTES_PER_S = CACHE_CANDIDATES_BYTES[3], BANDWIDTH_CANDIDATES_BYTES_PER_S[5]
MASKED_HEAD_S = 1.3e-9
SLOWER = {"q8_0": 1.0, "q4_0": 0.8, "q4_k": 1.1, "q5_0": 1.4, "q6_k": 1.2, "f16": 1.7}
UNSEEN = [
    f"synthetic:{name}"
    for name in (
        "qwen2.5-0.5b@q8_0",
        "smollm2-360m@q4_0",
        "gemma3-270m@q4_0",
        "llama3.2-1b@q4_k",
        "qwen2.5-3b@q6_k",
        "tinyllama-1.1b@f16",
    )
]
WORK = {
    **{f"prompt of {tokens}": ([], [PromptPiece(0, tokens, True)]) for tokens in (4, 20, 100, 333, 512)},
    "long prompt": ([], [PromptPiece(0, 2000, True)]),
    "prompt and decodes": ([70, 900], [PromptPiece(0, 60, True)]),
}
OPTIONS = CacheOptions(DEFAULT_CONTEXT_TOKENS, DEFAULT_SLOTS, DEFAULT_UBATCH_TOKENS)


@pytest.fixture(scope="module")
def truth(coefficients: Coefficients) -> dict[int, StepCoefficients]:
    """Number of threads → the coefficients from which measurements are made."""

    def all_types(own: StepCoefficients) -> StepCoefficients:
        shape = own.kernels["q8_0"]
        values = {name: tuple(factor * value for value in shape.weight_s) for name, factor in SLOWER.items()}
        kernels = {
            name: Kernel(batch_tokens=shape.batch_tokens, weight_s=found, weight_low_s=found, weight_high_s=found)
            for name, found in values.items()
        }
        return own.model_copy(
            update={
                "kernels": kernels,
                "cache_bytes": CACHE_BYTES,
                "bandwidth_bytes_per_s": BANDWIDTH_BYTES_PER_S,
                "masked_head_s": MASKED_HEAD_S,
            }
        )

    return {threads: all_types(coefficients.steps[threads]) for threads in thread_counts(CORES)}


def measure_steps(
    truth: dict[int, StepCoefficients], noise_frac: float, repeats: int, spincount: int | None = None
) -> list[Measurement]:
    """Prefills and decodes as the protocol asks for them, with durations from the step equation."""
    random = np.random.default_rng(1)
    rows: list[Measurement] = []
    for name in PROTOCOL.models:
        spec, first = SPECS[name], name == PROTOCOL.models[0]
        deep = name in PROTOCOL.deep_models
        for threads, own in truth.items():
            cost = StepCost(own)

            def add(kind: Kind, features: StepFeatures, number: int, masked: int = 0, **values: float) -> None:
                tokens = values["tokens"] if kind == "prefill" else values["sequences"] * values["steps"]
                features = replace(features, masked=masked * tokens * masking_heads(spec))  # noqa: B023
                duration_s = cost.duration_s(features) * float(1 + noise_frac * random.standard_normal())  # noqa: B023
                found = {**values, ROUND: number, MASKED_CELLS: masked, "duration_s": duration_s}
                rows.append(Measurement(kind, name, threads, spincount, found))  # noqa: B023

            long = PROTOCOL.long_prompt_tokens if threads == max(truth) or first else ()
            lengths = PROTOCOL.prefill_tokens[:2] if LARGE in name else (*PROTOCOL.prefill_tokens, *long)
            decodes = [(count, lengths[0]) for count in PROTOCOL.decode_sequences]
            depths = PROTOCOL.depth_tokens if deep and threads in (1, max(truth)) else ()
            left = [(PROTOCOL.prefill_tokens[-1], sum(depths))] if depths else []
            for number in range(repeats):
                for tokens, masked in (*((tokens, 0) for tokens in (*lengths, *depths)), *left):
                    add("prefill", prefill(spec, tokens), number, masked, tokens=tokens)
                others = [(1, depth, 0) for depth in depths] + [(1, depth, masked) for depth, masked in left]
                for count, depth, masked in (*((*decode, 0) for decode in decodes), *others):
                    features = decode_features(spec, [depth] * count, PROTOCOL.decode_steps)
                    add("decode", features, number, masked, sequences=count, depth=depth, steps=PROTOCOL.decode_steps)
    return rows


def prefill(spec: ModelSpec, tokens: int) -> StepFeatures:
    return batch_features(spec, [], [PromptPiece(0, tokens, True)], DEFAULT_UBATCH_TOKENS)


def errors_on_unseen(found: StepCoefficients, true: StepCoefficients) -> Iterator[tuple[str, float]]:
    """(what, relative error) over models that were not measured."""
    fitted, exact = StepCost(found), StepCost(true)
    for name in UNSEEN:
        spec = synthetic_spec(name)
        work = {label: batch_features(spec, depths, pieces, DEFAULT_UBATCH_TOKENS) for label, (depths, pieces) in WORK.items()}
        for depths in ([0], [300], [3000], [50, 60], [10, 400, 20, 700]):
            work[f"decode at {depths}"] = decode_features(spec, depths, 32)
        for label, features in work.items():
            yield f"{name}, {label}", fitted.duration_s(features) / exact.duration_s(features) - 1
    assert not fitted.unmeasured


@pytest.mark.parametrize("threads", thread_counts(CORES))
def test_unseen_models_are_recovered_from_exact_measurements(truth: dict[int, StepCoefficients], threads: int) -> None:
    observations = step_observations(measure_steps(truth, 0.0, 1), SPECS, threads)
    errors = dict(errors_on_unseen(fit_steps(observations), truth[threads]))
    assert len(errors) == len(UNSEEN) * (len(WORK) + 5)
    assert {what: error for what, error in errors.items() if abs(error) > 0.01} == {}


def test_unseen_models_are_recovered_from_noisy_measurements(truth: dict[int, StepCoefficients]) -> None:
    observations = step_observations(measure_steps(truth, 0.03, PROTOCOL.rounds), SPECS, CORES)
    errors = dict(errors_on_unseen(fit_steps(observations), truth[CORES]))
    assert {what: error for what, error in errors.items() if abs(error) > 0.10} == {}
    assert float(np.median(np.abs(list(errors.values())))) < 0.03


def test_every_coefficient_is_recovered_from_exact_measurements(truth: dict[int, StepCoefficients]) -> None:
    found = fit_steps(step_observations(measure_steps(truth, 0.0, 1), SPECS, CORES))
    exact = truth[CORES]
    for name in StepCoefficients.model_fields:
        if name != "kernels":
            assert getattr(found, name) == pytest.approx(getattr(exact, name), rel=1e-3), name
    for weight_type, kernel in found.kernels.items():
        true = exact.kernels[weight_type.removesuffix(EXPERTS)]
        assert kernel.batch_tokens[-1] <= SATURATED_TOKENS
        expected = [kernel_weight_s(true, tokens) for tokens in kernel.batch_tokens]
        assert kernel.weight_s == pytest.approx(expected, rel=1e-3), weight_type


def test_exact_measurements_have_tight_bounds_and_noisy_ones_wider(truth: dict[int, StepCoefficients]) -> None:
    def width(noise_frac: float) -> float:
        observations = step_observations(measure_steps(truth, noise_frac, 1), SPECS, CORES)
        kernels = fit_steps(observations).kernels.values()
        return float(
            np.median(
                [high / max(low, 1e-30) - 1 for k in kernels for low, high in zip(k.weight_low_s, k.weight_high_s, strict=True)]
            )
        )

    assert width(0.0) < 1e-3
    assert 0.01 < width(0.03) < 0.3


def test_the_same_seed_gives_the_same_fit(truth: dict[int, StepCoefficients]) -> None:
    observations = step_observations(measure_steps(truth, 0.03, 1), SPECS, 1)
    assert fit_steps(observations, seed=1) == fit_steps(list(observations), seed=1) != fit_steps(observations, seed=2)


def test_a_number_of_tokens_that_hardly_occurs_is_held_between_its_neighbours(truth: dict[int, StepCoefficients]) -> None:
    """A prompt of 520 tokens ends with a piece of 8, whose time is lost in the noise of the whole."""
    name = "synthetic:probe-narrow@q4_0"
    own, random = truth[1], np.random.default_rng(7)
    rows = []
    for model in (name, "synthetic:probe-wide@q4_0", "synthetic:probe-deep@q4_0"):
        for tokens in (2, 32, 64, 520):
            duration_s = StepCost(own).duration_s(prefill(SPECS[model], tokens)) * float(1 + 0.05 * random.standard_normal())
            rows.append(Measurement("prefill", model, 1, None, {"tokens": tokens, "duration_s": duration_s}))
    kernel = fit_steps(step_observations(rows, SPECS, 1)).kernels["q4_0"]
    assert kernel.batch_tokens == (1, 2, 8, 32, 64, 128)
    assert sorted(kernel.weight_s) == list(kernel.weight_s)
    true = kernel_weight_s(own.kernels["q4_0"], 64)
    assert kernel.weight_s[4] == pytest.approx(true, rel=0.2)


def test_leaving_a_model_out_leaves_no_error_when_the_equation_holds(truth: dict[int, StepCoefficients]) -> None:
    errors = leave_one_model_out(step_observations(measure_steps(truth, 0.0, 1), SPECS, CORES))
    shapes = 4 * len(PROTOCOL.shape_types)  # the other types are measured on one model only
    assert len(errors["decode"]) > shapes and len(errors["prefill"]) > shapes
    assert max(map(abs, errors["prefill"] + errors["decode"])) < 0.01


def test_leaving_a_model_out_shows_the_noise(truth: dict[int, StepCoefficients]) -> None:
    errors = leave_one_model_out(step_observations(measure_steps(truth, 0.03, 1), SPECS, CORES))
    spread = math.sqrt(float(np.mean(np.square(errors["decode"]))))
    assert 0.01 < spread < 0.15


def test_repeats_become_their_mean_without_outliers_and_other_rules_are_left_out() -> None:
    name = PROTOCOL.models[0]
    rows = [Measurement("prefill", name, 2, None, {"tokens": 8, "duration_s": value}) for value in (9.0, 1.5, 2.0)]
    rows.append(Measurement("prefill", name, 2, YIELDING_SPINCOUNT, {"tokens": 8, "duration_s": 0.1}))
    rows.append(Measurement("prefill", name, 1, None, {"tokens": 8, "duration_s": 100.0}))
    assert [observation.duration_s for observation in step_observations(rows, SPECS, 2)] == pytest.approx([6.5 / 3])


def test_too_few_steps_are_refused() -> None:
    row = Measurement("prefill", PROTOCOL.models[0], 2, None, {"tokens": 8, "duration_s": 1.0})
    with pytest.raises(NotCalibratedError, match="1 step measurements are too few to fit"):
        fit_steps(step_observations([row], SPECS, 2))


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
    made += company("within", None, dict.fromkeys(both, 2 * WITHIN), 0)
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
    """Whole fits try fewer sizes of caches and memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stepping, "CACHE_CANDIDATES_BYTES", (0.0, CACHE_BYTES, 256e6))
        patch.setattr(stepping, "BANDWIDTH_CANDIDATES_BYTES_PER_S", (4e9, BANDWIDTH_BYTES_PER_S, 100e9))
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
    assert {count: steps.masked_head_s for count, steps in fitted.steps.items()} == pytest.approx(
        dict.fromkeys(fitted.steps, MASKED_HEAD_S), rel=1e-3
    )
    old = [replace(row, values={name: value for name, value in row.values.items() if name != MASKED_CELLS}) for row in rows]
    elsewhere = fit(HEADER, old, SPECS).steps
    assert {count: steps.masked_head_s * count for count, steps in elsewhere.items()} == pytest.approx(
        dict.fromkeys(elsewhere, MASKED_CORE_S)
    ), "cores share what is passed over"


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
    assert steady.machine_log_spread == HOURS_SPREAD, "what lies hours apart is not seen"
    apart = fit(HEADER, [row for number, factor in enumerate((1.0, 1.2, 0.8)) for row in round_at(number, factor)] + rest, SPECS)
    assert 0.1 < apart.machine_log_spread < 0.5
    assert apart.steps[2].kernels["q8_0"].weight_s == pytest.approx(steady.steps[2].kernels["q8_0"].weight_s, rel=1e-6), "means"


def test_exact_measurements_leave_no_error_but_the_floors(fitted: Coefficients) -> None:
    assert all(value < 1e-3 for value in fitted.errors.values())
    assert fitted.model_log_spread == {"prefill": MODEL_SPREAD_FLOOR, "decode": MODEL_SPREAD_FLOOR}
    assert fitted.machine_log_spread == math.hypot(HOURS_SPREAD, MINUTES_SPREAD), "one round cannot show how steady it is"


def test_a_fitted_model_predicts_what_it_was_made_from(fitted: Coefficients, truth: dict[int, StepCoefficients]) -> None:
    spec = synthetic_spec(UNSEEN[0])
    for threads in (1, 2):
        cost = CostModel(fitted).instance(spec, threads, None, OPTIONS).prices
        exact = StepCost(truth[threads])
        assert cost.decode_s([100, 200], 50) == pytest.approx(exact.duration_s(decode_features(spec, [100, 200], 50)), rel=0.01)
        assert cost.batch_s([], [PromptPiece(0, 200, True)]) == pytest.approx(exact.duration_s(prefill(spec, 200)), rel=0.01)


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


def test_protocols_refuse_types_that_cannot_be_measured() -> None:
    with pytest.raises(InputError, match=r"'iq2_xs' cannot be measured; allowed: .*f16, "):
        Protocol.named("quick", ("q8_0", "iq2_xs"))
    assert Protocol.named("quick", ("q4_k",)).shape_types == ("q4_k",)


def test_protocols_have_names() -> None:
    quick, full, contention = (Protocol.named(name) for name in ("quick", "full", "contention"))
    assert quick == Protocol() and not quick.company_only
    assert set(quick.weight_types) < set(full.weight_types) and full.most_rounds > full.rounds
    assert contention.company_only and contention.spinning_episodes > quick.spinning_episodes
    with pytest.raises(UnknownNameError, match="quick"):
        Protocol.named("quik")


@pytest.mark.parametrize(
    ("cores", "counts"), [(1, (1,)), (2, (1, 2)), (4, (1, 2, 3, 4)), (6, (1, 2, 3, 4, 6)), (24, (1, 2, 3, 4, 8, 16, 24))]
)
def test_numbers_of_threads_to_measure(cores: int, counts: tuple[int, ...]) -> None:
    assert thread_counts(cores) == counts
