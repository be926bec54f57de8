"""Encoder–decoders: T5 as GGUF, Whisper as whisper.cpp's own file.

Sources: llama.cpp ``src/models/t5.cpp``; whisper.cpp ``models/convert-pt-to-ggml.py`` and ``src/whisper.cpp``.
"""

from __future__ import annotations

from collections.abc import Iterator

from mmpredict.models.architectures.parts import Named, in_block, linear, norm
from mmpredict.models.shape import Shape

_MLP_FACTOR = 4  # of Whisper's feed-forward


def t5(shape: Shape) -> Iterator[Named]:
    """T5; only the first block of each half has a table of relative positions."""
    yield "token_embd.weight", (shape.n_embd, shape.n_vocab)
    for layer in range(shape.n_layers):
        yield from in_block(layer, _t5_block(shape, layer, ("attn",)), "enc.blk.")
    yield from norm("enc.output_norm", shape.n_embd)
    for layer in range(shape.n_decoder_layers):
        yield from in_block(layer, _t5_block(shape, layer, ("attn", "cross_attn")), "dec.blk.")
    yield from norm("dec.output_norm", shape.n_embd)
    if not shape.tied:
        yield from linear("output", shape.n_embd, shape.n_vocab)


def _t5_block(shape: Shape, layer: int, attentions: tuple[str, ...]) -> Iterator[Named]:
    heads = shape.heads(0)
    for attention in attentions:
        yield from norm(f"{attention}_norm", shape.n_embd)
        for name in ("q", "k"):
            yield from linear(f"{attention}_{name}", shape.n_embd, heads * shape.key_dim)
        yield from linear(f"{attention}_v", shape.n_embd, heads * shape.value_dim)
        yield from linear(f"{attention}_o", heads * shape.value_dim, shape.n_embd)
        if layer == 0 and attention == "attn":
            yield "attn_rel_b.weight", (heads, shape.n_buckets)
    yield from norm("ffn_norm", shape.n_embd)
    if "gate" in shape.parts:
        yield from linear("ffn_gate", shape.n_embd, shape.ff(0))
    yield from linear("ffn_up", shape.n_embd, shape.ff(0))
    yield from linear("ffn_down", shape.ff(0), shape.n_embd)


def whisper(shape: Shape) -> Iterator[Named]:
    """Whisper, under the names of its first publication."""
    n_embd, signal = shape.n_embd, shape.signal
    assert signal is not None, "whisper hears"
    yield "encoder.positional_embedding", (n_embd, signal.size)
    for number, channels in ((1, signal.channels), (2, n_embd)):
        yield f"encoder.conv{number}.weight", (3, channels, n_embd)
        yield f"encoder.conv{number}.bias", (1, n_embd)
    for layer in range(shape.n_layers):
        yield from in_block(layer, _whisper_block(n_embd, ("attn",)), "encoder.blocks.")
    yield from norm("encoder.ln_post", n_embd, bias=True)
    yield "decoder.positional_embedding", (n_embd, shape.context_length)
    yield "decoder.token_embedding.weight", (n_embd, shape.n_vocab)
    for layer in range(shape.n_decoder_layers):
        yield from in_block(layer, _whisper_block(n_embd, ("attn", "cross_attn")), "decoder.blocks.")
    yield from norm("decoder.ln", n_embd, bias=True)


def _whisper_block(n_embd: int, attentions: tuple[str, ...]) -> Iterator[Named]:
    for attention in attentions:
        for name, biased in (("query", True), ("key", False), ("value", True), ("out", True)):
            yield from linear(f"{attention}.{name}", n_embd, n_embd, biased)
        yield from norm(f"{attention}_ln", n_embd, bias=True)
    yield from linear("mlp.0", n_embd, _MLP_FACTOR * n_embd, bias=True)
    yield from linear("mlp.2", _MLP_FACTOR * n_embd, n_embd, bias=True)
    yield from norm("mlp_ln", n_embd, bias=True)
