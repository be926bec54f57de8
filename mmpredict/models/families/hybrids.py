"""Decoders in which most layers keep a state: which ones, and how large a state."""

from __future__ import annotations

from dataclasses import replace

from mmpredict.errors import InputError
from mmpredict.models.families.fields import Fields
from mmpredict.models.shape import Experts, Recurrent, Shape

_VOCABULARY_STEP = 8  # the converter rounds the vocabulary of Mamba hybrids up
_QWEN_PERIOD = 4
_NEMOTRON_BLOCKS = {"mamba": "M", "attention": "*", "mlp": "-", "moe": "E"}


def _mamba2(fields: Fields, layers: tuple[bool, ...], heads: int, head_dim: int) -> Recurrent:
    return Recurrent(
        layers=layers,
        conv=fields.width("conv_kernel", "mamba_d_conv"),
        inner=heads * head_dim,
        state=fields.width("ssm_state_size", "mamba_d_state"),
        groups=fields.width("n_groups", "mamba_n_groups"),
        heads=heads,
    )


def _rounded(tokens: int) -> int:
    return -(-tokens // _VOCABULARY_STEP) * _VOCABULARY_STEP


def nemotron_h(fields: Fields, shape: Shape) -> Shape:
    """Nemotron-H: a letter per block, ``M`` for Mamba 2, ``*`` for attention, ``-`` or ``E`` for a feed-forward."""
    trunk = shape.n_layers - shape.n_draft_layers
    pattern = fields.text("hybrid_override_pattern")
    pattern = pattern or "".join(_NEMOTRON_BLOCKS.get(kind, "?") for kind in fields.names("layers_block_type", trunk))
    if len(pattern) != trunk or set(pattern) - set("M*-E"):
        raise InputError(
            f"{fields.where}: hybrid_override_pattern has {len(pattern)} letters; allowed: {trunk} of M, *, - and E, one per layer"
        )
    pattern += "X" * shape.n_draft_layers  # attention and experts in one block
    mixers = tuple(letter == "M" for letter in pattern)
    kv_heads = fields.width("num_key_value_heads")
    changed = replace(
        shape,
        n_vocab=_rounded(shape.n_vocab),
        recurrent=_mamba2(fields, mixers, fields.width("mamba_num_heads"), fields.width("mamba_head_dim")),
        n_kv_heads=tuple(kv_heads if letter in "*X" else 0 for letter in pattern),
    )
    if "num_experts_per_tok" not in fields:
        n_ff = fields.width("intermediate_size")
        return replace(changed, n_ff=tuple(n_ff if letter == "-" else 0 for letter in pattern))
    total = fields.width("n_routed_experts")
    n_ff = fields.width("moe_intermediate_size")
    options = Experts(
        total=total,
        used=fields.count("num_experts_per_tok", high=total),
        n_ff=n_ff,
        shared=fields.width("n_shared_experts", default=0),
        n_ff_shared=fields.width("moe_shared_expert_intermediate_size", default=0),
        layers=tuple(letter in "EX" for letter in pattern),
        latent=fields.width("moe_latent_size", default=0),
    )
    widths = tuple(n_ff if letter in "EX" else 0 for letter in pattern)
    return replace(changed, architecture="nemotron_h_moe", n_ff=widths, experts=options)


def granite_hybrid(fields: Fields, shape: Shape) -> Shape:
    """Granite 4: Mamba 2 except where ``layer_types`` says ``attention``."""
    kinds = fields.names("layer_types", shape.n_layers)
    if not kinds:
        raise InputError(f"{fields.where} has no layer_types; they say which layers of a Granite 4 have attention")
    layers = tuple(kind != "attention" for kind in kinds)
    options = shape.experts
    if not any(layers):
        return replace(shape, architecture="granitemoe" if options else "granite")
    kv_heads = fields.width("num_key_value_heads")
    return replace(
        shape,
        n_vocab=_rounded(shape.n_vocab),
        n_ff=fields.width("intermediate_size") if options else fields.width("shared_intermediate_size", "intermediate_size"),
        n_kv_heads=tuple(0 if recurrent else kv_heads for recurrent in layers),
        recurrent=_mamba2(fields, layers, fields.width("mamba_n_heads"), fields.width("mamba_d_head")),
    )


def qwen_linear(fields: Fields, shape: Shape) -> Shape:
    """Qwen 3 Next, 3.5 and 3.6: gated delta nets, and attention in every fourth layer and in draft layers."""
    trunk = shape.n_layers - shape.n_draft_layers
    kinds = fields.names("layer_types", trunk)
    period = fields.layers("full_attention_interval", default=_QWEN_PERIOD)
    layers = tuple(kind == "linear_attention" for kind in kinds) or tuple((layer + 1) % period != 0 for layer in range(trunk))
    value_heads, state = fields.width("linear_num_value_heads"), fields.width("linear_key_head_dim")
    recurrent = Recurrent(
        layers=layers + (False,) * shape.n_draft_layers,
        conv=fields.width("linear_conv_kernel_dim"),
        inner=value_heads * fields.width("linear_value_head_dim"),
        state=state,
        groups=fields.width("linear_num_key_heads"),
        heads=value_heads,
    )
    return replace(shape, recurrent=recurrent)


def lfm2(fields: Fields, shape: Shape) -> Shape:
    """LFM 2: short convolutions, whose state is all that a layer keeps."""
    kinds = fields.names("layer_types", shape.n_layers)
    if not kinds:
        raise InputError(f"{fields.where} has no layer_types; they say which layers of an LFM 2 have attention")
    layers = tuple(kind == "conv" for kind in kinds)
    kv_heads = fields.width("num_key_value_heads")
    n_ff = fields.width("block_ff_dim", "intermediate_size")
    if fields.flag("block_auto_adjust_ff_dim", False):
        step = fields.width("block_multiple_of")
        n_ff = int(fields.number("block_ffn_dim_multiplier", low=0.01, high=100.0, default=1.0) * (2 * n_ff // 3))
        n_ff = -(-n_ff // step) * step
    return replace(
        shape,
        n_ff=n_ff,
        n_kv_heads=tuple(0 if recurrent else kv_heads for recurrent in layers),
        recurrent=Recurrent(layers, conv=fields.width("conv_L_cache"), inner=shape.n_embd, state=0, groups=0, heads=0),
    )
