"""Mixes of types that a publisher chose, guessed from the name and the size of a file."""

from __future__ import annotations

import pytest

from mmpredict.models.catalog import catalog_spec
from mmpredict.models.quantization.resized import CLOSE_FRAC, base_type, resized
from mmpredict.models.spec import EMBEDDING, OUTPUT, ModelSpec


def _held(model: str, file_type: str, size_bytes: float = 0) -> tuple[ModelSpec, ModelSpec]:
    rules = catalog_spec(model, base_type(file_type))
    return rules, resized(rules, file_type, int(size_bytes))


def _types(spec: ModelSpec, experts: bool) -> set[str]:
    return {group.type.name for group in spec.body_groups if group.experts is experts and group.type.name != "f32"}


def test_a_dynamic_mixture_keeps_what_every_token_passes_in_eight_bits() -> None:
    rules, held = _held("qwen3.5-122b-a10b", "UD-Q4_K_XL")
    assert _types(rules, experts=False) != {"q8_0"}
    assert _types(held, experts=False) == {"q8_0"}
    assert {tensor.type.name for tensor in held.tensors if tensor.name in (EMBEDDING, OUTPUT)} == {"q8_0"}
    assert [group for group in held.body_groups if group.experts] == [group for group in rules.body_groups if group.experts]
    assert held.doubts


def test_its_experts_meet_the_size() -> None:
    """Printed by llama-bench for two files of Unsloth (kyuz0/amd-strix-halo-toolboxes): one below, one above what 8 bits give."""
    for model, size in (("gemma4-26b-a4b", 17.072e9), ("qwen3-coder-next", 55e9)):
        rules, held = _held(model, "UD-Q4_K_XL", size)
        assert _types(held, experts=False) == {"q8_0"}
        assert held.file_bytes == pytest.approx(size, rel=CLOSE_FRAC)
        assert _types(held, experts=True) != _types(rules, experts=True)


def test_a_layer_that_only_drafts_is_not_read() -> None:
    """Sizes of files with one: printed for Qwen 3.6 27B in Q8_0 and Qwen 3.5 122B in UD-Q4_K_XL."""
    rules, held = _held("qwen3.6-27b", "Q8_0", 29.036e9)
    assert held is rules
    _, large = _held("qwen3.5-122b-a10b", "UD-Q4_K_XL", 78.635e9)
    _, without = _held("qwen3.5-122b-a10b", "UD-Q4_K_XL")
    assert large.pass_bytes(1) == pytest.approx(without.pass_bytes(1), rel=0.03)


def test_sixteen_bits_reach_tables_first_and_experts_last() -> None:
    rules, held = _held("qwen3.6-35b-a3b", "UD-Q8_K_XL", 42e9)
    assert {tensor.type.name for tensor in held.tensors if tensor.name in (EMBEDDING, OUTPUT)} == {"bf16"}
    assert _types(held, experts=False) == {"bf16"}
    assert _types(held, experts=True) == {"q8_0", "bf16"}
    assert _types(rules, experts=True) == {"q8_0"}


def test_files_of_2025_follow_their_size_alone() -> None:
    rules, held = _held("qwen3-coder-30b-a3b", "UD-Q4_K_XL")
    assert held is rules
    _, smaller = _held("qwen3-235b-a22b-2507", "UD-Q3_K_XL", 104.142e9)
    assert _types(smaller, experts=False) == _types(catalog_spec("qwen3-235b-a22b-2507", "Q3_K_M"), experts=False)


def test_a_second_table_is_looked_up_and_not_read() -> None:
    """Qwen's own file of 1.5B stores the table for both ends twice."""
    rules, held = _held("qwen2.5-coder-1.5b", "Q4_K_M", 1.111e9)
    assert rules.tied_output and not held.tied_output
    assert held.pass_bytes(1) == rules.pass_bytes(1)
    assert held.weight_bytes == pytest.approx(1.111e9, rel=0.002)


def test_google_keeps_the_table_of_a_quantized_model_in_16_bits() -> None:
    rules, held = _held("gemma3-4b", "Q4_0", 3.148e9)
    assert held.output_matrix is not None and held.output_matrix.type.name == "f16"
    assert held.body_groups == rules.body_groups


def test_a_size_of_the_tensors_alone_is_the_rules_own() -> None:
    """llama-bench prints what tensors take, without the tokenizer, which is 1.5 % of the smallest files."""
    rules, held = _held("qwen2.5-0.5b", "Q4_K_M", 391_915_766)
    assert held is rules
