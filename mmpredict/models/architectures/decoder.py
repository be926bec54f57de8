"""Decoders whose blocks are attention followed by a feed-forward, dense or of experts.

Source: llama.cpp ``src/models/*.cpp`` (``load_arch_tensors``) and ``conversion/*.py``, one row per architecture.
"""

from __future__ import annotations

from collections.abc import Iterator

from mmpredict.models.architectures.parts import (
    Named,
    Style,
    attention,
    draft,
    experts,
    feed_forward,
    head,
    in_block,
    norm,
    rope_tables,
)
from mmpredict.models.shape import Shape

_AROUND = ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")  # before and after each half of a block
_QWEN3 = Style(qk_norm="head")
_LAYER_NORMS = Style(norm_bias=True)

STYLES: dict[str, Style] = {
    "llama": Style(),
    "mistral3": Style(),
    "smollm3": Style(),
    "exaone": Style(),
    "internlm2": Style(),
    "granite": Style(),
    "granitemoe": Style(),
    "gemma": Style(),
    "arcee": Style(feed_forward="plain"),
    "qwen2": Style(qkv_bias=True),
    "qwen2vl": Style(qkv_bias=True),
    "qwen3": _QWEN3,
    "qwen3vl": _QWEN3,
    "qwen3moe": _QWEN3,
    "qwen3vlmoe": _QWEN3,
    "qwen2moe": Style(qkv_bias=True, shared_gate=True),
    "gemma2": Style(norms=_AROUND),
    "gemma3": Style(norms=_AROUND, qk_norm="head"),
    "gemma-embedding": Style(norms=_AROUND, qk_norm="head"),
    "phi2": Style(norms=("attn_norm",), norm_bias=True, qkv_bias=True, output_bias=True, feed_forward="plain",
                  feed_forward_bias=True, head_bias=True),
    "phi3": Style(fused_qkv=True, feed_forward="fused"),
    "glm4": Style(norms=_AROUND, feed_forward="fused"),
    "stablelm": _LAYER_NORMS,
    "starcoder2": Style(norm_bias=True, qkv_bias=True, output_bias=True, feed_forward="plain", feed_forward_bias=True),
    "nemotron": Style(norm_bias=True, feed_forward="plain"),
    "command-r": Style(norms=("attn_norm",)),
    "cohere2": Style(norms=("attn_norm",)),
    "olmo2": Style(norms=("post_attention_norm", "post_ffw_norm"), qk_norm="all"),
    "olmoe": Style(qk_norm="all"),
    "dots1": Style(qk_norm="head", expert_bias=True),
    "minimax-m2": Style(qk_norm="all", expert_bias=True),
    "glm4moe": Style(norms=("attn_norm", "post_attention_norm"), expert_bias=True),
    "llama4": Style(),
}  # fmt: skip
_PER_HEAD_NORM_LAYERS = 64  # from so many layers on, Command R normalises queries and keys, head by head


def decoder(shape: Shape) -> Iterator[Named]:
    """Tensors of a decoder in ``STYLES``."""
    style = STYLES[shape.architecture]
    if shape.architecture == "command-r" and shape.n_layers >= _PER_HEAD_NORM_LAYERS:
        style = Style(norms=style.norms, qk_norm="each")
    yield "token_embd.weight", (shape.n_embd, shape.n_vocab)
    yield from rope_tables(shape)
    for layer in range(shape.n_layers):
        yield from in_block(layer, _block(shape, layer, style))
    yield from head(shape, style)


def _block(shape: Shape, layer: int, style: Style) -> Iterator[Named]:
    for name in style.norms:
        yield from norm(name, shape.n_embd, style.norm_bias)
    yield from attention(shape, layer, style)
    if shape.has_experts(layer):
        yield from experts(shape, style)
    else:
        yield from feed_forward(shape, layer, style)
    if layer >= shape.n_layers - shape.n_draft_layers:
        yield from draft(shape)
