"""What each tensor of a GGUF file is for, told from its name, and which ones llama.cpp leaves unquantized.

Source: llama.cpp ``src/llama-quant.cpp`` (``tensor_get_category``, ``tensor_allows_quantization``).
"""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache


class Role(Enum):
    """What a tensor does, as far as the rules tell tensors apart."""

    OUTPUT = auto()
    EMBEDDING = auto()
    FUSED_QKV = auto()
    LATENT_KV = auto()
    VALUE = auto()
    KEY = auto()
    QUERY = auto()
    ATTENTION_OUTPUT = auto()
    UP = auto()
    GATE = auto()
    DOWN = auto()
    OTHER = auto()


# The first part that occurs in a name decides.
_ROLE_PARTS = (
    ("attn_qkv.weight", Role.FUSED_QKV),
    ("attn_kv_b.weight", Role.LATENT_KV),
    ("attn_v.weight", Role.VALUE),
    ("attn_k.weight", Role.KEY),
    ("attn_q.weight", Role.QUERY),
    ("attn_output.weight", Role.ATTENTION_OUTPUT),
    ("ffn_up", Role.UP),
    ("ffn_gate", Role.GATE),
    ("ffn_down", Role.DOWN),
)
VALUE_ROLES = frozenset({Role.VALUE, Role.FUSED_QKV, Role.LATENT_KV})
FEED_FORWARD_ROLES = frozenset({Role.UP, Role.GATE, Role.DOWN})

# Names that contain one of these are not quantized.
_EXEMPT_PARTS = (
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    *(f"time_mix_{part}.weight" for part in ("first", "w0", "w1", "w2", "v0", "v1", "v2", "a0", "a1", "a2", "g1", "g2")),
    *(f"time_mix_{part}.weight" for part in ("decay_w1", "decay_w2", "lerp_fused")),
    "attn_rel_b.weight",
    ".position_embd",
    "sam.pos_embd",
    "sam.neck.",
    "sam.net_",
    ".rel_pos",
    ".patch_embd",
    ".patch_merger",
    "a.rvq.codebook",
    "mm.a.code_embd",
)
_EXEMPT_NAMES = frozenset({"position_embd.weight", "token_types.weight"})
GLM5_NEXT = "glm5-next"
_GLM5_EXEMPT_PARTS = (
    *("hc_", "indexer.attn_q_b", "indexer.attn_k", "indexer.proj", "indexer_compressor_gate", "indexer_compressor_ape"),
    *(f"{part}.weight" for part in ("ssm_f_a", "ssm_f_b", "ssm_g_a", "ssm_g_b", "ssm_beta")),
    *(f"{part}.weight" for part in ("attn_kv_a_mqa", "attn_k_b", "attn_v_b")),
)

_LAYER = re.compile(r"blk\.(\d+)")
_CACHED_NAMES = 1 << 14


def layer_of(name: str) -> int:
    """Layer of a tensor; -1 when its name does not begin with one."""
    found = _LAYER.match(name)
    return int(found[1]) if found else -1


@lru_cache(_CACHED_NAMES)
def role_of(name: str) -> Role:
    """What the tensor of that name does."""
    if name == "output.weight":
        return Role.OUTPUT
    if name in ("token_embd.weight", "per_layer_token_embd.weight"):
        return Role.EMBEDDING
    return next((role for part, role in _ROLE_PARTS if part in name), Role.OTHER)


@lru_cache(_CACHED_NAMES)
def may_be_quantized(name: str, architecture: str) -> bool:
    """Whether llama-quantize touches a matrix of that name; vectors it never touches."""
    if not name.endswith("weight") or name in _EXEMPT_NAMES or any(part in name for part in _EXEMPT_PARTS):
        return False
    return architecture != GLM5_NEXT or not any(part in name for part in _GLM5_EXEMPT_PARTS)


def dimensions(shape: tuple[int, ...]) -> int:
    """Dimensions as ggml counts them: extents of 1 at the end are none."""
    last = len(shape)
    while last > 1 and shape[last - 1] == 1:
        last -= 1
    return last
