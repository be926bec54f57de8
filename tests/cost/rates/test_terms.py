"""The terms of a step: what must hold whatever the prices are."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.cost.rates.attention import attention_layers, state_bytes
from mmpredict.cost.rates.operations import operations
from mmpredict.cost.rates.parameters import BATCH_KNOTS, Belief, batch_powers, beliefs
from mmpredict.cost.rates.step_terms import Conditions, decode_terms, prompt_terms
from mmpredict.cost.rates.term import Term, sensitivity, total_s
from mmpredict.errors import InputError
from mmpredict.models.catalog import catalog_spec, shape
from mmpredict.models.quantization.weight_types import WEIGHT_TYPES
from mmpredict.models.spec import ModelSpec

USUAL = {
    name: belief.mean
    for name, belief in beliefs("gpu", WEIGHT_TYPES, Belief(math.log(200e9), 0.1), Belief(math.log(15e12), 0.1)).items()
}
MODELS = ("llama3.1-8b", "gemma3-4b", "qwen3-30b-a3b", "deepseek-v2-lite", "qwen3.5-9b", "gpt-oss-20b")


def model(name: str) -> ModelSpec:
    return catalog_spec(name, "MXFP4_MOE" if name.startswith("gpt-oss") else "Q4_K_M")


def decode_s(spec: ModelSpec, sequences: int, first: float, steps: float, how: Conditions = Conditions()) -> float:  # noqa: B008
    return total_s(decode_terms(spec, sequences, first, steps, how), USUAL)


def prompt_s(spec: ModelSpec, tokens: int, depth: float = 0, ubatch: int = 512) -> float:
    return total_s(prompt_terms(spec, tokens, depth, Conditions(ubatch)), USUAL)


def test_a_term_is_an_amount_at_a_product_of_powers() -> None:
    term = Term(6.0, {"bandwidth": -1.0, "factor": 2.0})
    assert term.seconds({"bandwidth": math.log(3.0), "factor": math.log(5.0)}) == pytest.approx(6.0 / 3.0 * 25.0)


def test_sensitivity_is_the_derivative_of_the_logarithm() -> None:
    terms = decode_terms(model("qwen3-30b-a3b"), 3, 1000, 20)
    slopes = sensitivity(terms, USUAL)
    for name in ("bandwidth", "operation_s", "mac_s", "expert_read", "batch_4"):
        moved = dict(USUAL) | {name: USUAL[name] + 1e-6}
        numeric = (math.log(total_s(terms, moved)) - math.log(total_s(terms, USUAL))) / 1e-6
        assert slopes[name] == pytest.approx(numeric, abs=1e-6)
    assert sensitivity([], USUAL) == {}


def test_a_server_samples_each_sequence_over_the_whole_vocabulary() -> None:
    spec = model("gemma3-4b")
    beside = decode_s(spec, 4, 512, 16, Conditions(sampled=True)) - decode_s(spec, 4, 512, 16)
    assert beside == pytest.approx(4 * 16 * spec.shape.n_vocab * math.exp(USUAL["sample_s"]))


@pytest.mark.parametrize("name", MODELS)
def test_more_work_takes_longer(name: str) -> None:
    spec = model(name)
    assert decode_s(spec, 1, 0, 128) < decode_s(spec, 1, 4096, 128) < decode_s(spec, 1, 32768, 128)
    assert decode_s(spec, 1, 0, 64) < decode_s(spec, 1, 0, 128)
    assert decode_s(spec, 1, 512, 16) < decode_s(spec, 2, 512, 16) < decode_s(spec, 8, 512, 16) < decode_s(spec, 32, 512, 16)
    assert prompt_s(spec, 128) < prompt_s(spec, 512) < prompt_s(spec, 2048)
    assert prompt_s(spec, 512) < prompt_s(spec, 512, 16384)


@pytest.mark.parametrize("name", MODELS)
@given(first=st.integers(0, 50_000), steps=st.integers(2, 2000), at=st.integers(1, 1999), sequences=st.integers(1, 64))
def test_a_stretch_of_steps_is_the_sum_of_its_parts(name: str, first: int, steps: int, at: int, sequences: int) -> None:
    cut = min(at, steps - 1)
    spec = model(name)
    whole = decode_s(spec, sequences, first, steps)
    parts = decode_s(spec, sequences, first, cut) + decode_s(spec, sequences, first + cut, steps - cut)
    assert whole == pytest.approx(parts, rel=1e-9)


def test_a_window_ends_what_a_layer_sees() -> None:
    local = next(layers for layers in attention_layers(shape("gemma3-4b")) if not math.isinf(layers.limit))
    assert local.cells(0, 3) == 1 + 2 + 3
    assert local.cells(10 * local.limit, 5) == 5 * local.limit
    assert local.cells(local.limit - 2, 4) == (local.limit - 1) + 3 * local.limit


def test_attention_of_each_kind() -> None:
    (latent,) = attention_layers(shape("deepseek-v2-lite"))
    assert latent.latent
    assert latent.kv_heads == 1
    assert latent.cell_bytes("f16", "f16") == latent.count * 2 * latent.key_dim  # values are a part of the keys
    (dense,) = attention_layers(shape("llama3.1-8b"))
    assert dense.cell_bytes("f16", "f16") == 32 * 8 * 256 * 2
    assert dense.cell_bytes("q8_0", "q8_0") == pytest.approx(32 * 8 * 256 * 8.5 / 8)
    (full,) = attention_layers(shape("qwen3.5-9b"))
    assert full.count == 8  # every fourth of 32; the others keep a state
    assert state_bytes(shape("qwen3.5-9b")) > 0 == state_bytes(shape("llama3.1-8b"))


def test_operations_count_what_a_graph_has() -> None:
    assert operations(shape("llama3.1-70b")) > 2 * operations(shape("llama3.1-8b")) > 1000
    assert operations(shape("qwen3-30b-a3b")) / 48 > operations(shape("qwen3-8b")) / 36  # routing is more work to start


def test_a_text_that_is_seen_at_once_attends_to_all_of_itself() -> None:
    encoder = catalog_spec("bert-base-uncased", "F16")
    amounts = [term.amount for term in prompt_terms(encoder, 100, 0) if "prompt_mac_s" in term.powers]
    assert amounts == [12 * 12 * 128 * 100 * 100]


def test_experts_that_are_touched_grow_with_the_batch_but_not_beyond_all() -> None:
    spec = model("qwen3-30b-a3b")

    def expert_bytes(sequences: int) -> float:
        return sum(term.amount for term in decode_terms(spec, sequences, 0, 1) if "expert_read" in term.powers)

    all_of_them = sum(group.size_bytes for group in spec.body_groups if group.experts)
    assert expert_bytes(1) == pytest.approx(all_of_them * 8 / 128)
    assert expert_bytes(1) < expert_bytes(8) < expert_bytes(64) <= all_of_them


def test_sizes_of_batches_lie_between_knots() -> None:
    assert batch_powers(1, False) == {"batch_1": 1.0}
    assert batch_powers(512, True) == {}
    assert batch_powers(9, True) == {"batch_9": 1.0, "expert_batch_9": 1.0}
    between = batch_powers(6, False)
    assert set(between) == {"batch_4", "batch_8"}
    for tokens in range(1, 300):
        shares = batch_powers(tokens, False)
        assert sum(shares.values()) <= 1 + 1e-12
        assert all(share >= 0 for share in shares.values())
    assert set(BATCH_KNOTS) <= {int(name.split("_")[-1]) for name in USUAL if "batch_" in name}


def test_a_part_of_the_layers_costs_its_share() -> None:
    spec = model("llama3.1-8b")
    whole = {id(term): term for term in decode_terms(spec, 1, 100, 10)}
    half = decode_terms(spec, 1, 100, 10, Conditions(share=0.5))
    weights = [term.amount for term in half if any(name.startswith(("read_", "compute_", "vector_")) for name in term.powers)]
    others = [term.amount for term in half if not any(name.startswith(("read_", "compute_", "vector_")) for name in term.powers)]
    full = [
        term.amount for term in whole.values() if not any(name.startswith(("read_", "compute_", "vector_")) for name in term.powers)
    ]
    assert weights
    assert others == pytest.approx([amount / 2 for amount in full])


def test_another_class_of_processor_is_refused() -> None:
    with pytest.raises(InputError, match="npu"):
        beliefs("npu", WEIGHT_TYPES, Belief(0, 1), Belief(0, 1))  # type: ignore[arg-type]
