"""GGUF metadata and hyperparameters, in both directions.

Rules: llama.cpp ``src/llama-model.cpp`` (``load_hparams``), ``src/models/*.cpp`` (``load_arch_hparams``), and for what converters
write ``conversion/*.py``. Metadata is not to be trusted; a shape is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmpredict.errors import FileFormatError, InputError
from mmpredict.models.metadata.engine_keys import engine_keys
from mmpredict.models.metadata.expert_keys import read_experts, write_experts
from mmpredict.models.metadata.keys import MAX_LAYERS, Keys, LongArray, Value
from mmpredict.models.metadata.optional_parts import optional_parts
from mmpredict.models.metadata.projector_keys import read_projector, write_projector
from mmpredict.models.metadata.recurrence import RECURRENT, Layout, read_recurrent, write_recurrent
from mmpredict.models.metadata.windows import read_window, write_window
from mmpredict.models.shape import Kind, Latent, PerLayer, Shape, at_layer, largest
from mmpredict.models.spec import EMBEDDING, OUTPUT, Tensor

__all__ = ["LongArray", "Value", "metadata_of", "shape_from_metadata"]

ARCHITECTURE = "general.architecture"
TOKENS, TOKEN_TYPES = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type_count"
# Ollama's own converter names some architectures its own way (fs/ggml, model/models).
ALIASES = {"gptoss": "gpt-oss", "qwen25vl": "qwen2vl", "nemotron_h_omni": "nemotron_h_moe"}
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
TEXT_ENCODERS = (
    "bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "modern-bert", "neo-bert", "eurobert",
    "gemma-embedding", "gemma-embedding2", "t5encoder",
)  # fmt: skip
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(TEXT_ENCODERS, "text-embedding"),
    "t5": "encoder-decoder",
    **dict.fromkeys(("qwen2vl", "qwen3vl", "qwen3vlmoe", "mllama", "cogvlm", "chameleon", "hunyuan_vl"), "multimodal"),
}
# Hyperparameters that are one number: attribute, key, value where the file lacks it (None: it must not).
_NUMBERS = (
    ("n_embd", "embedding_length", None),
    ("context_length", "context_length", None),
    ("n_draft_layers", "nextn_predict_layers", 0),
    ("n_buckets", "attention.relative_buckets_count", 0),
    ("n_embd_per_layer", "embedding_length_per_layer_input", 0),
)
_ROPE_DIM, _DECOMPRESSED = "rope.dimension_count", ("attention.key_length_mla", "attention.value_length_mla")
_LATENT = (
    ("q_rank", "attention.q_lora_rank"),
    ("kv_rank", "attention.kv_lora_rank"),
    ("rope_dim", _ROPE_DIM),
    ("key_dim", _DECOMPRESSED[0]),
    ("value_dim", _DECOMPRESSED[1]),
)
_HEADS, _KV_HEADS, _FEED_FORWARD = "attention.head_count", "attention.head_count_kv", "feed_forward_length"
_KEY_DIM, _VALUE_DIM, _ROPE_BASE = "attention.key_length", "attention.value_length", "rope.freq_base"
_SHARED_KV = "attention.shared_kv_layers"
_GEMMA3N_OWN_KV = 20  # layers of Gemma 3n that have keys and values of their own (src/models/gemma3n.cpp)


def shape_from_metadata(
    metadata: Mapping[str, Value], tensors: Sequence[Tensor], name: str, source: str, complain_about: str = ""
) -> Shape:
    """The hyperparameters that a model's metadata and tensors say it has.

    Args:
        metadata: keys and values as in a GGUF file; a missing tensor list may be made up for by ``vocab_size``.
        tensors: all tensors; may be empty when only metadata is known.
        name: short name of the model.
        source: where the metadata comes from.
        complain_about: what complaints call the model; ``name`` by default.

    Raises:
        FileFormatError: a key is missing, or holds something impossible.
    """
    label = complain_about or name
    written = metadata.get(ARCHITECTURE, "")
    if not isinstance(written, str) or not _NAME.fullmatch(written):
        raise FileFormatError(
            f"{label} cannot be used as a model: its key {ARCHITECTURE!r} is {f'{written!r:.80}' if written else 'missing'}"
        )
    keys, architecture = Keys(metadata, written, label), ALIASES.get(written, written)
    if architecture == "clip":
        return read_projector(metadata, label, name, source)
    layout = _layout(keys, architecture)
    numbers: dict[str, Any] = {attribute: keys.number(key, default) for attribute, key, default in _NUMBERS}
    tensor_names = {tensor.name for tensor in tensors}
    value_dim = keys.number(_VALUE_DIM, layout.key_dim)
    recurrent = read_recurrent(keys, architecture, layout)
    shape = Shape(
        name=name,
        architecture=architecture,
        n_layers=layout.n_layers,
        n_vocab=_n_vocab(keys, tensors),
        n_heads=layout.n_heads,
        n_kv_heads=layout.n_kv_heads,
        key_dim=layout.key_dim,
        value_dim=value_dim,
        n_ff=layout.n_ff,
        tied=bool(tensors) and OUTPUT not in tensor_names and architecture not in TEXT_ENCODERS,
        kind=_kind(keys, architecture),
        window=read_window(keys, architecture, layout.n_layers, layout.n_draft_layers, recurrent.layers if recurrent else ()),
        latent=_latent(keys),
        recurrent=recurrent,
        n_decoder_layers=keys.number("decoder_block_count", layout.n_layers, most=MAX_LAYERS) if architecture == "t5" else 0,
        rope_base=keys.real(_ROPE_BASE, 10000.0),
        rope_dim=_partial_rope(keys, layout.key_dim),
        source=source,
        parts=optional_parts(architecture, tensor_names),
        n_token_types=_n_token_types(keys, tensors),
        **numbers,
    )
    return replace(shape, experts=read_experts(keys, shape, tensors))


def metadata_of(shape: Shape) -> dict[str, Value]:
    """The keys of a GGUF file from which llama.cpp, and ``shape_from_metadata``, would get these hyperparameters; no vocabulary.

    Raises:
        InputError: the model has no GGUF form.
    """
    if shape.architecture == "whisper":
        raise InputError(f"{shape.name} is a file of whisper.cpp, which is not GGUF")
    if shape.architecture == "clip":
        return {ARCHITECTURE: "clip"} | write_projector(shape)
    found: dict[str, Value] = {"block_count": shape.n_layers, _HEADS: shape.n_heads, _FEED_FORWARD: shape.n_ff}
    found |= {key: getattr(shape, attribute) for attribute, key, default in _NUMBERS if default != getattr(shape, attribute)}
    found |= _lent_kv(shape) | {_KEY_DIM: shape.key_dim, _VALUE_DIM: shape.value_dim}
    found |= {_ROPE_BASE: shape.rope_base, _ROPE_DIM: shape.rope_dim or shape.key_dim}
    if shape.n_decoder_layers:
        found["decoder_block_count"] = shape.n_decoder_layers
    if (latent := shape.latent) is not None:
        found |= {key: getattr(latent, attribute) for attribute, key in _LATENT if getattr(latent, attribute)}
    found |= write_experts(shape) | write_recurrent(shape) | write_window(shape)
    found |= {key: value for key, value in engine_keys(shape).items() if key not in found}
    top: dict[str, Value] = {ARCHITECTURE: shape.architecture}
    if shape.n_token_types:
        top[TOKEN_TYPES] = shape.n_token_types
    return top | {f"{shape.architecture}.{key}": value for key, value in found.items()}


def _layout(keys: Keys, architecture: str) -> Layout:
    """What else follows from the numbers of layers, heads and widths."""
    n_layers = keys.number("block_count", least=1, most=MAX_LAYERS)
    n_embd = keys.number("embedding_length", least=1)
    needed = 0 if architecture in RECURRENT else 1
    n_heads = keys.per_layer(_HEADS, n_layers, None if needed else 0, least=needed)
    n_kv_heads = _own_kv(keys, architecture, n_layers, keys.per_layer(_KV_HEADS, n_layers, n_heads))
    heads = at_layer(n_heads, 0) or largest(n_heads)
    key_dim = keys.number(_KEY_DIM, n_embd // heads if heads else 0, least=min(1, heads))
    dense = architecture in RECURRENT or "expert_feed_forward_length" in keys
    n_ff = keys.per_layer(_FEED_FORWARD, n_layers, 0 if dense else None)
    n_draft_layers = keys.number("nextn_predict_layers", 0, most=n_layers)
    return Layout(n_layers, n_draft_layers, n_embd, n_heads, n_kv_heads, key_dim, n_ff)


def _own_kv(keys: Keys, architecture: str, n_layers: int, n_kv_heads: PerLayer) -> PerLayer:
    """Heads of keys and values without those of the last layers of Gemma 3n and 4, which use those of earlier ones."""
    own = n_layers
    if architecture == "gemma3n":
        own = _GEMMA3N_OWN_KV
    elif architecture == "gemma4":
        own = n_layers - keys.number(_SHARED_KV, 0, most=n_layers)
    if own >= n_layers:
        return n_kv_heads
    return tuple(at_layer(n_kv_heads, layer) if layer < own else 0 for layer in range(n_layers))


def _lent_kv(shape: Shape) -> dict[str, Value]:
    """The keys from which ``_own_kv`` would get the heads: layers without their own have as many as those they borrow from."""
    heads = shape.n_kv_heads
    if shape.architecture not in ("gemma3n", "gemma4") or not isinstance(heads, tuple) or heads[-1]:
        return {_KV_HEADS: heads}
    own = max(layer for layer in range(shape.n_layers) if heads[layer]) + 1
    lender = {shape.is_local(layer): heads[layer] for layer in range(own)}
    filled = (*heads[:own], *(lender.get(shape.is_local(layer), heads[own - 1]) for layer in range(own, shape.n_layers)))
    return {_KV_HEADS: filled if len(set(filled)) > 1 else filled[0], _SHARED_KV: shape.n_layers - own}


def _latent(keys: Keys) -> Latent | None:
    """Latent attention; files from before April 2025 lack the keys, and llama.cpp keeps whole heads for them."""
    if any(key not in keys for key in _DECOMPRESSED):
        return None
    return Latent(**{attribute: keys.number(key, 0 if attribute in ("q_rank", "rope_dim") else None) for attribute, key in _LATENT})


def _partial_rope(keys: Keys, key_dim: int) -> int:
    rope_dim = keys.number(_ROPE_DIM, key_dim)
    return 0 if rope_dim == key_dim else rope_dim


def _n_vocab(keys: Keys, tensors: Sequence[Tensor]) -> int:
    """Rows of the embedding table: of the tensor, or, without tensors, as the metadata says."""
    table = next((tensor.shape for tensor in tensors if tensor.name == EMBEDDING), ())
    if len(table) == 2:
        return table[1]
    if tensors:
        raise keys.unusable("it has no embedding table (is it a vocabulary, an adapter or a projector?)")
    tokens = keys.metadata.get(TOKENS)
    listed = tokens.length if isinstance(tokens, LongArray) else len(tokens) if isinstance(tokens, tuple) else 0
    return keys.number("vocab_size", listed)


def _n_token_types(keys: Keys, tensors: Sequence[Tensor]) -> int:
    return next((tensor.shape[1] for tensor in tensors if tensor.name == "token_types.weight" and len(tensor.shape) == 2), 0)


def _kind(keys: Keys, architecture: str) -> Kind:
    pooling, causal = (keys.metadata.get(keys.full(key)) for key in ("pooling_type", "attention.causal"))
    return "text-embedding" if pooling or causal is False else _KINDS.get(architecture, "text-generation")
