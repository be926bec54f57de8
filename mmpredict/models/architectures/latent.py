"""DeepSeek's latent attention, as the converter has written it since April 2025: keys and values decompressed by two matrices.

Source: llama.cpp ``src/models/deepseek2.cpp``, ``conversion/deepseek.py``.
"""

from __future__ import annotations

from collections.abc import Iterator

from mmpredict.models.architectures.parts import Named, Style, experts, feed_forward, head, in_block, linear, norm
from mmpredict.models.shape import Shape

_STYLE = Style()


def deepseek2(shape: Shape) -> Iterator[Named]:
    """DeepSeek V2, V3 and R1, GLM 4.7 Flash, Kimi K2."""
    yield "token_embd.weight", (shape.n_embd, shape.n_vocab)
    for layer in range(shape.n_layers):
        yield from in_block(layer, _block(shape, layer))
    yield from head(shape, _STYLE)


def _block(shape: Shape, layer: int) -> Iterator[Named]:
    latent, heads = shape.latent, shape.heads(layer)
    assert latent is not None, "deepseek2 has latent attention"
    yield from norm("attn_norm", shape.n_embd)
    if latent.q_rank:
        yield from norm("attn_q_a_norm", latent.q_rank)
        yield from linear("attn_q_a", shape.n_embd, latent.q_rank)
        yield from linear("attn_q_b", latent.q_rank, heads * latent.key_dim)
    else:
        yield from linear("attn_q", shape.n_embd, heads * latent.key_dim)
    yield from norm("attn_kv_a_norm", latent.kv_rank)
    yield from linear("attn_kv_a_mqa", shape.n_embd, latent.kv_rank + latent.rope_dim)
    yield "attn_k_b.weight", (latent.key_dim - latent.rope_dim, latent.kv_rank, heads)
    yield "attn_v_b.weight", (latent.kv_rank, latent.value_dim, heads)
    yield from linear("attn_output", heads * latent.value_dim, shape.n_embd)
    yield from norm("ffn_norm", shape.n_embd)
    if shape.has_experts(layer):
        yield from experts(shape, _STYLE)
    else:
        yield from feed_forward(shape, layer, _STYLE)
