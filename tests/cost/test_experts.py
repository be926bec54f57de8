"""Mixtures of experts: which weights a batch touches, and how many tokens each of them sees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.cost.matrices import MatrixWork
from mmpredict.cost.step import decode_features
from mmpredict.models.catalog import catalog_spec

SPEC = catalog_spec("qwen3-30b-a3b", "Q8_0")  # 128 experts, 8 of them for a token
EXPERT_WEIGHTS = sum(group.weights for group in SPEC.main_groups if group.experts)
DENSE_WEIGHTS = sum(group.weights for group in SPEC.main_groups if not group.experts)
LAST_EXPERTS = 128 * 3 * 2048 * 768


def touched(tokens: int, sampled: int | None = None) -> dict[tuple[str, int], float]:
    """Of the layers; all tokens' logits are wanted if not said otherwise."""
    sampled = tokens if sampled is None else sampled
    work = MatrixWork()
    work.add_pass(SPEC, tokens, sampled, 1)
    found = work.weights
    if sampled:
        found["q8_0", sampled] -= SPEC.output_matrix.weights
    return found


def test_routers_are_too_small_to_count() -> None:
    left_out = set(SPEC.body_groups) - set(SPEC.main_groups)
    assert [group.type.name for group in left_out] == ["f32"]
    assert sum(group.weights for group in left_out) == 48 * 2048 * 128
    assert "f32" not in SPEC.weight_types
    dense = catalog_spec("gpt-oss-120b", "MXFP4_MOE")
    assert {group.experts for group in dense.main_groups} == {True, False}  # 1 % of all weights, a fifth of a token's


def test_one_token_passes_the_experts_it_uses() -> None:
    assert sum(touched(1).values()) == pytest.approx(DENSE_WEIGHTS + EXPERT_WEIGHTS * 8 / 128)
    # The model's name says 3 billion active weights of 30.
    assert SPEC.active_parameters == pytest.approx(3.0e9, rel=0.1)
    assert SPEC.parameters == pytest.approx(30.5e9, rel=0.01)


def test_two_tokens_share_more_experts_than_by_chance() -> None:
    further = SPEC.expert_coverage(2) - SPEC.expert_coverage(1)
    assert 0 < further < (8 / 128) * (120 / 128)
    assert SPEC.pass_bytes(2) - SPEC.pass_bytes(1) == pytest.approx(
        sum(group.size_bytes for group in SPEC.body_groups if group.experts) * further
    )


def test_a_large_batch_touches_nearly_everything_and_each_expert_sees_its_share() -> None:
    found = touched(1024)
    experts = found["q8_0/experts", 70]
    assert found["q8_0", 1024] == pytest.approx(DENSE_WEIGHTS)
    assert 0.9 * EXPERT_WEIGHTS < experts < EXPERT_WEIGHTS
    assert experts * 70 == pytest.approx(EXPERT_WEIGHTS * 1024 * 8 / 128, rel=0.01)


def test_only_sampled_tokens_pass_the_last_layers_experts() -> None:
    """The others have been let go of after the last layer's attention."""
    none, one, all_of_them = (sum(touched(512, sampled).values()) for sampled in (0, 1, 512))
    assert all_of_them - none == pytest.approx(LAST_EXPERTS * SPEC.expert_coverage(512))
    assert one - none == pytest.approx(LAST_EXPERTS * 8 / 128)


@given(st.integers(1, 4000))
def test_token_evaluations_are_those_of_the_experts_used(tokens: int) -> None:
    """n tokens · k experts each, however they are spread; only the tokens per expert are rounded."""
    evaluations = sum(seen * weights for (_, seen), weights in touched(tokens).items())
    exact = tokens * (DENSE_WEIGHTS + EXPERT_WEIGHTS * 8 / 128)
    assert evaluations == pytest.approx(exact, rel=0.5 if tokens < 200 else 0.05)


@given(st.integers(1, 2000))
def test_more_tokens_never_touch_less(tokens: int) -> None:
    assert sum(touched(tokens + 1).values()) >= sum(touched(tokens).values())
    assert SPEC.pass_bytes(tokens + 1) >= SPEC.pass_bytes(tokens)


def test_decode_steps_read_what_their_sequences_touch() -> None:
    alone, together = decode_features(SPEC, [100.0], 5), decode_features(SPEC, [100.0] * 4, 5)
    assert alone.pass_bytes == SPEC.pass_bytes(1)
    assert together.pass_bytes == SPEC.pass_bytes(4) < 4 * SPEC.pass_bytes(1)
