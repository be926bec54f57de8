"""Families of models by Hugging Face's ``model_type``: how the ``config.json`` of each is read.

Values that a file leaves out are those of the transformers library's configuration class (``src/transformers/models/*``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from mmpredict.models.families import decoders, encoders, hybrids, vision
from mmpredict.models.families.decoders import Decoder, Refine, experts, part, window
from mmpredict.models.families.fields import Fields
from mmpredict.models.shape import Shape

__all__ = ["FAMILIES"]


def _row(architecture: str, *refine: Refine, draft: bool = False, defaults: Mapping[str, Any] = MappingProxyType({})) -> Decoder:
    return Decoder(architecture, defaults, refine, draft)


_BIASES = (part("qkv_bias", "attention_bias"), part("output_bias", "attention_bias"))
_TIED = {"tie_word_embeddings": True}
_GEMMA2 = {**_TIED, "sliding_window": 4096}
_GEMMA3 = {
    **_TIED,
    "vocab_size": 262208,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "max_position_embeddings": 131072,
    "rope_theta": 1e6,
    "sliding_window": 4096,
}
_LFM2 = {**_TIED, "intermediate_size": 0}  # theirs is block_ff_dim
_QWEN_VL = {"max_position_embeddings": 128000}
_MIXTRAL = experts("num_local_experts", width="intermediate_size")
_QWEN3_MOE = experts("num_experts")
_QWEN_MOE = experts("num_experts", shared="shared_expert_intermediate_size")
_ROUTED = experts("n_routed_experts")
_GRANITE_MOE = experts("num_local_experts", shared="shared_intermediate_size", width="intermediate_size")
_DEEPSEEK = _row("deepseek2", _ROUTED, decoders.latent)
_GEMMA3_ROW = _row("gemma3", decoders.gemma3, window(6), defaults=_GEMMA3)
_GEMMA4_ROW = _row("gemma4", experts("num_experts"), decoders.gemma4, defaults=_TIED)
_LLAMA4_ROW = _row(
    "llama4", experts("num_local_experts", width="intermediate_size"), decoders.llama4, window(4, "attention_chunk_size")
)
_QWEN25_VL = _row("qwen2vl", defaults=_QWEN_VL)
_QWEN3_VL = _row("qwen3vl", defaults=_QWEN_VL)
_QWEN3_VL_MOE = _row("qwen3vlmoe", _QWEN3_MOE, defaults=_QWEN_VL)
_QWEN35 = _row("qwen35", hybrids.qwen_linear, draft=True)
_QWEN35_MOE = _row("qwen35moe", _QWEN_MOE, hybrids.qwen_linear, draft=True, defaults={"intermediate_size": 0})

FAMILIES: dict[str, Callable[[Fields, bool | None], Shape]] = {
    "llama": _row("llama", *_BIASES),
    "mistral": _row("llama"),
    "mixtral": _row("llama", _MIXTRAL),
    "ministral3": _row("mistral3"),
    "smollm3": _row("smollm3", defaults=_TIED),
    "granite": _row("granite", *_BIASES),
    "granitemoe": _row("granitemoe", _MIXTRAL),
    "granitemoeshared": _row("granitemoe", _GRANITE_MOE),
    "granitemoehybrid": _row("granitehybrid", _GRANITE_MOE, hybrids.granite_hybrid),
    "arcee": _row("arcee"),
    "gemma": _row("gemma", defaults=_TIED),
    "gemma2": _row("gemma2", window(2), defaults=_GEMMA2),
    "gemma3": _GEMMA3_ROW,
    "gemma3_text": _GEMMA3_ROW,
    "gemma4": _GEMMA4_ROW,
    "gemma4_text": _GEMMA4_ROW,
    "qwen2": _row("qwen2"),
    "qwen2_5_vl": _QWEN25_VL,
    "qwen2_5_vl_text": _QWEN25_VL,
    "qwen2_moe": _row("qwen2moe", _QWEN_MOE),
    "qwen3": _row("qwen3", *_BIASES),
    "qwen3_moe": _row("qwen3moe", _QWEN3_MOE),
    "qwen3_vl": _QWEN3_VL,
    "qwen3_vl_text": _QWEN3_VL,
    "qwen3_vl_moe": _QWEN3_VL_MOE,
    "qwen3_vl_moe_text": _QWEN3_VL_MOE,
    "qwen3_next": _row("qwen3next", _QWEN_MOE, hybrids.qwen_linear),
    "qwen3_5": _QWEN35,
    "qwen3_5_text": _QWEN35,
    "qwen3_5_moe": _QWEN35_MOE,
    "qwen3_5_moe_text": _QWEN35_MOE,
    "phi": _row("phi2", defaults={"partial_rotary_factor": 0.5}),
    "phi3": _row("phi3"),
    "glm4": _row("glm4", part("qkv_bias", "attention_bias"), defaults={"partial_rotary_factor": 0.5}),
    "glm4_moe": _row(
        "glm4moe",
        part("qkv_bias", "attention_bias"),
        part("qk_norm", "use_qk_norm"),
        _ROUTED,
        decoders.draft_embedding,
        draft=True,
        defaults={"partial_rotary_factor": 0.5},
    ),
    "glm4_moe_lite": _DEEPSEEK,
    "deepseek_v2": _DEEPSEEK,
    "deepseek_v3": _DEEPSEEK,
    "kimi_k2": _DEEPSEEK,
    "dots1": _row("dots1", _ROUTED),
    "minimax_m2": _row("minimax-m2", _MIXTRAL),
    "stablelm": _row("stablelm", part("qkv_bias", "use_qkv_bias"), defaults={"partial_rotary_factor": 0.25}),
    "starcoder2": _row("starcoder2", defaults=_TIED),
    "nemotron": _row("nemotron", defaults={"partial_rotary_factor": 0.5}),
    "nemotron_h": _row("nemotron_h", hybrids.nemotron_h),
    "cohere": _row("command-r", defaults=_TIED),
    "cohere2": _row("cohere2", window(4), defaults=_TIED),
    "olmo2": _row("olmo2"),
    "olmo3": _row("olmo2", window(4)),
    "olmoe": _row("olmoe", experts("num_experts", width="intermediate_size")),
    "llama4": _LLAMA4_ROW,
    "llama4_text": _LLAMA4_ROW,
    "gpt_oss": _row(
        "gpt-oss", experts("num_local_experts", width="intermediate_size"), window(2), defaults={"sliding_window": 128}
    ),
    "lfm2": _row("lfm2", hybrids.lfm2, defaults=_LFM2),
    "lfm2_moe": _row("lfm2moe", experts("num_experts"), hybrids.lfm2, defaults=_LFM2),
    "bert": encoders.bert,
    "roberta": encoders.bert,
    "xlm-roberta": encoders.bert,
    "nomic_bert": encoders.nomic_bert,
    "t5": encoders.t5,
    "mt5": encoders.t5,
    "whisper": encoders.whisper,
    "clip": vision.clip,
    "vit": vision.vit,
}
