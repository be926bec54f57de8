"""The hyperparameters of a model: everything that its tensors, its cache and its work follow from.

The words are those of GGUF metadata (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). Where layers differ, a value
is a tuple with one entry per layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PerLayer = int | tuple[int, ...]
Kind = Literal["text-generation", "text-embedding", "encoder-decoder", "vision", "audio", "multimodal"]


@dataclass(frozen=True, slots=True)
class Window:
    """Sliding-window (or chunked) attention.

    Attributes:
        tokens: how far a local layer sees [tokens].
        local: which layers are local, one entry per layer.
        key_dim, value_dim: head sizes of the local layers where they differ; 0 when they do not [1].
    """

    tokens: int
    local: tuple[bool, ...]
    key_dim: int = 0
    value_dim: int = 0


@dataclass(frozen=True, slots=True)
class Latent:
    """Multi-head latent attention (DeepSeek): keys and values are kept as one compressed vector.

    Attributes:
        q_rank: width of the compressed query; 0 when queries are not compressed [1].
        kv_rank: width of the compressed keys and values [1].
        rope_dim: part of a head that carries the position [1].
        key_dim, value_dim: head sizes after decompression [1].
    """

    q_rank: int
    kv_rank: int
    rope_dim: int
    key_dim: int
    value_dim: int


@dataclass(frozen=True, slots=True)
class Experts:
    """Mixture of experts.

    Attributes:
        total, used: experts of a layer, and how many of them one token passes [1].
        n_ff: width of one expert [1].
        shared: experts that every token passes besides [1].
        n_ff_shared: width of all shared experts together [1].
        leading_dense: first layers without experts [1].
        every: every ``every``-th layer has experts (Llama 4) [1].
        layers: which layers have experts, one entry per layer, where ``leading_dense`` and ``every`` do not say it.
        latent: width into which the hidden state is projected for the experts; 0 when it is not (Nemotron 3 Super) [1].
    """

    total: int
    used: int
    n_ff: int
    shared: int = 0
    n_ff_shared: int = 0
    leading_dense: int = 0
    every: int = 1
    layers: tuple[bool, ...] = ()
    latent: int = 0


@dataclass(frozen=True, slots=True)
class Recurrent:
    """Layers that keep a state of fixed size instead of keys and values (Mamba 2, gated delta nets).

    Attributes:
        layers: which layers are recurrent, one entry per layer.
        conv, inner, state, groups, heads: as in GGUF's ``ssm.conv_kernel``, ``ssm.inner_size``, ``ssm.state_size``,
            ``ssm.group_count`` and ``ssm.time_step_rank`` [1].
    """

    layers: tuple[bool, ...]
    conv: int
    inner: int
    state: int
    groups: int
    heads: int


@dataclass(frozen=True, slots=True)
class Signal:
    """What an encoder of images or sound takes in and gives out.

    Attributes:
        size: edge of a square image [px], or frames of sound after the convolutions [1].
        patch: edge of a patch [px]; 0 for sound.
        channels: colours, or mel bins [1].
        projection: width of what is handed on; 0 when it is the encoder's own [1].
        classes: classes of a classifier's last matrix [1].
        merge: patches along an edge that the projector joins [1].
        hidden: width inside the projector; 0 when it has none of its own [1].
    """

    size: int
    patch: int = 0
    channels: int = 3
    projection: int = 0
    classes: int = 0
    merge: int = 1
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class Shape:
    """Hyperparameters of one model.

    Attributes:
        name: short name of the model (``qwen2.5-0.5b``).
        architecture: GGUF architecture (``llama``, ``qwen2``, ``gemma3``, ``gpt-oss``, ``bert``, ``clip``).
        n_layers: blocks, those of draft heads included; of an encoder–decoder, the encoder's [1].
        n_embd, n_vocab: width of the hidden state; rows of the embedding table (0 where there is none) [1].
        context_length: training context [tokens].
        n_heads, n_kv_heads: query heads, and heads of keys and values; 0 in a layer without attention [1].
        key_dim, value_dim: width of a head of keys and of values [1].
        n_ff: width of the dense feed-forward; 0 in a layer without one [1].
        tied: whether the embedding table is also the output matrix.
        kind: what the model is for.
        n_decoder_layers: decoder blocks of an encoder–decoder [1].
        n_draft_layers: last blocks that only draft tokens ahead (``nextn_predict_layers``) [1].
        rope_base: base of the rotary position encoding [1].
        source: where the values come from.
        rope_dim: part of a head that carries the position; 0 when all of it does [1].
        parts: optional tensors that this checkpoint has (``rope_freqs``, ``rope_factors``, ``qkv_bias``, ``output_bias``,
            ``qk_norm``, ``expert_bias``, ``draft_embedding``); which ones an architecture knows, ``models/architectures`` says.
        n_token_types: rows of the token type table (BERT) [1].
        n_buckets: relative position buckets (T5) [1].
        n_embd_per_layer: width of the embedding that every layer gets of its own (Gemma 4 E2B); 0 without [1].
        signal: of encoders of images and sound, what they take in.
        tower: a second stack beside this one (the text side of CLIP).
    """

    name: str
    architecture: str
    n_layers: int
    n_embd: int
    n_vocab: int
    context_length: int
    n_heads: PerLayer
    n_kv_heads: PerLayer
    key_dim: int
    value_dim: int
    n_ff: PerLayer
    tied: bool = False
    kind: Kind = "text-generation"
    window: Window | None = None
    latent: Latent | None = None
    experts: Experts | None = None
    recurrent: Recurrent | None = None
    n_decoder_layers: int = 0
    n_draft_layers: int = 0
    rope_base: float = 10000.0
    source: str = ""
    rope_dim: int = 0
    parts: tuple[str, ...] = ()
    n_token_types: int = 0
    n_buckets: int = 0
    n_embd_per_layer: int = 0
    signal: Signal | None = None
    tower: Shape | None = None

    @property
    def n_trunk_layers(self) -> int:
        """Blocks that every token passes: all but those that draft, decoder blocks included [1]."""
        return self.n_layers - self.n_draft_layers + self.n_decoder_layers

    def heads(self, layer: int) -> int:
        """Query heads of a layer [1]."""
        return at_layer(self.n_heads, layer)

    def kv_heads(self, layer: int) -> int:
        """Heads of keys and values of a layer [1]."""
        return at_layer(self.n_kv_heads, layer)

    def ff(self, layer: int) -> int:
        """Width of the dense feed-forward of a layer [1]."""
        return at_layer(self.n_ff, layer)

    def is_local(self, layer: int) -> bool:
        """Whether a layer's attention ends at the window."""
        return self.window is not None and self.window.local[layer]

    def is_recurrent(self, layer: int) -> bool:
        """Whether a layer keeps a state instead of keys and values."""
        return self.recurrent is not None and self.recurrent.layers[layer]

    def has_experts(self, layer: int) -> bool:
        """Whether a layer's feed-forward is a mixture of experts."""
        experts = self.experts
        if experts is None:
            return False
        if experts.layers:
            return experts.layers[layer]
        return layer >= experts.leading_dense and (layer + 1) % experts.every == 0


def at_layer(value: PerLayer, layer: int) -> int:
    """The value of one layer."""
    return value[layer] if isinstance(value, tuple) else value


def largest(value: PerLayer) -> int:
    """The largest of all layers."""
    return max(value) if isinstance(value, tuple) else value


def local_layers(n_layers: int, period: int, first_global: bool = False) -> tuple[bool, ...]:
    """Which layers are local when every ``period``-th is global (``set_swa_pattern`` in llama.cpp ``src/llama-hparams.cpp``).

    Args:
        n_layers: number of layers [1].
        period: 0 when all layers are local [1].
        first_global: whether a period begins, rather than ends, with its global layer.
    """
    if period == 0:
        return (True,) * n_layers
    return tuple(layer % period != (0 if first_global else period - 1) for layer in range(n_layers))
