"""Decoders: what every family says of itself, and what sets one apart, as steps that refine a plain decoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mmpredict.errors import InputError
from mmpredict.models.families.fields import MAX_EXPERTS, MAX_LAYERS, MAX_WIDTH, Fields
from mmpredict.models.shape import Experts, Latent, Shape, Window, local_layers

Refine = Callable[[Fields, Shape], Shape]
INNER = ("text_config", "llm_config", "language_config")  # the language model of a multimodal one
_ROTARY_BASE = 10000.0
_MAX_ROTARY_BASE = 1e12
_LEAST_ROTARY = 1e-3  # share of a head that carries the position
_GEMMA3_TOKENS = 262144  # the converter cuts rows off that belong to no token
_GEMMA_PERIOD = 6


@dataclass(frozen=True, slots=True)
class Decoder:
    """How a family of decoders is read.

    Attributes:
        architecture: its name in GGUF.
        defaults: what its configuration class sets when a file leaves a key out.
        refine: what sets it apart, one step after another.
        draft: whether the converter keeps layers that only draft tokens ahead.
    """

    architecture: str
    defaults: Mapping[str, Any]
    refine: tuple[Refine, ...] = ()
    draft: bool = False

    def __call__(self, root: Fields, draft: bool | None) -> Shape:
        """Read the hyperparameters; nameless, without a source."""
        inner = root.section(*INNER)
        fields = (inner.over(root) if inner is not None else root).over(self.defaults)
        blocks = fields.get("layers_block_type")
        if isinstance(blocks, (list, tuple)):  # the converter takes their number for the number of layers
            fields = fields.over({"num_hidden_layers": len(blocks)})
        shape = plain(fields, self.architecture)
        if self.draft if draft is None else draft:
            room = MAX_LAYERS - shape.n_layers
            layers = fields.count("num_nextn_predict_layers", "mtp_num_hidden_layers", low=0, high=room, default=0)
            shape = replace(shape, n_layers=shape.n_layers + layers, n_draft_layers=layers)
        for step in self.refine:
            shape = step(fields, shape)
        return shape


def plain(fields: Fields, architecture: str) -> Shape:
    """What every decoder says of itself."""
    n_embd = fields.width("hidden_size", "n_embd", "d_model")
    n_heads = fields.width("num_attention_heads", "n_head")
    n_kv_heads = fields.count("num_key_value_heads", high=n_heads, default=n_heads)
    if n_heads % n_kv_heads:
        raise InputError(f"{fields.where}: num_attention_heads {n_heads} is not a multiple of num_key_value_heads {n_kv_heads}")
    head_dim = fields.width("kv_lora_rank", "head_dim", "attention_head_dim", default=0)  # with latent attention, see there
    if not head_dim and n_embd % n_heads:
        raise InputError(f"{fields.where}: hidden_size {n_embd} is not a multiple of num_attention_heads {n_heads}")
    head_dim = head_dim or n_embd // n_heads
    rope = _rope(fields)
    fraction = rope.number("partial_rotary_factor", low=_LEAST_ROTARY, high=1.0, default=1.0)
    return Shape(
        name="",
        architecture=architecture,
        n_layers=fields.layers("num_hidden_layers", "n_layer", "num_layers"),
        n_embd=n_embd,
        n_vocab=fields.tokens("vocab_size"),
        context_length=fields.tokens("max_position_embeddings", "n_positions"),
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        key_dim=head_dim,
        value_dim=head_dim,
        n_ff=fields.count("intermediate_size", "n_inner", low=0, high=MAX_WIDTH),
        tied=fields.flag("tie_word_embeddings", False),
        rope_base=rope.number("rope_theta", low=1.0, high=_MAX_ROTARY_BASE, default=_ROTARY_BASE),
        rope_dim=int(head_dim * fraction) if fraction < 1 else 0,
        parts=_scaled_rope(rope),
    )


def _rope(fields: Fields) -> Fields:
    """Values of the rotary encoding: beside the others, in an object of their own, or in one per kind of layer."""
    inner = fields.section("rope_parameters", "rope_scaling")
    if inner is None:
        return fields
    return (inner.section("full_attention") or inner).over(
        {key: fields.get(key) for key in ("rope_theta", "partial_rotary_factor")}
    )


def _scaled_rope(rope: Fields) -> tuple[str, ...]:
    if rope.get("rope_type", "type") == "llama3":
        return ("rope_freqs",)
    return ("rope_factors",) if rope.get("long_factor") else ()


def part(name: str, key: str) -> Refine:
    """The optional tensors ``name`` where the flag ``key`` is set."""

    def refine(fields: Fields, shape: Shape) -> Shape:
        return replace(shape, parts=(*shape.parts, name)) if fields.flag(key, False) else shape

    return refine


def window(period: int, key: str = "sliding_window") -> Refine:
    """Sliding windows; every ``period``-th layer has none, unless ``layer_types`` says otherwise."""

    def refine(fields: Fields, shape: Shape) -> Shape:
        tokens = fields.tokens(key, default=0)
        kinds = fields.names("layer_types", shape.n_layers)
        pattern = fields.layers("sliding_window_pattern", "_sliding_window_pattern", default=period)
        local = tuple(kind != "full_attention" for kind in kinds) or local_layers(shape.n_layers, pattern)
        return replace(shape, window=Window(tokens, local)) if tokens and any(local) else shape

    return refine


def experts(*total: str, shared: str = "", width: str = "moe_intermediate_size") -> Refine:
    """A mixture of ``total`` experts; shared ones are together as wide as ``shared`` says, or as their number says."""

    def refine(fields: Fields, shape: Shape) -> Shape:
        number = fields.count(*total, high=MAX_EXPERTS, low=0, default=0)
        if not number:
            return shape
        n_ff = fields.width(width)
        n_shared = fields.count("n_shared_experts", low=0, high=MAX_EXPERTS, default=0)
        n_ff_shared = fields.width(shared, default=0) if shared else n_shared * n_ff
        options = Experts(
            total=number,
            used=fields.count("num_experts_per_tok", "top_k_experts", "experts_per_token", high=number),
            n_ff=n_ff,
            shared=n_shared or int(n_ff_shared > 0),
            n_ff_shared=n_ff_shared,
            leading_dense=fields.count("first_k_dense_replace", "num_dense_layers", low=0, high=shape.n_layers, default=0),
            every=fields.count("decoder_sparse_step", "interleave_moe_layer_step", high=MAX_LAYERS, default=1),
        )
        return replace(shape, experts=options)

    return refine


def latent(fields: Fields, shape: Shape) -> Shape:
    """Latent attention, which the converter turns into one key and value head as wide as the compressed vector."""
    rope_dim = fields.width("qk_rope_head_dim")
    options = Latent(
        q_rank=fields.width("q_lora_rank", default=0),
        kv_rank=fields.width("kv_lora_rank"),
        rope_dim=rope_dim,
        key_dim=fields.width("qk_nope_head_dim") + rope_dim,
        value_dim=fields.width("v_head_dim"),
    )
    bias = ("expert_bias",) if fields.text("topk_method") == "noaux_tc" else ()
    return replace(
        shape,
        latent=options,
        n_kv_heads=1,
        key_dim=options.kv_rank + rope_dim,
        value_dim=options.kv_rank,
        rope_dim=rope_dim,
        parts=(*shape.parts, *bias),
    )


def draft_embedding(fields: Fields, shape: Shape) -> Shape:
    """GLM 4.5's draft layer brings an embedding and an output matrix of its own."""
    return replace(shape, parts=(*shape.parts, "draft_embedding")) if shape.n_draft_layers else shape


def gemma3(fields: Fields, shape: Shape) -> Shape:
    """Rows of the embedding table beyond the tokenizer's tokens are cut off."""
    return replace(shape, n_vocab=min(shape.n_vocab, _GEMMA3_TOKENS), kind="text-generation")


def llama4(fields: Fields, shape: Shape) -> Shape:
    """Dense layers are wider than experts; one shared expert is as wide as each of the others."""
    options = shape.experts
    if options is None:
        raise InputError(f"{fields.where} has no num_local_experts; Llama 4 without experts is not known")
    wide = fields.width("intermediate_size_mlp")
    return replace(shape, n_ff=wide, experts=replace(options, shared=1, n_ff_shared=options.n_ff))


def gemma4(fields: Fields, shape: Shape) -> Shape:
    """Global layers have wider and fewer heads; small models have embeddings per layer, and layers that share a cache."""
    kinds = fields.names("layer_types", shape.n_layers)
    local = tuple(kind == "sliding_attention" for kind in kinds) or local_layers(shape.n_layers, _GEMMA_PERIOD)
    wide = fields.width("global_head_dim", default=shape.key_dim)
    n_local = fields.width("num_key_value_heads")
    n_global = fields.width("num_global_key_value_heads", default=n_local)
    n_shared = fields.count("num_kv_shared_layers", low=0, high=shape.n_layers, default=0)
    n_ff = fields.width("intermediate_size")
    doubled = fields.flag("use_double_wide_mlp", False)
    owners = shape.n_layers - n_shared  # the layers after these use, and cache, keys and values of theirs
    kv_heads = tuple((n_local if local[layer] else n_global) if layer < owners else 0 for layer in range(shape.n_layers))
    widths = tuple(2 * n_ff if layer >= owners else n_ff for layer in range(shape.n_layers))
    return replace(
        shape,
        key_dim=wide,
        value_dim=wide,
        n_kv_heads=kv_heads if len(set(kv_heads)) > 1 else n_local,
        n_ff=widths if doubled else n_ff,
        window=Window(fields.tokens("sliding_window"), local, key_dim=shape.key_dim, value_dim=shape.value_dim),
        experts=shape.experts if fields.flag("enable_moe_block", False) else None,
        n_embd_per_layer=fields.width("hidden_size_per_layer_input", default=0),
        parts=("rope_freqs", "shared_kv") if fields.flag("attention_k_eq_v", False) else ("rope_freqs",),
        rope_dim=0,
    )
