"""The step equation: closed forms equal sums over steps, and more work never costs less."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.cost.coefficients import Coefficients, Kernel
from mmpredict.cost.piece import PromptPiece
from mmpredict.cost.rates.operations import written_numbers
from mmpredict.cost.step import (
    EXPERTS,
    GROUP,
    StepCost,
    StepFeatures,
    attention_macs,
    batch_features,
    decode_features,
    far_share,
    kernel_weight_s,
)
from mmpredict.models.catalog import uniform_spec
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.models.spec import ModelSpec

PLAIN = uniform_spec("smollm2-135m", weight_type("q8_0"))
WINDOWED = uniform_spec("gemma3-270m", weight_type("q4_0"))
UNTIED = uniform_spec("probe-wide", weight_type("q4_0"))
SPECS = [PLAIN, WINDOWED, UNTIED]

specs = st.sampled_from(SPECS)
depths = st.lists(st.integers(0, 3000), min_size=1, max_size=6)


def added(parts: Sequence[StepFeatures]) -> StepFeatures:
    """Sum of stretches of work of one model, term by term."""
    by_type: dict[str, Counter[Any]] = {"weights": Counter(), "tiled_rows": Counter()}
    for name, total in by_type.items():
        for part in parts:
            total.update(getattr(part, name))
    names = {field.name for field in fields(StepFeatures)} - by_type.keys() - {"pass_bytes"}
    numbers = {name: sum(getattr(part, name) for part in parts) for name in names}
    return StepFeatures(pass_bytes=parts[0].pass_bytes, **by_type, **numbers)  # type: ignore[arg-type]


def assert_equal(one: StepFeatures, other: StepFeatures) -> None:
    for field in fields(StepFeatures):
        assert getattr(one, field.name) == pytest.approx(getattr(other, field.name), rel=1e-12), field.name


def cells_seen(spec: ModelSpec, layer: int, position: int) -> int:
    """Cells that the token at ``position`` (from 0) of a sequence attends to, itself included, in one layer."""
    window = spec.shape.window
    return min(position + 1, window.tokens) if window and window.local[layer] else position + 1


def brute_force_macs(spec: ModelSpec, first: int, tokens: int) -> float:
    return sum(
        2.0 * spec.shape.n_heads * spec.shape.key_dim * cells_seen(spec, layer, position)
        for layer in range(spec.shape.n_layers)
        for position in range(first, first + tokens)
    )


def test_the_windowed_model_has_local_and_global_layers() -> None:
    assert (sum(WINDOWED.shape.window.local), WINDOWED.shape.n_layers, WINDOWED.shape.window.tokens) == (15, 18, 512)


@given(specs, st.integers(0, 1500), st.integers(0, 300))
def test_attention_is_the_sum_over_layers_and_tokens(spec: ModelSpec, first: int, tokens: int) -> None:
    assert attention_macs(spec, first, tokens) == pytest.approx(brute_force_macs(spec, first, tokens), rel=1e-12)


@pytest.mark.parametrize(("first", "tokens"), [(0, 512), (0, 513), (511, 1), (512, 1), (500, 30), (0, 1)])
def test_attention_at_the_edge_of_a_window(first: int, tokens: int) -> None:
    assert attention_macs(WINDOWED, first, tokens) == brute_force_macs(WINDOWED, first, tokens)


def test_attention_of_a_model_of_known_size() -> None:
    # two tokens see 1 + 2 cells; 30 layers, 9 heads of 64, once for scores and once for values
    assert attention_macs(PLAIN, 0, 2) == 2 * 9 * 64 * 30 * 3


@given(specs, depths, st.integers(1, 60))
def test_a_run_of_decode_steps_is_the_sum_of_its_steps(spec: ModelSpec, start: list[int], steps: int) -> None:
    single = [decode_features(spec, [depth + step for depth in start], 1) for step in range(steps)]
    assert_equal(decode_features(spec, start, steps), added(single))


@given(specs, depths)
def test_a_decode_step_is_a_batch_without_prompts(spec: ModelSpec, start: list[int]) -> None:
    assert_equal(decode_features(spec, start, 1), batch_features(spec, start, [], 512))


def pieces_of(lengths: Sequence[int]) -> list[PromptPiece]:
    starts = [sum(lengths[:number]) for number in range(len(lengths))]
    return [PromptPiece(start, length, start + length == sum(lengths)) for start, length in zip(starts, lengths, strict=True)]


@given(specs, st.lists(st.integers(1, 700), min_size=1, max_size=5), st.integers(1, 600))
def test_a_prompt_in_pieces_is_the_same_work(spec: ModelSpec, lengths: list[int], ubatch: int) -> None:
    whole = batch_features(spec, [], pieces_of([sum(lengths)]), ubatch)
    parts = added([batch_features(spec, [], [piece], ubatch) for piece in pieces_of(lengths)])
    together = batch_features(spec, [], pieces_of(lengths), ubatch)
    for other in (parts, together):
        assert other.prefill_macs == pytest.approx(whole.prefill_macs, rel=1e-12)
        assert token_weights(other) == pytest.approx(token_weights(whole), rel=1e-12)
        assert (
            (other.prompts, other.logits, other.decode_macs)
            == (whole.prompts, whole.logits, whole.decode_macs)
            == (1, spec.shape.n_vocab, 0)
        )
    assert together.layers == whole.layers <= parts.layers


def token_weights(features: StepFeatures) -> float:
    """Weight evaluations, over all tokens."""
    return sum(tokens * weights for (_, tokens), weights in features.weights.items())


@given(specs, st.lists(st.integers(0, 900), max_size=4), st.integers(1, 900), st.integers(1, 300))
def test_every_token_passes_the_body_and_every_sampled_one_the_output(
    spec: ModelSpec, deep: list[int], prompt: int, ubatch: int
) -> None:
    features = batch_features(spec, deep, [PromptPiece(0, prompt, True)], ubatch)
    body = sum(group.weights - group.final_weights for group in spec.body_groups)
    final = sum(group.final_weights for group in spec.body_groups) + spec.output_matrix.weights
    sampled = len(deep) + 1
    assert token_weights(features) == pytest.approx((len(deep) + prompt) * body + sampled * final)
    assert features.layers == spec.shape.n_layers * -(-(len(deep) + prompt) // ubatch)
    assert max(tokens for _, tokens in features.weights) <= max(ubatch, sampled)
    assert features.decode_macs == pytest.approx(sum(brute_force_macs(spec, depth, 1) for depth in deep))


def test_a_piece_that_does_not_end_its_prompt_samples_nothing() -> None:
    features = batch_features(UNTIED, [], [PromptPiece(64, 32, False)], 512)
    assert (features.logits, features.prompts) == (0, 0)
    assert list(features.weights) == [("q4_0", 32)]


@pytest.fixture(scope="module")
def cost(coefficients: Coefficients) -> StepCost:
    return StepCost(coefficients.steps[1])


@given(specs, depths, st.integers(1, 40), st.integers(0, 5), st.integers(1, 500))
def test_deeper_longer_and_more_decoding_never_costs_less(
    cost: StepCost, spec: ModelSpec, start: list[int], steps: int, which: int, deeper: int
) -> None:
    base = cost.duration_s(decode_features(spec, start, steps))
    further = [depth + (deeper if number == which % len(start) else 0) for number, depth in enumerate(start)]
    assert cost.duration_s(decode_features(spec, further, steps)) >= base
    assert cost.duration_s(decode_features(spec, start, steps + 1)) > base
    assert cost.duration_s(decode_features(spec, [*start, deeper], steps)) > base


@given(specs, depths, st.integers(1, 2000), st.integers(0, 4000), st.integers(1, 600))
def test_more_prompt_never_costs_less(
    cost: StepCost, spec: ModelSpec, deep: list[int], tokens: int, start: int, ubatch: int
) -> None:
    def duration_s(start: int, tokens: int) -> float:
        return cost.duration_s(batch_features(spec, deep, [PromptPiece(start, tokens, True)], ubatch))

    # By whole groups: one token more may save another way through the matrix.
    assert duration_s(start + 1, tokens + GROUP) > duration_s(start + 1, tokens)
    assert duration_s(start + 2, tokens) >= duration_s(start + 1, tokens)
    assert duration_s(start, GROUP * tokens) > cost.duration_s(decode_features(spec, deep, 1))


@given(specs, depths, st.integers(1, 1000))
def test_a_layer_or_a_wider_vocabulary_more_never_costs_less(cost: StepCost, spec: ModelSpec, deep: list[int], tokens: int) -> None:
    last = f"blk.{spec.shape.n_layers - 1}."
    copies = [replace(t, name=t.name.replace(last, f"blk.{spec.shape.n_layers}.")) for t in spec.tensors if t.name.startswith(last)]
    window = spec.shape.window and replace(spec.shape.window, local=(*spec.shape.window.local, True))
    taller = replace(
        spec, shape=replace(spec.shape, n_layers=spec.shape.n_layers + 1, window=window), tensors=(*spec.tensors, *copies)
    )
    wide = {"token_embd.weight", "output.weight"}
    wider_tensors = tuple(replace(t, shape=(t.shape[0], 2 * t.shape[1])) if t.name in wide else t for t in spec.tensors)
    wider = replace(spec, shape=replace(spec.shape, n_vocab=2 * spec.shape.n_vocab), tensors=wider_tensors)
    for features_of in (
        lambda model: batch_features(model, deep, [PromptPiece(0, tokens, True)], 512),
        lambda model: decode_features(model, deep, tokens),
    ):
        base = cost.duration_s(features_of(spec))
        assert cost.duration_s(features_of(taller)) > base
        assert cost.duration_s(features_of(wider)) > base


def test_a_step_adds_up_to_the_equation(coefficients: Coefficients) -> None:
    own = coefficients.steps[1].model_copy(update={"cache_bytes": 5e7, "far_s": {"q8_0": 7e-12}})
    body = sum(group.weights for group in PLAIN.body_groups)
    bytes_read = sum(group.size_bytes for group in PLAIN.body_groups) + PLAIN.output_matrix.size_bytes
    late_s = far_share(bytes_read, 5e7) * 7e-12
    final = 3 * 576 * 1536  # of the last layer's feed-forward network, which only the last token passes
    kernel = own.kernels["q8_0"]
    expected_s = (
        own.layer_s * 30
        + own.prompt_s
        + own.logit_s * 49152
        + own.sampled_s
        + own.attention_prefill_s * brute_force_macs(PLAIN, 0, 32)
        + own.written_s * 32 * written_numbers(PLAIN.shape)
        + (body - final) * (kernel.weight_s[kernel.batch_tokens.index(32)] + late_s)
        + (final + 576 * 49152) * (kernel.weight_s[0] + late_s)
    )
    found_s = StepCost(own).duration_s(batch_features(PLAIN, [], [PromptPiece(0, 32, True)], 512))
    assert found_s == pytest.approx(expected_s, rel=1e-12)


def test_weights_that_the_caches_hold_are_not_read_from_memory(coefficients: Coefficients) -> None:
    features = decode_features(PLAIN, [0], 3)
    assert far_share(PLAIN.pass_bytes(), 0) == 1.0
    for times, share in ((1.01, 0.0197), (2, 0.7968), (3, 0.9405)):  # of m = 1 - exp(-m · times)
        assert far_share(times * 1e8, 1e8) == pytest.approx(share, rel=1e-2)
    assert far_share(PLAIN.pass_bytes(), PLAIN.pass_bytes()) == far_share(PLAIN.pass_bytes(), 1e12) == far_share(0.0, 1e9) == 0.0
    slow = coefficients.steps[1].model_copy(update={"far_s": {"q8_0": 1e-9}})
    durations_s = [StepCost(slow.model_copy(update={"cache_bytes": size})).duration_s(features) for size in (0, 1.1e8, 1.2e8, 1e12)]
    assert durations_s[0] > durations_s[1] > durations_s[2] > durations_s[3]


def test_cells_that_lie_far_apart_cost_more_beyond_the_caches(
    coefficients: Coefficients, make_spec: Callable[[str], ModelSpec]
) -> None:
    """smollm2-1.7b keeps 32 heads of 64 numbers in each cell, 4096 bytes; llama3.2-1b 8, 1024 bytes."""
    own = coefficients.steps[4].model_copy(update={"cell_row_s": 5e-8})

    def added_s(name: str, **change: float) -> float:
        features = decode_features(make_spec(name), [1000], 1)
        with_rows, without = (one.model_copy(update=change) for one in (own, own.model_copy(update={"cell_row_s": 0.0})))
        return StepCost(with_rows).duration_s(features) - StepCost(without).duration_s(features)

    spec = make_spec("smollm2-1.7b@q8_0")
    far = far_share(spec.pass_bytes(1), own.cache_bytes)
    assert added_s("smollm2-1.7b@q8_0") == pytest.approx(5e-8 * far * 2 * 32 * 24 * 1001, rel=1e-6)
    assert added_s("smollm2-1.7b@q8_0", cache_bytes=1e12) == added_s("llama3.2-1b@q8_0") == 0.0


@given(specs, depths, st.floats(0.0, 1e-9), st.floats(1.0, 10.0))
def test_nearer_memory_or_more_cache_is_never_slower(
    coefficients: Coefficients, spec: ModelSpec, deep: list[int], late_s: float, more: float
) -> None:
    features = decode_features(spec, deep, 2)
    own = coefficients.steps[4]

    def duration_s(late_s: float, cache_bytes: float) -> float:
        return StepCost(
            own.model_copy(update={"far_s": dict.fromkeys(own.kernels, late_s), "cache_bytes": cache_bytes})
        ).duration_s(features)

    assert duration_s(late_s, own.cache_bytes) <= duration_s(more * late_s, own.cache_bytes)
    assert duration_s(late_s, more * own.cache_bytes) <= duration_s(late_s, own.cache_bytes) * (1 + 1e-12)


def test_tokens_left_over_from_fours_go_through_the_matrix_again(coefficients: Coefficients) -> None:
    """Five sequences of Q8_0 took 46.0 ms, six 40.1, seven 54.0, eight 47.6 (docs/design.md); types of other kernels are even."""
    prices = (1.0, 0.6, 1.7, 1.4, 2.0)
    kernel = Kernel(batch_tokens=(1, 2, 3, 4, 8), weight_s=prices, weight_low_s=prices, weight_high_s=prices)
    cost = StepCost(coefficients.steps[1].model_copy(update={"kernels": {"q8_0": kernel, "f16": kernel}}))
    assert [cost.weight_s("q8_0", tokens) for tokens in (4, 5, 6, 7, 8)] == pytest.approx([1.4, 2.4, 2.0, 3.1, 2.0])
    assert [cost.weight_s("f16", tokens) for tokens in (4, 5, 6, 7, 8)] == pytest.approx([1.4, 1.55, 1.7, 1.85, 2.0])
    measured = Kernel(batch_tokens=(1, 4, 5), weight_s=(1.0, 1.4, 1.9), weight_low_s=(1, 1, 1), weight_high_s=(2, 2, 2))
    known = StepCost(coefficients.steps[1].model_copy(update={"kernels": {"q8_0": measured}}))
    assert known.weight_s("q8_0", 5) == 1.9, "what was measured is taken as it is"
    assert cost.weight_s("q8_0", 17) == pytest.approx(cost.weight_s("q8_0", 16) + 1.0)


KERNEL = Kernel(batch_tokens=(2, 4, 10), weight_s=(1.0, 3.0, 6.0), weight_low_s=(1, 3, 6), weight_high_s=(1, 3, 6))


@pytest.mark.parametrize(
    ("tokens", "weight_s"), [(1, 1.0), (2, 1.0), (3, 2.0), (4, 3.0), (6, 4.0), (10, 6.0), (11, 6.6), (20, 12.0), (1000, 600.0)]
)
def test_kernels_between_and_beyond_their_knots(tokens: int, weight_s: float) -> None:
    assert kernel_weight_s(KERNEL, tokens) == pytest.approx(weight_s, rel=1e-12)


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from(["q8_0", "q4_0", "q4_k"]))
def test_a_larger_batch_never_costs_less_per_weight(coefficients: Coefficients, one: int, other: int, name: str) -> None:
    kernel = coefficients.steps[2].kernels[name]
    small, large = sorted((one, other))
    assert kernel_weight_s(kernel, small) <= kernel_weight_s(kernel, large)


def test_an_unmeasured_type_costs_what_the_slowest_does_and_is_remembered(coefficients: Coefficients) -> None:
    cost = StepCost(coefficients.steps[1])
    for tokens in (1, 3, 100):
        slowest = max(kernel_weight_s(kernel, tokens) for kernel in coefficients.steps[1].kernels.values())
        assert cost.weight_s("q6_k", tokens) == slowest
        assert cost.weight_s("q8_0", tokens) == kernel_weight_s(coefficients.steps[1].kernels["q8_0"], tokens)
    assert cost.unmeasured == {"q6_k"}


def test_decoding_reads_keys_and_values_in_16_bits() -> None:
    features = decode_features(PLAIN, [10, 20], 3)
    row_bytes = 30 * 2 * 3 * 64 * 2  # layers, keys and values, heads of both, width, 16 bits
    assert features.cell_bytes == row_bytes * ((11 + 12 + 13) + (21 + 22 + 23))
    assert batch_features(PLAIN, [], [PromptPiece(0, 32, True)], 512).cell_bytes == 0
    assert features.written == 3 * 2 * written_numbers(PLAIN.shape)


def test_experts_that_were_not_measured_in_a_type_cost_what_those_of_another_type_do(coefficients: Coefficients) -> None:
    steps = coefficients.steps[1]
    dense = steps.kernels["q4_0"]
    slower = dense.model_copy(update={"weight_s": tuple(1.5 * value for value in dense.weight_s)})
    own = steps.model_copy(update={"kernels": {**steps.kernels, f"q4_0{EXPERTS}": slower}})
    cost = StepCost(own)
    assert cost.weight_s(f"q8_0{EXPERTS}", 4) == pytest.approx(1.5 * cost.weight_s("q8_0", 4))
    assert not cost.unmeasured
    assert StepCost(steps).weight_s(f"q8_0{EXPERTS}", 4) == StepCost(steps).weight_s("q8_0", 4)  # none were measured: as others
