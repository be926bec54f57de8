"""Tensor lists: complete, in the shapes that llama.cpp's loader asks for, and as many weights as were published."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import pytest

from mmpredict.errors import UnknownNameError
from mmpredict.models.architectures import ARCHITECTURES, tensor_shapes
from mmpredict.models.catalog import CATALOG, shape
from mmpredict.models.shape import Experts, Recurrent, Shape

# Weights as Hugging Face counts them in the checkpoint ("Model size") or in the GGUF file, or as llama-bench prints them.
EXACT = {
    "smollm2-135m": 134_515_008,
    "smollm2-360m": 361_821_120,
    "smollm2-1.7b": 1_711_376_384,
    "tinyllama-1.1b": 1_100_048_384,
    "llama2-7b": 6_738_415_616,
    "llama2-13b": 13_015_864_320,
    "llama2-70b": 68_976_648_192,
    "llama3-8b": 8_030_261_248,
    "llama3-70b": 70_553_706_496,
    "llama3.2-1b": 1_235_814_432,
    "codellama-7b": 6_738_546_688,
    "mistral-7b-v0.1": 7_241_732_096,
    "mistral-7b": 7_248_023_552,
    "mistral-nemo": 12_247_782_400,
    "mistral-small-24b": 23_572_403_200,
    "mistral-large-123b": 122_610_069_504,
    "mixtral-8x7b": 46_702_792_704,
    "mixtral-8x22b": 140_630_071_296,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-3b": 3_085_938_688,
    "qwen2.5-7b": 7_615_616_512,
    "qwen2.5-14b": 14_770_033_664,
    "qwen2.5-32b": 32_763_876_352,
    "qwen2.5-72b": 72_706_203_648,
    "deepseek-r1-distill-qwen-1.5b": 1_777_088_000,
    "qwen3-0.6b": 596_049_920,
    "qwen3-4b": 4_022_468_096,
    "qwen3-8b": 8_190_735_360,
    "qwen3-14b": 14_768_307_200,
    "qwen3-32b": 32_762_123_264,
    "qwen3-30b-a3b": 30_532_122_624,
    "qwen3-235b-a22b": 235_093_634_560,
    "qwen3.5-0.8b": 752_393_024,
    "gemma-2b": 2_506_172_416,
    "gemma-7b": 8_537_680_896,
    "gemma2-2b": 2_614_341_888,
    "gemma2-9b": 9_241_705_984,
    "gemma2-27b": 27_227_128_320,
    "gemma3-270m": 268_098_176,
    "gemma3-1b": 999_885_952,
    "phi-2": 2_779_683_840,
    "phi3-mini": 3_821_079_552,
    "phi3.5-mini": 3_821_079_648,
    "phi3-medium": 13_960_238_080,
    "phi4": 14_659_507_200,
    "phi4-mini": 3_836_021_856,
    "gpt-oss-20b": 20_914_757_184,
    "lfm2-350m": 354_483_968,
    "lfm2-1.2b": 1_170_340_608,
    "olmo2-7b": 7_298_617_344,
    "olmoe-1b-7b": 6_919_161_856,
    "starcoder2-3b": 3_030_371_328,
    "starcoder2-15b": 15_957_889_024,
    "solar-10.7b": 10_731_524_096,
    "t5-small": 60_506_624,
    "t5-base": 222_903_552,
    "vit-base-patch16-224": 86_567_656,
    "clip-vit-base-patch32": 151_277_313,
    "clip-vit-large-patch14": 427_616_513,
    "nomic-embed-text": 136_731_648,
    "nomic-embed-text-v2-moe": 475_288_320,
    "whisper-tiny": 37_760_640,
}
# The checkpoint's count with what the converter leaves out: BERT's pooler, a matrix and its bias.
WITH_POOLER = {"bert-base-uncased": 109_482_240, "all-minilm-l6-v2": 22_713_216, "mxbai-embed-large": 335_141_888}
# In billions, as llama-bench prints them (github.com/apellegr/Strix-Halo-Models, github.com/kyuz0/amd-strix-halo-toolboxes,
# github.com/jfdg01/jetson) or as the model's card gives them.
BILLIONS = {
    "deepseek-v2-lite": "15.706",
    "deepseek-v3": "671.026",
    "glm-4.7-flash": "29.943",
    "glm-4.5-air": "110.47",
    "llama3.3-70b": "70.554",
    "llama4-scout": "107.77",
    "command-r-plus-104b": "103.811",
    "codellama-70b": "68.977",
    "minimax-m2.5": "228.69",
    "devstral-2-123b": "125.03",
    "dots.llm1": "142.774",
    "qwen3-coder-next": "79.67",
    "qwen3.5-2b": "1.88",
    "qwen3.5-4b": "4.21",
    "qwen3.5-9b": "8.95",
    "qwen3.5-35b-a3b": "34.661",
    "qwen3.5-122b-a10b": "122.112",
    "qwen3.5-122b-a10b-mtp": "124.635",
    "qwen3.6-27b-mtp": "27.321",
    "qwen3.6-35b-a3b-mtp": "35.505",
    "gemma3-4b": "3.88",
    "gemma4-26b-a4b": "25.233",
    "gemma4-31b": "30.70",
    "gemma4-e4b": "7.52",
    "gpt-oss-120b": "116.829",
    "nemotron-nano-9b-v2": "8.89",
    "nemotron-nano-30b-a3b": "31.58",
    "granite3.3-8b": "8.17",
    "kimi-k2": "1026.41",
}


def weights(model: Shape) -> int:
    return sum(prod(extents) for _, extents in tensor_shapes(model))


@pytest.mark.parametrize(("name", "published"), EXACT.items())
def test_weights_are_as_many_as_published(name: str, published: int) -> None:
    assert weights(shape(name)) == published


@pytest.mark.parametrize(("name", "published"), WITH_POOLER.items())
def test_weights_of_bert_are_as_published_but_for_the_pooler(name: str, published: int) -> None:
    model = shape(name)
    assert weights(model) + model.n_embd**2 + model.n_embd == published


@pytest.mark.parametrize(("name", "published"), BILLIONS.items())
def test_weights_are_as_many_billions_as_published(name: str, published: str) -> None:
    decimals = len(published.partition(".")[2])
    assert f"{weights(shape(name)) / 1e9:.{decimals}f}" == published


def test_every_model_has_every_tensor_once() -> None:
    for name, model in CATALOG.items():
        tensors = tensor_shapes(model)
        assert len({tensor for tensor, _ in tensors}) == len(tensors), name
        assert all(1 <= len(extents) <= 4 and min(extents) > 0 for _, extents in tensors), name
        assert {int(tensor.split(".")[1]) for tensor, _ in tensors if tensor.startswith("blk.")} <= set(range(model.n_layers))


def test_every_architecture_is_covered() -> None:
    known = {model.architecture for model in CATALOG.values()}
    assert set(ARCHITECTURES) - known == {"exaone", "internlm2", "arcee", "granitemoe", "granitehybrid", "lfm2moe"}  # see below
    with pytest.raises(UnknownNameError, match=r"llama5.*did you mean llama"):
        tensor_shapes(replace(shape("llama3-8b"), architecture="llama5"))


def block(name: str, layer: int) -> dict[str, tuple[int, ...]]:
    prefix = f"blk.{layer}."
    return {tensor.removeprefix(prefix): extents for tensor, extents in tensor_shapes(shape(name)) if tensor.startswith(prefix)}


def test_block_of_gpt_oss() -> None:
    # llama.cpp src/models/openai-moe.cpp
    assert block("gpt-oss-20b", 23) == {
        "attn_norm.weight": (2880,),
        "post_attention_norm.weight": (2880,),
        "attn_q.weight": (2880, 4096),
        "attn_q.bias": (4096,),
        "attn_k.weight": (2880, 512),
        "attn_k.bias": (512,),
        "attn_v.weight": (2880, 512),
        "attn_v.bias": (512,),
        "attn_output.weight": (4096, 2880),
        "attn_output.bias": (2880,),
        "attn_sinks.weight": (64,),
        "ffn_gate_inp.weight": (2880, 32),
        "ffn_gate_inp.bias": (32,),
        "ffn_gate_exps.weight": (2880, 2880, 32),
        "ffn_gate_exps.bias": (2880, 32),
        "ffn_up_exps.weight": (2880, 2880, 32),
        "ffn_up_exps.bias": (2880, 32),
        "ffn_down_exps.weight": (2880, 2880, 32),
        "ffn_down_exps.bias": (2880, 32),
    }


def test_block_of_deepseek() -> None:
    # llama.cpp src/models/deepseek2.cpp: layers before the first with experts are dense
    assert {name for name in block("deepseek-v3", 2) if "ffn" in name} == {
        *("ffn_norm.weight", "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight")
    }
    experts = block("deepseek-v3", 3)
    assert experts["attn_kv_a_mqa.weight"] == (7168, 576)
    assert experts["attn_k_b.weight"] == (128, 512, 128)
    assert experts["attn_v_b.weight"] == (512, 128, 128)
    assert experts["exp_probs_b.bias"] == (256,)
    assert experts["ffn_down_exps.weight"] == (2048, 7168, 256)
    assert "exp_probs_b.bias" not in block("deepseek-v2-lite", 3)
    assert "attn_q.weight" in block("deepseek-v2-lite", 3)


def test_draft_layer_is_the_last() -> None:
    assert {name for name in block("glm-4.5-air", 46) if "nextn" in name} == {
        *("nextn.eh_proj.weight", "nextn.enorm.weight", "nextn.hnorm.weight", "nextn.shared_head_norm.weight"),
        *("nextn.embed_tokens.weight", "nextn.shared_head_head.weight"),
    }
    assert not any("nextn" in name for name in block("glm-4.5-air", 45))
    drafting = block("qwen3.6-35b-a3b-mtp", 40)
    assert drafting["nextn.eh_proj.weight"] == (4096, 2048)
    assert "attn_q.weight" in drafting
    assert "ssm_out.weight" not in drafting
    assert "nextn.embed_tokens.weight" not in drafting


def test_hybrid_blocks() -> None:
    # llama.cpp src/models/nemotron-h.cpp, qwen35.cpp
    mixer = block("nemotron-nano-9b-v2", 0)
    assert mixer["ssm_in.weight"] == (4480, 2 * 10240 + 2 * 8 * 128 + 128)
    assert mixer["ssm_norm.weight"] == (1280, 8)
    assert set(block("nemotron-nano-9b-v2", 1)) == {"attn_norm.weight", "ffn_up.weight", "ffn_down.weight"}
    net = block("qwen3.5-27b", 0)
    assert net["attn_qkv.weight"] == (5120, 10240)
    assert net["ssm_conv1d.weight"] == (4, 10240)
    assert block("qwen3.5-27b", 3)["attn_q.weight"] == (5120, 2 * 24 * 256)


def test_tied_output_and_rope_tables() -> None:
    names = {name: dict(tensor_shapes(shape(name))) for name in ("llama3.2-1b", "llama3.1-8b", "phi3-mini", "phi4-mini")}
    assert "output.weight" not in names["llama3.2-1b"]
    assert names["llama3.1-8b"]["rope_freqs.weight"] == (64,)
    assert "rope_factors_long.weight" not in names["phi3-mini"]
    assert names["phi4-mini"]["rope_factors_short.weight"] == (48,)
    assert names["phi4-mini"]["blk.0.attn_qkv.weight"] == (3072, (24 + 2 * 8) * 128)


def test_architectures_that_no_row_has() -> None:
    plain = shape("llama3-8b")
    assert weights(replace(plain, architecture="exaone")) == weights(replace(plain, architecture="internlm2")) == weights(plain)
    no_gate = plain.n_embd * plain.ff(0) * plain.n_layers
    assert weights(replace(plain, architecture="arcee")) == weights(plain) - no_gate
    state = Recurrent((True, False), conv=4, inner=128, state=16, groups=1, heads=4)
    tiny = replace(plain, architecture="granitehybrid", n_layers=2, n_embd=64, recurrent=state)
    assert {"blk.0.ssm_in.weight", "blk.1.attn_q.weight", "blk.0.ffn_gate.weight"} <= set(dict(tensor_shapes(tiny)))
    experts = replace(tiny, architecture="lfm2moe", experts=Experts(total=4, used=2, n_ff=32, leading_dense=1))
    listed = dict(tensor_shapes(experts))
    assert listed["blk.1.ffn_up_exps.weight"] == (64, 32, 4)
    assert listed["blk.0.shortconv.in_proj.weight"] == (64, 192)
    shared = replace(experts, architecture="granitemoe", experts=Experts(4, 2, n_ff=32, shared=1, n_ff_shared=48))
    assert dict(tensor_shapes(shared))["blk.0.ffn_down_shexp.weight"] == (48, 64)
