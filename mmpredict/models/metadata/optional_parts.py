"""Which tensors, of those that only some checkpoints of an architecture have, a file has: ``Shape.parts``."""

from __future__ import annotations

from collections.abc import Set

from mmpredict.models.architectures.decoder import STYLES

# How their names end.
_PARTS = (
    ("rope_freqs", "rope_freqs.weight"),
    ("rope_factors", "rope_factors_long.weight"),
    ("qkv_bias", ".attn_q.bias"),
    ("output_bias", ".attn_output.bias"),
    ("qk_norm", ".attn_q_norm.weight"),
    ("expert_bias", ".exp_probs_b.bias"),
    ("draft_embedding", ".nextn.embed_tokens.weight"),
    ("gate", "enc.blk.0.ffn_gate.weight"),
)
_USUAL = {
    **dict.fromkeys(("gpt-oss", "bert"), ("qkv_bias", "output_bias")),
    **dict.fromkeys(("gemma4", "qwen3next", "qwen35", "qwen35moe"), ("qk_norm",)),
    **dict.fromkeys(("nemotron_h", "nemotron_h_moe"), ("expert_bias",)),
    **dict.fromkeys(("lfm2", "lfm2moe"), ("qk_norm", "expert_bias")),
    "nomic-bert-moe": ("output_bias",),
    "command-r": ("qk_norm",),
}


def optional_parts(architecture: str, tensor_names: Set[str]) -> tuple[str, ...]:
    """Parts that are there, but for those which every checkpoint of the architecture has.

    Args:
        architecture: GGUF architecture.
        tensor_names: of all tensors.
    """
    style = STYLES.get(architecture)
    usual = set(_USUAL.get(architecture, ()))
    if style is not None:
        having = ("qkv_bias", style.qkv_bias), ("output_bias", style.output_bias), ("qk_norm", style.qk_norm)
        usual |= {part for part, has in (*having, ("expert_bias", style.expert_bias)) if has}
    found = [part for part, ending in _PARTS if part not in usual and any(name.endswith(ending) for name in tensor_names)]
    if architecture == "gemma4" and any(name.replace("attn_k.", "attn_v.") not in tensor_names for name in tensor_names):
        found.append("shared_kv")
    return tuple(found)
