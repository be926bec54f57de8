"""Types of tensors against llama-quantize's own answers, and Ollama's rules."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpredict.errors import InputError, UnknownNameError
from mmpredict.models.quantization.mixture import FILE_TYPES, MixFacts, Rules, mix
from mmpredict.models.quantization.unquantized import converted_type, ollama_converted_type

DATA = Path(__file__).parent / "data"
KEPT = "="


def recorded(file: str) -> list[dict[str, Any]]:
    """Answers that ``benchmarks/oracle_mixture.py`` got from a real llama-quantize."""
    return [json.loads(line) for line in (DATA / file).read_text("utf-8").splitlines()]


def layers(text: str | None) -> list[int]:
    if text is None:
        return [0]
    return list(range(*map(int, text.split(":")))) if ":" in text else [int(layer) for layer in text.split(",")]


def tensors(answer: dict[str, Any]) -> list[list[tuple[str, tuple[int, ...]]]]:
    """Tensors of every row, a row being one kind of tensor in all its layers."""
    return [[(name.format(layer), tuple(shape)) for layer in layers(where)] for name, shape, where in answer["rows"]]


def run_lengths(text: str, count: int) -> list[str]:
    """``q6_k*4 q4_k*2`` as six types; a lone type stands for all."""
    words = [word.partition("*") for word in text.split()]
    return [kind for kind, _, number in words for _ in range(int(number) if number else count)]


def check(answer: dict[str, Any], rules: Rules) -> None:
    """Every file type of one answer."""
    rows = tensors(answer)
    listed = list(chain.from_iterable(rows))
    facts = MixFacts(**answer["facts"], source="f32")  # as the oracle's files were: what is kept is f32, and nothing else is
    wrong = {}
    for wanted, expected in answer["types"].items():
        if expected == "error":
            with pytest.raises(InputError, match="no type to fall back on"):
                mix(wanted, listed, facts, rules)
            continue
        theirs = [
            kind for row, text in zip(rows, expected, strict=True) for kind in run_lengths(text.replace(KEPT, "f32"), len(row))
        ]
        ours = mix(wanted, listed, facts, rules)
        assert [(tensor.name, tensor.shape) for tensor in ours] == listed
        for tensor, kind in zip(ours, theirs, strict=True):
            if tensor.type.name != kind:
                wrong[wanted, tensor.name] = (tensor.type.name, kind)
    assert not wrong, "(file type, tensor): (ours, llama-quantize's)"


NEWER = recorded("mixture_llama_cpp.jsonl")
OLDER = recorded("mixture_llama_cpp_2025.jsonl")
QUANTIZABLE = {name for name, kind in FILE_TYPES.items() if kind.weight is not None}


def test_oracle_is_whole() -> None:
    assert len(NEWER) >= 30
    assert all(set(answer["types"]) == QUANTIZABLE for answer in NEWER)
    assert any(answer["facts"]["imatrix"] for answer in NEWER)
    assert any("error" in answer["types"].values() for answer in NEWER)


@pytest.mark.parametrize("answer", NEWER, ids=lambda answer: answer["case"])
def test_types_are_those_of_llama_quantize(answer: dict[str, Any]) -> None:
    check(answer, "llama.cpp")


@pytest.mark.parametrize("older", OLDER, ids=lambda answer: answer["case"])
def test_types_are_those_of_llama_quantize_before_march_2026(older: dict[str, Any]) -> None:
    newer = next(answer for answer in NEWER if answer["case"] == older["case"])
    types = {name: row for name, row in newer["types"].items() if name not in ("Q1_0", "Q2_0")}
    check({**older, "types": {**types, **older["types"]}}, "llama.cpp-2025")


def case(name: str) -> tuple[list[tuple[str, tuple[int, ...]]], MixFacts]:
    answer = next(answer for answer in NEWER if answer["case"] == name)
    facts = {key: value for key, value in answer["facts"].items() if key != "imatrix"}
    return list(chain.from_iterable(tensors(answer))), MixFacts(**facts)


def types_of(name: str, wanted: str, rules: Rules = "llama.cpp", **changes: Any) -> dict[str, str]:
    listed, facts = case(name)
    return {tensor.name: tensor.type.name for tensor in mix(wanted, listed, replace(facts, **changes), rules)}


@given(st.sampled_from(["llama3-8b", "t5-small", "qwen2-moe"]), st.sampled_from(sorted(QUANTIZABLE)), st.randoms())
def test_order_of_the_file_does_not_matter(name: str, wanted: str, random: Random) -> None:
    listed, facts = case(name)
    expected = set(mix(wanted, listed, facts))
    random.shuffle(listed)
    assert set(mix(wanted, listed, facts)) == expected


def test_an_importance_matrix_is_taken_where_one_is_needed_only() -> None:
    assert types_of("llama2-7b", "IQ3_XXS") == types_of("llama2-7b", "IQ3_XXS", imatrix=True)
    assert types_of("llama2-7b", "IQ3_XXS") != types_of("llama2-7b", "IQ3_XXS", imatrix=False)
    assert types_of("llama2-7b", "IQ4_XS") == types_of("llama2-7b", "IQ4_XS", imatrix=False)
    assert types_of("llama2-7b", "IQ4_XS") != types_of("llama2-7b", "IQ4_XS", imatrix=True)


@pytest.mark.parametrize(
    ("wanted", "source", "relative_bias", "projection"),
    [("Q4_0", None, "f16", "q4_0"), ("Q4_0", "bf16", "bf16", "q4_0"), ("F16", None, "f16", "f16"), ("BF16", None, "bf16", "bf16")],
)
def test_matrices_that_are_kept_stay_as_the_converter_wrote_them(
    wanted: str, source: str | None, relative_bias: str, projection: str
) -> None:
    types = types_of("t5-small", wanted, source=source)
    assert types["enc.blk.0.attn_rel_b.weight"] == relative_bias
    assert types["enc.blk.0.attn_q.weight"] == projection
    assert types["enc.blk.0.ffn_norm.weight"] == "f32"


@pytest.mark.parametrize(
    ("name", "dimensions", "source", "expected"),
    [
        ("blk.7.ffn_gate_inp.weight", 2, "bf16", "f32"),
        ("blk.7.ffn_gate_inp_shexp.weight", 2, "bf16", "f32"),
        ("blk.7.ffn_gate.weight", 2, "bf16", "bf16"),
        ("blk.7.ssm_conv1d.weight", 2, "f16", "f32"),
        ("blk.7.ssm_conv1d_q.weight", 4, "f16", "f32"),
        ("blk.7.ssm_a", 2, "f16", "f32"),
        ("blk.7.ffn_down_exps.bias", 2, "f16", "f32"),
        ("blk.7.attn_q_norm.weight", 2, "f16", "f32"),
        ("blk.7.altup_router.weight", 2, "f16", "f16"),
        ("position_embd.weight", 2, "f16", "f32"),
        ("v.position_embd.weight", 2, "f16", "f32"),
        ("v.patch_embd.weight", 4, "f16", "f16"),
        ("v.patch_embd.weight", 4, "bf16", "f32"),
        ("output.weight", 1, "f16", "f32"),
    ],
)
def test_llama_cpp_converts(name: str, dimensions: int, source: str, expected: str) -> None:
    assert converted_type(name, dimensions, source) == expected


@pytest.mark.parametrize(
    ("name", "dimensions", "source", "expected"),
    [
        ("blk.7.attn_q.weight", 2, "bf16", "bf16"),
        ("blk.7.ffn_gate_inp.weight", 2, "bf16", "f32"),
        ("blk.7.ffn_gate_inp_shexp.weight", 2, "bf16", "f16"),
        ("v.blk.0.attn_q.weight", 2, "bf16", "f16"),
        ("mm.mm_input_projection.weight", 2, "bf16", "f16"),
        ("v.blk.0.attn_q.bias", 1, "bf16", "f32"),
        ("per_layer_token_embd.weight", 2, "f16", "f16"),
    ],
)
def test_ollama_converts(name: str, dimensions: int, source: str, expected: str) -> None:
    assert ollama_converted_type(name, dimensions, source) == expected


def test_ollama_agrees_with_llama_cpp_on_a_plain_model() -> None:
    for wanted in ("Q4_K_M", "Q4_K_S", "Q8_0", "F16"):
        assert types_of("llama3-8b", wanted, "ollama") == types_of("llama3-8b", wanted)


def test_ollama_widens_few_experts_and_fused_projections() -> None:
    types = types_of("mixtral-8x7b", "Q4_K_S", "ollama")
    assert [types[f"blk.9.attn_{part}.weight"] for part in ("q", "k", "v", "output")] == ["q4_k", "q8_0", "q8_0", "q5_k"]
    assert types["blk.3.ffn_down_exps.weight"] == "q5_k"
    assert types["blk.4.ffn_down_exps.weight"] == "q4_k"
    fused = types_of("phi3-mini", "Q4_K_M", "ollama")
    assert {fused[f"blk.{layer}.attn_qkv.weight"] for layer in range(32)} == {"q5_k"}


@pytest.mark.parametrize(
    "name",
    [
        "position_embd.weight",
        "token_types.weight",
        "blk.0.ssm_conv1d.weight",
        "blk.0.shortconv.conv.weight",
        "blk.0.time_mix_decay_w1.weight",
        "blk.0.time_mix_lerp_fused.weight",
        "blk.0.ffn_gate_inp_shexp.weight",
        "enc.blk.0.attn_rel_b.weight",
        "blk.0.attn_q.lora",
    ],
)
def test_ollama_leaves_small_matrices_alone(name: str) -> None:
    (tensor,) = mix("Q8_0", [(name, (256, 256))], MixFacts("llama", 32, 32, 8), "ollama")
    assert tensor.type.name in ("f16", "f32")


def test_ollama_knows_no_70b() -> None:
    theirs, ours = types_of("llama3-70b", "Q4_K_M"), types_of("llama3-70b", "Q4_K_M", "ollama")
    assert {name.split(".")[2] for name in theirs if theirs[name] != ours[name]} == {"attn_v"}
    assert Counter(ours[name] for name in ours if "attn_v" in name) == {"q4_k": 40, "q6_k": 40}


def test_ollama_counts_matrices_where_llama_cpp_counts_layers() -> None:
    # 24 layers with two ffn_down each: after 21 of them, llama.cpp's last eighth has begun for Ollama, for good
    types = types_of("qwen2-moe", "Q4_K_M", "ollama")
    down = [types[f"blk.{layer}.ffn_down_{kind}.weight"] for layer in range(24) for kind in ("exps", "shexp")]
    assert set(down[21:]) == {"q6_k"}
    assert down[:9] == ["q6_k", "q6_k", "q6_k", "q4_k", "q4_k", "q6_k", "q4_k", "q4_k", "q6_k"]


def test_ollama_widens_latent_attention() -> None:
    types = types_of("deepseek-v2-lite", "Q4_K_M", "ollama")
    assert {types[f"blk.3.attn_{part}.weight"] for part in ("kv_a_mqa", "k_b", "v_b")} == {"q8_0"}
    assert types["blk.3.attn_output.weight"] == "q4_k"


def test_ollama_has_a_table_for_linear_attention() -> None:
    types = types_of("qwen3-next", "Q4_K_S", "ollama")
    assert types["blk.3.attn_v.weight"] == types["blk.0.ffn_down_exps.weight"] == types["blk.40.ffn_down_shexp.weight"] == "q6_k"
    assert types["blk.0.attn_qkv.weight"] == types["blk.0.ssm_ba.weight"] == types["blk.40.ffn_up_exps.weight"] == "q4_k"


def test_ollama_leaves_images_and_embeddings_per_layer_alone() -> None:
    shapes = [("token_embd.weight", (256, 8)), ("v.blk.0.attn_q.weight", (256, 256)), ("mm.mm_input_projection.weight", (256, 256))]
    types = [tensor.type.name for tensor in mix("Q4_K_M", shapes, MixFacts("gemma3", 26, 4, 1, source="bf16"), "ollama")]
    assert types == ["q6_k", "f16", "f16"]
    assert types_of("gemma3n-e2b", "Q4_K_M", "ollama")["per_layer_token_embd.weight"] == "f16"


def test_ollama_keeps_all_but_the_experts_of_gpt_oss() -> None:
    types = types_of("gpt-oss-20b", "mxfp4", "ollama", source="bf16")
    assert types["blk.0.ffn_down_exps.weight"] == "mxfp4"
    assert types["blk.0.attn_q.weight"] == types["output.weight"] == "bf16"
    assert types["blk.0.ffn_down_exps.bias"] == types["blk.0.ffn_gate_inp.weight"] == "f32"
    assert types_of("gpt-oss-20b", "mxfp4")["output.weight"] == "q8_0", "llama.cpp takes 8 bits for the rest"


def test_ollama_refuses_what_it_does_not_quantize_to() -> None:
    with pytest.raises(InputError, match=r"Ollama does not quantize to Q5_K_M, only to F32.*llama\.cpp-2025"):
        types_of("llama3-8b", "Q5_K_M", "ollama")


def test_unusable_input_is_refused() -> None:
    facts = MixFacts("llama", 32, 32, 8)
    with pytest.raises(UnknownNameError, match=r"unknown rule set 'olama'; did you mean ollama"):
        mix("Q8_0", [], facts, "olama")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="unknown type before quantization 'q8_0'"):
        mix("Q8_0", [], replace(facts, source="q8_0"))
    for shape in ((), (256, 0), (-1, 256)):
        with pytest.raises(InputError, match="every extent must be at least 1"):
            mix("Q8_0", [("blk.0.attn_q.weight", shape)], facts)
    for name in ("ffn_down_exps.weight", "blk.32.ffn_down_exps.weight"):
        with pytest.raises(InputError, match=r"must be called blk\.N"):
            mix("Q8_0", [(name, (256, 256, 8))], replace(facts, n_experts=8))
    with pytest.raises(InputError, match="file of type NVFP4"):
        mix("NVFP4", [], facts)
