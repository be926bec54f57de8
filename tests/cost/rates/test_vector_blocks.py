"""Blocks that CUDA's kernel for few tokens starts, counted by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from mmpredict.cost.rates.parameters import Belief, beliefs
from mmpredict.cost.rates.step_terms import pass_terms
from mmpredict.cost.rates.vector_blocks import vector_blocks
from mmpredict.models.catalog import catalog_spec
from mmpredict.models.quantization.weight_types import WEIGHT_TYPES
from mmpredict.models.spec import ModelSpec


def test_every_row_has_a_block_but_those_of_a_gate() -> None:
    spec = catalog_spec("mistral-7b", "Q4_K_M")  # every row has 4096 weights or 14336
    layer = 4096 + 1024 + 1024 + 4096 + 14336 + 4096  # the gate's 14336 rows are taken along
    assert vector_blocks(spec, several=False, early=False) == 32 * layer + 32768
    assert vector_blocks(spec, several=False, early=True) == 32 * layer + 32768
    assert vector_blocks(spec, several=True, early=False) == (32 * (layer + 14336) + 32768) / 2


def test_a_gate_of_another_type_has_blocks_of_its_own() -> None:
    spec = catalog_spec("mistral-7b", "Q4_K_M")
    first = "blk.0.ffn_gate.weight"
    other = tuple(replace(one, type=WEIGHT_TYPES["q6_k"]) if one.name == first else one for one in spec.tensors)
    assert vector_blocks(replace(spec, tensors=other), False, False) == vector_blocks(spec, False, False) + 14336


@pytest.mark.parametrize(
    ("model", "kind", "rows_together"), [("gemma3-1b", "Q8_0", 1), ("qwen2.5-0.5b", "Q8_0", 4), ("qwen2.5-0.5b", "F16", 1)]
)
def test_rows_shorter_than_a_block_reads_at_once_come_four_to_a_block(model: str, kind: str, rows_together: int) -> None:
    """In Q8_0 that are 1024 weights: gemma3-1b's rows of 1152 are longer, qwen2.5-0.5b's of 896 are not."""
    spec = catalog_spec(model, kind)
    output = spec.output_matrix
    assert output is not None
    whole, without = vector_blocks(spec, False, False), vector_blocks(_headless(spec), False, False)
    assert whole - without == output.rows / rows_together
    assert vector_blocks(spec, False, True) - vector_blocks(_headless(spec), False, True) == output.rows


def _headless(spec: ModelSpec) -> ModelSpec:
    """The model without the matrix of its logits; a name of its own, as models are remembered by it."""
    shape = replace(spec.shape, tied=False)
    output = spec.output_matrix
    return replace(
        spec, name=f"{spec.name}, headless", shape=shape, tensors=tuple(one for one in spec.tensors if one is not output)
    )


def test_of_experts_a_token_has_the_blocks_of_its_own() -> None:
    spec = catalog_spec("qwen3-30b-a3b", "Q4_K_M")  # 8 of 128 experts of 768, width 2048
    attention, router = 4096 + 512 + 512 + 2048, 128
    experts = 8 * (768 + 2048 / 4)  # rows of 2048 fill a block, those of 768 do not; the gate's are taken along
    found = vector_blocks(spec, False, False)
    assert found == pytest.approx(48 * (attention + router + experts) + 151936, rel=0.02)
    several = 48 * ((attention + router) / 2 + 8 * (768 + 2048) / 2) + 151936 / 2
    assert vector_blocks(spec, True, False) == pytest.approx(several)


def test_only_steps_of_few_tokens_pay_them_and_only_cuda_much() -> None:
    spec = catalog_spec("qwen2.5-0.5b", "Q8_0")
    known = Belief(math.log(200e9), 0.2), Belief(math.log(20e12), 0.5)
    for tokens, paid in ((1, True), (8, True), (9, False)):
        assert any("vector_block_s" in term.powers for term in pass_terms(spec, 1, tokens, tokens)) == paid
    for backend in ("rocm", "vulkan", "metal", ""):
        assert beliefs("gpu", WEIGHT_TYPES, *known, backend)["vector_block_s"].mean < math.log(1e-10)
    assert beliefs("gpu", WEIGHT_TYPES, *known, "cuda")["vector_block_s"].mean == pytest.approx(math.log(2e-7))
