"""gpt-oss and Gemma 4: mixtures of experts that need more than a row in ``decoder.STYLES``."""

from __future__ import annotations

from collections.abc import Iterator

from mmpredict.models.architectures.parts import Named, Style, attention, feed_forward, head, in_block, linear, norm, rope_tables
from mmpredict.models.shape import Shape

_BIASED = Style(qkv_bias=True, output_bias=True)
_NORMED = Style(qk_norm="head")


def gpt_oss(shape: Shape) -> Iterator[Named]:
    """gpt-oss: biases everywhere, attention sinks (llama.cpp ``src/models/openai-moe.cpp``)."""
    options = shape.experts
    assert options is not None, "gpt-oss is a mixture of experts"
    yield "token_embd.weight", (shape.n_embd, shape.n_vocab)
    for layer in range(shape.n_layers):
        yield from in_block(layer, _gpt_oss_block(shape, layer, options.total, options.n_ff))
    yield from head(shape, _BIASED)


def _gpt_oss_block(shape: Shape, layer: int, total: int, n_ff: int) -> Iterator[Named]:
    yield from norm("attn_norm", shape.n_embd)
    yield from norm("post_attention_norm", shape.n_embd)
    yield from attention(shape, layer, _BIASED)
    yield "attn_sinks.weight", (shape.heads(layer),)
    yield from linear("ffn_gate_inp", shape.n_embd, total, bias=True)
    for name, inputs, outputs in (
        ("ffn_gate_exps", shape.n_embd, n_ff),
        ("ffn_up_exps", shape.n_embd, n_ff),
        ("ffn_down_exps", n_ff, shape.n_embd),
    ):
        yield f"{name}.weight", (inputs, outputs, total)
        yield f"{name}.bias", (outputs, total)


def gemma4(shape: Shape) -> Iterator[Named]:
    """Gemma 4: heads of another size in local layers, optional experts beside the dense feed-forward, optional embeddings per
    layer (llama.cpp ``src/models/gemma4.cpp``)."""
    own = shape.n_embd_per_layer
    yield "token_embd.weight", (shape.n_embd, shape.n_vocab)
    if own:
        yield from linear("per_layer_token_embd", own * shape.n_layers, shape.n_vocab)
        yield from linear("per_layer_model_proj", shape.n_embd, own * shape.n_layers)
        yield from norm("per_layer_proj_norm", own)
    yield from rope_tables(shape)
    for layer in range(shape.n_layers):
        yield from in_block(layer, _gemma4_block(shape, layer))
    yield from head(shape, _NORMED)


def _gemma4_block(shape: Shape, layer: int) -> Iterator[Named]:
    n_embd, own, options = shape.n_embd, shape.n_embd_per_layer, shape.experts
    yield from norm("attn_norm", n_embd)
    yield from attention(shape, layer, _NORMED)
    yield from norm("post_attention_norm", n_embd)
    yield from norm("ffn_norm", n_embd)
    yield from feed_forward(shape, layer, _NORMED)
    yield from norm("post_ffw_norm", n_embd)
    if options is not None:
        yield from linear("ffn_gate_inp", n_embd, options.total)
        yield "ffn_gate_inp.scale", (n_embd,)
        yield from norm("pre_ffw_norm_2", n_embd)
        yield from norm("post_ffw_norm_1", n_embd)
        yield from norm("post_ffw_norm_2", n_embd)
        yield "ffn_gate_up_exps.weight", (n_embd, 2 * options.n_ff, options.total)
        yield "ffn_down_exps.weight", (options.n_ff, n_embd, options.total)
        yield "ffn_down_exps.scale", (options.total,)
    if own:
        yield from linear("inp_gate", n_embd, own)
        yield from linear("proj", own, n_embd)
        yield from norm("post_norm", n_embd)
    yield "layer_output_scale.weight", (1,)
