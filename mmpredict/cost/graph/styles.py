"""Decoders that differ only in details: GGUF architecture to style.

Each follows the file of that name in llama.cpp ``src/models``.
"""

from __future__ import annotations

from dataclasses import replace

from mmpredict.cost.graph.decoder import Style
from mmpredict.cost.graph.feed_forward import Routing

_NORMALIZED = Routing(normalized=True)
_BIASED = Routing(normalized=True, biased=True)
_LLAMA = Style(routing=_NORMALIZED)
_QWEN3 = Style(head_norm="rms", routing=_NORMALIZED)
_COHERE = Style(norm="layer", parallel="same norm")
_LAYER_NORMS = Style(norm="layer", gate="none")
_GPT = Style(norm="layer", gate="none", fused=True, turns="none")

_PLAIN = (
    "qwen2", "internlm2", "exaone", "seed_oss", "ernie4_5", "xverse", "gemma", "gemma2", "bitnet", "olmoe", "deepseek",
    "pangu-embedded", "nanbeige", "hunyuan-dense", "maincoder",
)  # fmt: skip

STYLES: dict[str, Style] = {
    **dict.fromkeys(_PLAIN, Style()),
    **dict.fromkeys(("llama", "mistral3", "granite", "granitemoe", "minicpm", "hunyuan-moe"), _LLAMA),
    **dict.fromkeys(("qwen3", "qwen3moe"), _QWEN3),
    **dict.fromkeys(("qwen3vl", "qwen3vlmoe"), replace(_QWEN3, positions=4, deepstack=3)),
    **dict.fromkeys(("stablelm", "orion", "olmo"), Style(norm="layer")),
    **dict.fromkeys(("starcoder2", "nemotron", "jais2"), _LAYER_NORMS),
    **dict.fromkeys(("gpt2", "starcoder"), replace(_GPT, learned_positions=True)),
    **dict.fromkeys(("arcee", "apertus"), Style(gate="none")),
    **dict.fromkeys(("hunyuan_vl", "paddleocr", "qwen2vl"), Style(positions=4)),
    "qwen2moe": Style(shared_gate="silu"),
    "gemma3": Style(head_norm="rms", scaled_rows=True),
    "phi2": replace(_LAYER_NORMS, parallel="same norm", sum_order="attended hidden residual"),
    "phi3": Style(fused=True, gate="joint", onto_residual="feed-forward"),
    "phimoe": Style(norm="layer", routing=_NORMALIZED, onto_residual="feed-forward"),
    "chatglm": Style(fused=True, gate="joint"),
    "glm4": Style(gate="joint"),
    "smollm3": Style(turns="not every fourth"),
    "command-r": _COHERE,
    "cohere2": replace(_COHERE, turns="local"),
    "falcon": replace(_GPT, turns="all", parallel="same norm", sum_order="hidden attended residual"),
    "gptneox": replace(_GPT, turns="all", parallel="own norm"),
    "codeshell": replace(_GPT, turns="all"),
    "dbrx": Style(norm="layer", fused=True, routing=_NORMALIZED),
    "olmo2": Style(before=False),
    "exaone4": Style(before=False, head_norm="rms", turns="local"),
    **dict.fromkeys(("minimax-m2", "glm4moe", "ernie4_5-moe"), Style(routing=_BIASED)),
    "dots1": Style(head_norm="rms", routing=_BIASED),
    "bailingmoe": Style(routing=_NORMALIZED),
    "bailingmoe2": Style(head_norm="rms", fused=True, routing=_BIASED),
    "hy_v3": Style(head_norm="rms", routing=_BIASED),
    "gpt-oss": Style(routing=Routing(late=True, down_bias=True), hidden_kept=True),
    "llama4": Style(turns="not every fourth", query_scaled=True, routing=Routing(before=True)),
}
