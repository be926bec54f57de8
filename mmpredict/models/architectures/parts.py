"""Groups of tensors that many architectures share: names and shapes, without the block's prefix.

Names are those of llama.cpp ``gguf-py/gguf/constants.py``; a shape begins with the row length, as in GGUF.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from mmpredict.models.shape import Shape, largest

Named = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Style:
    """What the blocks of an architecture are made of; what only some of its checkpoints have is in ``Shape.parts``.

    Attributes:
        norms: norms of the hidden state in a block, by name.
        norm_bias: whether these norms, and the one before the output, have biases.
        qkv_bias, output_bias: whether the attention's matrices have biases.
        fused_qkv: whether queries, keys and values are one matrix.
        qk_norm: norms of queries and keys: none, over one head, over all heads together, or one per head.
        feed_forward: with a gate, without, or with gate and up in one matrix.
        feed_forward_bias: whether the dense feed-forward has biases.
        head_bias: whether the output matrix has a bias.
        expert_gate: whether experts have a gate.
        expert_bias: whether the router has a correction term per expert.
        shared_gate: whether the shared expert has a gate of its own.
    """

    norms: tuple[str, ...] = ("attn_norm", "ffn_norm")
    norm_bias: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    fused_qkv: bool = False
    qk_norm: Literal["", "head", "all", "each"] = ""
    feed_forward: Literal["gated", "plain", "fused"] = "gated"
    feed_forward_bias: bool = False
    head_bias: bool = False
    expert_gate: bool = True
    expert_bias: bool = False
    shared_gate: bool = False


def in_block(layer: int, tensors: Iterable[Named], prefix: str = "blk.") -> Iterator[Named]:
    """The tensors of one block under their full names."""
    for name, extents in tensors:
        yield f"{prefix}{layer}.{name}", extents


def norm(name: str, width: int, bias: bool = False) -> Iterator[Named]:
    """A norm's factors, and its biases where it has some."""
    yield f"{name}.weight", (width,)
    if bias:
        yield f"{name}.bias", (width,)


def linear(name: str, inputs: int, outputs: int, bias: bool = False) -> Iterator[Named]:
    """A matrix, and its bias where it has one."""
    yield f"{name}.weight", (inputs, outputs)
    if bias:
        yield f"{name}.bias", (outputs,)


def query_key_value(shape: Shape, layer: int, style: Style, gated: bool = False) -> Iterator[Named]:
    """The matrices before attention.

    Args:
        shape, layer: the model and the block.
        style: the architecture's.
        gated: whether every query head has a gate of its width besides (Qwen 3.5).
    """
    key_dim, value_dim = head_dims(shape, layer)
    queries = shape.heads(layer) * key_dim * (2 if gated else 1)
    kv_heads = file_kv_heads(shape, layer)
    keys, values = kv_heads * key_dim, kv_heads * value_dim
    bias = style.qkv_bias or "qkv_bias" in shape.parts
    if style.fused_qkv:
        yield from linear("attn_qkv", shape.n_embd, queries + keys + values, bias)
        return
    yield from linear("attn_q", shape.n_embd, queries, bias)
    yield from linear("attn_k", shape.n_embd, keys, bias)
    if "shared_kv" not in shape.parts or shape.is_local(layer):  # Gemma 4 takes the keys for values in its global layers
        yield from linear("attn_v", shape.n_embd, values, bias)


def attention(shape: Shape, layer: int, style: Style, gated: bool = False) -> Iterator[Named]:
    """All matrices of attention, and the norms of queries and keys."""
    key_dim, value_dim = head_dims(shape, layer)
    heads, kv_heads = shape.heads(layer), file_kv_heads(shape, layer)
    yield from query_key_value(shape, layer, style, gated)
    yield from linear("attn_output", heads * value_dim, shape.n_embd, style.output_bias or "output_bias" in shape.parts)
    kind = style.qk_norm or ("head" if "qk_norm" in shape.parts else "")
    if kind == "head":
        yield "attn_q_norm.weight", (key_dim,)
        yield "attn_k_norm.weight", (key_dim,)
    elif kind == "all":
        yield "attn_q_norm.weight", (heads * key_dim,)
        yield "attn_k_norm.weight", (kv_heads * key_dim,)
    elif kind == "each":
        yield "attn_q_norm.weight", (key_dim, heads)
        yield "attn_k_norm.weight", (key_dim, kv_heads)


def file_kv_heads(shape: Shape, layer: int) -> int:
    """Heads of keys and values that the file holds: layers that use another's cache have matrices all the same (Gemma 4) [1]."""
    return shape.kv_heads(layer) or largest(shape.n_kv_heads)


def head_dims(shape: Shape, layer: int) -> tuple[int, int]:
    """Width of a head of keys and of values in a layer [1]."""
    window = shape.window
    if window is not None and window.local[layer]:
        return window.key_dim or shape.key_dim, window.value_dim or shape.value_dim
    return shape.key_dim, shape.value_dim


def feed_forward(shape: Shape, layer: int, style: Style) -> Iterator[Named]:
    """The dense feed-forward of a block."""
    n_ff, bias = shape.ff(layer), style.feed_forward_bias
    if style.feed_forward == "gated":
        yield from linear("ffn_gate", shape.n_embd, n_ff, bias)
    yield from linear("ffn_up", shape.n_embd, 2 * n_ff if style.feed_forward == "fused" else n_ff, bias)
    yield from linear("ffn_down", n_ff, shape.n_embd, bias)


def experts(shape: Shape, style: Style) -> Iterator[Named]:
    """Router, experts and shared experts of a block.

    Experts of a layer are one tensor; a shared expert is named as such.
    """
    options = shape.experts
    assert options is not None, "asked of a layer with experts only"
    width = options.latent or shape.n_embd
    yield "ffn_gate_inp.weight", (shape.n_embd, options.total)
    if style.expert_bias or "expert_bias" in shape.parts:
        yield "exp_probs_b.bias", (options.total,)
    if options.latent:
        yield from linear("ffn_latent_down", shape.n_embd, width)
        yield from linear("ffn_latent_up", width, shape.n_embd)
    if style.expert_gate:
        yield "ffn_gate_exps.weight", (width, options.n_ff, options.total)
    yield "ffn_up_exps.weight", (width, options.n_ff, options.total)
    yield "ffn_down_exps.weight", (options.n_ff, width, options.total)
    if not options.n_ff_shared:
        return
    if style.shared_gate:
        yield "ffn_gate_inp_shexp.weight", (shape.n_embd,)
    if style.expert_gate:
        yield from linear("ffn_gate_shexp", shape.n_embd, options.n_ff_shared)
    yield from linear("ffn_up_shexp", shape.n_embd, options.n_ff_shared)
    yield from linear("ffn_down_shexp", options.n_ff_shared, shape.n_embd)


def draft(shape: Shape) -> Iterator[Named]:
    """What a block that drafts tokens ahead has besides (``nextn``)."""
    yield from linear("nextn.eh_proj", 2 * shape.n_embd, shape.n_embd)
    yield from norm("nextn.enorm", shape.n_embd)
    yield from norm("nextn.hnorm", shape.n_embd)
    if "draft_embedding" in shape.parts:
        yield from linear("nextn.embed_tokens", shape.n_embd, shape.n_vocab)
        yield from linear("nextn.shared_head_head", shape.n_embd, shape.n_vocab)
    yield from norm("nextn.shared_head_norm", shape.n_embd)


def head(shape: Shape, style: Style) -> Iterator[Named]:
    """What follows the blocks: the last norm and the output matrix, unless it is the embedding table."""
    yield from norm("output_norm", shape.n_embd, style.norm_bias)
    if not shape.tied:
        yield from linear("output", shape.n_embd, shape.n_vocab, style.head_bias)


def rope_tables(shape: Shape) -> Iterator[Named]:
    """Factors of the rotary position encoding, where the checkpoint scales it so that a number does not tell."""
    frequencies = (shape.rope_dim or shape.key_dim) // 2
    if "rope_freqs" in shape.parts:
        yield "rope_freqs.weight", (frequencies,)
    if "rope_factors" in shape.parts:
        yield "rope_factors_long.weight", (frequencies,)
        yield "rope_factors_short.weight", (frequencies,)
