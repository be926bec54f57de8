"""Text encoders and encoder–decoders."""

from __future__ import annotations

from dataclasses import replace

from mmpredict.errors import InputError
from mmpredict.models.families.fields import MAX_EXPERTS, Fields
from mmpredict.models.shape import Experts, Kind, Shape, Signal

_NOMIC_POSITIONS = {8192: 2048, 2048: 512}  # asked for, trained: llama.cpp conversion/bert.py
_T5_POSITIONS = 512
_MLP_FACTOR = 4


def _encoder(fields: Fields, architecture: str, kind: Kind, n_ff: int, context_length: int) -> Shape:
    n_embd, n_heads = fields.width("hidden_size", "n_embd"), fields.width("num_attention_heads", "n_head")
    if n_embd % n_heads:
        raise InputError(f"{fields.where}: hidden_size {n_embd} is not a multiple of num_attention_heads {n_heads}")
    return Shape(
        name="",
        architecture=architecture,
        n_layers=fields.layers("num_hidden_layers", "n_layer"),
        n_embd=n_embd,
        n_vocab=fields.tokens("vocab_size"),
        context_length=context_length,
        n_heads=n_heads,
        n_kv_heads=n_heads,
        key_dim=n_embd // n_heads,
        value_dim=n_embd // n_heads,
        n_ff=n_ff,
        kind=kind,
        n_token_types=fields.width("type_vocab_size", default=0),
    )


def bert(root: Fields, draft: bool | None) -> Shape:
    """BERT; RoBERTa's positions begin after the padding's, which the converter cuts off."""
    positions = root.tokens("max_position_embeddings")
    if root.text("model_type") in ("roberta", "xlm-roberta"):
        positions -= 1 + root.count("pad_token_id", low=0, high=positions - 2, default=1)
    return _encoder(root, "bert", "text-embedding", root.width("intermediate_size"), positions)


def nomic_bert(root: Fields, draft: bool | None) -> Shape:
    """Nomic BERT, dense or with experts in every other layer."""
    positions = root.tokens("n_positions")
    shape = _encoder(root, "nomic-bert", "text-embedding", root.width("n_inner"), _NOMIC_POSITIONS.get(positions, positions))
    every = root.layers("moe_every_n_layers", default=0)
    if not every:
        return shape
    total = root.count("num_experts", high=MAX_EXPERTS)
    options = Experts(
        total=total,
        used=root.count("moe_top_k", high=total),
        n_ff=root.width("n_inner"),
        layers=tuple(layer % every == 1 for layer in range(shape.n_layers)),
    )
    return replace(shape, architecture="nomic-bert-moe", experts=options)


def t5(root: Fields, draft: bool | None) -> Shape:
    """T5, with or without a gate in the feed-forward (version 1.1, FLAN)."""
    layers = root.layers("num_layers")
    head_dim = root.width("d_kv")
    return Shape(
        name="",
        architecture="t5",
        n_layers=layers,
        n_decoder_layers=root.layers("num_decoder_layers", default=layers),
        n_embd=root.width("d_model"),
        n_vocab=root.tokens("vocab_size"),
        context_length=root.tokens("n_positions", default=_T5_POSITIONS),
        n_heads=root.width("num_heads"),
        n_kv_heads=root.width("num_heads"),
        key_dim=head_dim,
        value_dim=head_dim,
        n_ff=root.width("d_ff"),
        tied=root.flag("tie_word_embeddings", True),
        kind="encoder-decoder",
        n_buckets=root.width("relative_attention_num_buckets", default=32),
        parts=("gate",) if root.text("feed_forward_proj").startswith("gated") else (),
    )


def whisper(root: Fields, draft: bool | None) -> Shape:
    """Whisper."""
    n_embd, n_heads = root.width("d_model"), root.width("encoder_attention_heads")
    if n_embd % n_heads:
        raise InputError(f"{root.where}: d_model {n_embd} is not a multiple of encoder_attention_heads {n_heads}")
    return Shape(
        name="",
        architecture="whisper",
        n_layers=root.layers("encoder_layers"),
        n_decoder_layers=root.layers("decoder_layers"),
        n_embd=n_embd,
        n_vocab=root.tokens("vocab_size"),
        context_length=root.tokens("max_target_positions", default=448),
        n_heads=n_heads,
        n_kv_heads=n_heads,
        key_dim=n_embd // n_heads,
        value_dim=n_embd // n_heads,
        n_ff=_MLP_FACTOR * n_embd,
        tied=True,
        kind="audio",
        signal=Signal(size=root.tokens("max_source_positions", default=1500), channels=root.width("num_mel_bins", default=80)),
    )
