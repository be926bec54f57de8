"""Text encoders: BERT and what descends from it.

Source: llama.cpp ``src/models/bert.cpp``, ``nomic-bert.cpp``, ``nomic-bert-moe.cpp``, ``conversion/bert.py`` (which leaves the
pooler and the heads of pre-training out).
"""

from __future__ import annotations

from collections.abc import Iterator

from mmpredict.models.architectures.parts import Named, in_block, linear, norm
from mmpredict.models.shape import Shape


def bert(shape: Shape) -> Iterator[Named]:
    """BERT, RoBERTa and XLM-R: learnt positions, biases everywhere."""
    yield from _embeddings(shape)
    yield "position_embd.weight", (shape.n_embd, shape.context_length)
    for layer in range(shape.n_layers):
        yield from in_block(layer, _bert_block(shape, layer))


def _embeddings(shape: Shape) -> Iterator[Named]:
    yield "token_embd.weight", (shape.n_embd, shape.n_vocab)
    if shape.n_token_types:
        yield "token_types.weight", (shape.n_embd, shape.n_token_types)
    yield from norm("token_embd_norm", shape.n_embd, bias=True)


def _bert_block(shape: Shape, layer: int) -> Iterator[Named]:
    n_embd, n_ff = shape.n_embd, shape.ff(layer)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        yield from linear(name, n_embd, n_embd, bias=True)
    yield from norm("attn_output_norm", n_embd, bias=True)
    yield from linear("ffn_up", n_embd, n_ff, bias=True)
    yield from linear("ffn_down", n_ff, n_embd, bias=True)
    yield from norm("layer_output_norm", n_embd, bias=True)


def nomic_bert(shape: Shape) -> Iterator[Named]:
    """Nomic BERT: rotary positions, one matrix for queries, keys and values, a gate; or experts in every other layer (v2)."""
    yield from _embeddings(shape)
    for layer in range(shape.n_layers):
        yield from in_block(layer, _nomic_block(shape, layer))


def _nomic_block(shape: Shape, layer: int) -> Iterator[Named]:
    n_embd, n_ff, options = shape.n_embd, shape.ff(layer), shape.experts
    biased = options is not None
    yield from linear("attn_qkv", n_embd, 3 * n_embd, biased)
    yield from linear("attn_output", n_embd, n_embd, biased)
    yield from norm("attn_output_norm", n_embd, bias=True)
    if options is not None and shape.has_experts(layer):
        yield from linear("ffn_gate_inp", n_embd, options.total)
        yield "ffn_up_exps.weight", (n_embd, options.n_ff, options.total)
        yield "ffn_down_exps.weight", (options.n_ff, n_embd, options.total)
    else:
        if options is None:
            yield from linear("ffn_gate", n_embd, n_ff)
        yield from linear("ffn_up", n_embd, n_ff, biased)
        yield from linear("ffn_down", n_ff, n_embd, biased)
    yield from norm("layer_output_norm", n_embd, bias=True)
