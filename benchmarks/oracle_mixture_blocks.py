"""Tensor lists of the models that ``oracle_mixture.py`` asks about: real names, rows as narrow as they may be."""

from __future__ import annotations

WIDE = 512  # a row that every block divides
VOCABULARY = 1024

# name, or pattern with {} for the layer; shape, row length first; layers (None: not in a layer)
Row = tuple[str, tuple[int, ...], range | tuple[int, ...] | None]


def dense(n_layers: int, row: int = WIDE, ff: int = 2 * WIDE, first: int = 0) -> list[Row]:
    """The blocks of a llama."""
    layers = range(first, n_layers)
    return [
        ("blk.{}.attn_norm.weight", (row,), layers),
        *attention(layers, row),
        ("blk.{}.ffn_norm.weight", (row,), layers),
        ("blk.{}.ffn_gate.weight", (row, ff), layers),
        ("blk.{}.ffn_up.weight", (row, ff), layers),
        ("blk.{}.ffn_down.weight", (ff, row), layers),
    ]


def attention(layers: range | tuple[int, ...], row: int = WIDE) -> list[Row]:
    """Separate projections of attention."""
    return [
        ("blk.{}.attn_q.weight", (row, row), layers),
        ("blk.{}.attn_k.weight", (row, 64), layers),
        ("blk.{}.attn_v.weight", (row, 64), layers),
        ("blk.{}.attn_output.weight", (row, row), layers),
    ]


def experts(layers: range, count: int, shared: bool, row: int = WIDE, ff: int = WIDE) -> list[Row]:
    """A router and its experts."""
    rows: list[Row] = [
        ("blk.{}.ffn_gate_inp.weight", (row, count), layers),
        ("blk.{}.ffn_gate_exps.weight", (row, ff, count), layers),
        ("blk.{}.ffn_up_exps.weight", (row, ff, count), layers),
        ("blk.{}.ffn_down_exps.weight", (ff, row, count), layers),
    ]
    if shared:
        rows += [
            ("blk.{}.ffn_gate_inp_shexp.weight", (row,), layers),
            ("blk.{}.ffn_gate_shexp.weight", (row, ff), layers),
            ("blk.{}.ffn_up_shexp.weight", (row, ff), layers),
            ("blk.{}.ffn_down_shexp.weight", (ff, row), layers),
        ]
    return rows


def ends(tied: bool, row: int = WIDE) -> list[Row]:
    """Embedding table, last norm, output matrix."""
    rows: list[Row] = [("token_embd.weight", (row, VOCABULARY), None), ("output_norm.weight", (row,), None)]
    return rows if tied else [*rows, ("output.weight", (row, VOCABULARY), None)]


def latent_attention(layers: range, split: bool) -> list[Row]:
    """DeepSeek's attention; ``split`` as converters write it since April 2025."""
    rows: list[Row] = [
        ("blk.{}.attn_q.weight", (WIDE, WIDE), layers),
        ("blk.{}.attn_kv_a_mqa.weight", (WIDE, 576), layers),
        ("blk.{}.attn_kv_a_norm.weight", (512,), layers),
        ("blk.{}.attn_output.weight", (WIDE, WIDE), layers),
    ]
    if split:
        return [*rows, ("blk.{}.attn_k_b.weight", (128, 512, 16), layers), ("blk.{}.attn_v_b.weight", (512, 128, 16), layers)]
    return [*rows, ("blk.{}.attn_kv_b.weight", (512, 1024), layers)]


def fused(layers: range) -> list[Row]:
    """Phi 3's block."""
    return [
        ("blk.{}.attn_norm.weight", (WIDE,), layers),
        ("blk.{}.attn_qkv.weight", (WIDE, 3 * WIDE), layers),
        ("blk.{}.attn_output.weight", (WIDE, WIDE), layers),
        ("blk.{}.ffn_up.weight", (WIDE, 4 * WIDE), layers),
        ("blk.{}.ffn_down.weight", (2 * WIDE, WIDE), layers),
    ]


def bert(fused_qkv: bool, n_layers: int) -> list[Row]:
    """An encoder; positions are learned where the projections are separate."""
    layers = range(n_layers)
    projections: list[Row] = (
        [("blk.{}.attn_qkv.weight", (WIDE, 3 * WIDE), layers), ("blk.{}.attn_output.weight", (WIDE, WIDE), layers)]
        if fused_qkv
        else attention(layers)
    )
    return [
        ("token_embd.weight", (WIDE, VOCABULARY), None),
        ("token_embd_norm.weight", (WIDE,), None),
        ("token_types.weight", (WIDE, 2), None),
        *([] if fused_qkv else [("position_embd.weight", (WIDE, 512), None)]),
        *projections,
        ("blk.{}.attn_output.bias", (WIDE,), layers),
        ("blk.{}.attn_output_norm.weight", (WIDE,), layers),
        ("blk.{}.ffn_up.weight", (WIDE, 4 * WIDE), layers),
        ("blk.{}.ffn_down.weight", (4 * WIDE, WIDE), layers),
    ]


def t5(n_layers: int) -> list[Row]:
    """An encoder and a decoder: names that do not begin with ``blk``."""
    layers = range(n_layers)
    rows: list[Row] = [("token_embd.weight", (WIDE, VOCABULARY), None), ("output.weight", (WIDE, VOCABULARY), None)]
    for side in ("enc", "dec"):
        rows.append((f"{side}.blk.{{}}.attn_rel_b.weight", (8, 32), (0,)))
        rows += [(f"{side}.blk.{{}}.attn_{part}.weight", (WIDE, WIDE), layers) for part in "qkvo"]
        rows += [(f"{side}.blk.{{}}.ffn_up.weight", (WIDE, 2 * WIDE), layers)]
        rows += [(f"{side}.blk.{{}}.ffn_down.weight", (2 * WIDE, WIDE), layers)]
        rows += [(f"{side}.blk.{{}}.ffn_norm.weight", (WIDE,), layers)]
    rows += [(f"dec.blk.{{}}.cross_attn_{part}.weight", (WIDE, WIDE), layers) for part in "qkvo"]
    return rows


def nemotron_h(n_layers: int, attending: tuple[int, ...]) -> list[Row]:
    """Mamba layers, feed-forward layers and few layers of attention."""
    mamba = range(0, n_layers, 2)
    dense_layers = tuple(layer for layer in range(1, n_layers, 2) if layer not in attending)
    return [
        *ends(tied=False),
        ("blk.{}.ssm_in.weight", (WIDE, 1280), mamba),
        ("blk.{}.ssm_conv1d.weight", (4, 768), mamba),
        ("blk.{}.ssm_a", (1, 8), mamba),
        ("blk.{}.ssm_norm.weight", (64, 8), mamba),
        ("blk.{}.ssm_out.weight", (WIDE, WIDE), mamba),
        *attention(attending),
        ("blk.{}.ffn_up.weight", (WIDE, 2 * WIDE), dense_layers),
        ("blk.{}.ffn_down.weight", (2 * WIDE, WIDE), dense_layers),
    ]


def gemma3n(n_layers: int) -> list[Row]:
    """Embeddings per layer, and small matrices that nobody quantizes."""
    layers = range(n_layers)
    return [
        *ends(tied=True),
        ("per_layer_token_embd.weight", (256 * n_layers, VOCABULARY), None),
        ("per_layer_model_proj.weight", (WIDE, 256 * n_layers), None),
        ("altup_proj.weight", (WIDE, WIDE, 3), None),
        *dense(n_layers),
        ("blk.{}.altup_correct_coef.weight", (4, 4), layers),
        ("blk.{}.altup_router.weight", (WIDE, 4), layers),
        ("blk.{}.laurel_l.weight", (WIDE, 64), layers),
        ("blk.{}.laurel_r.weight", (64, WIDE), layers),
        ("blk.{}.inp_gate.weight", (WIDE, 256), layers),
        ("blk.{}.proj.weight", (256, WIDE), layers),
    ]


def linear_attention(n_layers: int, count: int) -> list[Row]:
    """Qwen 3 Next: three layers of linear attention, one of full."""
    full = range(3, n_layers, 4)
    linear = tuple(layer for layer in range(n_layers) if layer % 4 != 3)
    return [
        *ends(tied=False),
        ("blk.{}.attn_qkv.weight", (WIDE, 2 * WIDE), linear),
        ("blk.{}.attn_gate.weight", (WIDE, WIDE), linear),
        ("blk.{}.ssm_ba.weight", (WIDE, 64), linear),
        ("blk.{}.ssm_conv1d.weight", (4, 1024), linear),
        ("blk.{}.ssm_out.weight", (WIDE, WIDE), linear),
        *attention(full),
        *experts(range(n_layers), count, shared=True),
    ]


def rwkv6(n_layers: int) -> list[Row]:
    """Time mixing without attention."""
    layers = range(n_layers)
    numbered = (letter + digit for letter in "wvag" for digit in "012" if letter + digit != "g0")
    small = ("first", *numbered, "decay_w1", "decay_w2", "lerp_fused")
    return [
        *ends(tied=False),
        *((f"blk.{{}}.time_mix_{part}.weight", (64, 64), layers) for part in small),
        *((f"blk.{{}}.time_mix_{part}.weight", (WIDE, WIDE), layers) for part in ("key", "value", "gate", "output")),
        *((f"blk.{{}}.channel_mix_{part}.weight", (WIDE, WIDE), layers) for part in ("key", "value", "receptance")),
    ]


def vision(n_layers: int) -> list[Row]:
    """An image encoder in a file of its own; without values, for llama-quantize stops at them (no layer, no heads)."""
    layers = range(n_layers)
    return [
        ("v.patch_embd.weight", (14, 14, 3, WIDE), None),
        ("v.position_embd.weight", (WIDE, 256), None),
        ("v.patch_merger.weight", (WIDE, WIDE), None),
        ("v.sam.pos_embd.weight", (WIDE, WIDE), None),
        ("v.sam.neck.0.weight", (WIDE, WIDE), None),
        ("v.sam.net_2.weight", (WIDE, WIDE), None),
        ("v.blk.0.attn.rel_pos_h.weight", (WIDE, WIDE), None),
        ("a.rvq.codebook.weight", (WIDE, WIDE), None),
        ("mm.a.code_embd.weight", (WIDE, WIDE), None),
        ("mm.input_projection.weight", (WIDE, WIDE), None),
        *((f"v.blk.{{}}.attn_{part}.weight", (WIDE, WIDE), layers) for part in ("q", "k", "out")),
        ("v.blk.{}.ffn_up.weight", (WIDE, 2 * WIDE), layers),
        ("v.blk.{}.ffn_down.weight", (2 * WIDE, WIDE), layers),
    ]


def hybrid_of_glm(n_layers: int, count: int) -> list[Row]:
    """GLM 5.3 Flash: linear and latent attention, an index for sparse attention, four residual streams."""
    latent = range(3, n_layers, 4)
    layers = range(n_layers)
    kept = ("hc_attn_fn", "ssm_f_a", "ssm_f_b", "ssm_g_a", "ssm_g_b", "ssm_beta")
    return [
        *ends(tied=False),
        *((f"blk.{{}}.{part}.weight", (WIDE, 64), layers) for part in kept),
        *((f"blk.{{}}.indexer.{part}.weight", (WIDE, 64), latent) for part in ("attn_q_b", "attn_k", "proj", "k_proj", "q_proj")),
        *((f"blk.{{}}.indexer_compressor_{part}.weight", (WIDE, 64), latent) for part in ("gate", "ape")),
        *((f"blk.{{}}.attn_{part}.weight", (WIDE, WIDE), latent) for part in ("q_a", "q_b", "kv_a_mqa", "output")),
        ("blk.{}.attn_k_b.weight", (WIDE, 64, 8), latent),
        ("blk.{}.attn_v_b.weight", (WIDE, 64, 8), latent),
        *experts(layers, count, shared=True),
        ("blk.{}.nextn.eh_proj.weight", (2 * WIDE, WIDE), (n_layers - 1,)),
    ]


def short_convolutions(n_layers: int, attending: tuple[int, ...]) -> list[Row]:
    """LFM 2: short convolutions, and few layers of attention."""
    layers = range(n_layers)
    others = tuple(layer for layer in layers if layer not in attending)
    return [
        *ends(tied=True),
        ("blk.{}.shortconv.conv.weight", (3, WIDE), others),
        ("blk.{}.shortconv.in_proj.weight", (WIDE, 3 * WIDE), others),
        ("blk.{}.shortconv.out_proj.weight", (WIDE, WIDE), others),
        *attention(attending),
        *dense(n_layers)[6:],
    ]
