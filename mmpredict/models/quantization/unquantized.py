"""Types of the tensors that quantization leaves alone: as the converter wrote them.

Sources: llama.cpp ``conversion/base.py`` (``prepare_tensors``); Ollama ``convert/reader.go`` and
``convert/reader_safetensors.go`` (``Kind``).
"""

from __future__ import annotations

import re
from functools import lru_cache

_F32_PARTS = (
    "ffn_gate_inp",
    "ffn_gate_inp_shexp",
    "ssm_conv1d",
    "ssm_conv1d_q",
    "ssm_conv1d_k",
    "ssm_conv1d_v",
    "shortconv.conv",
    "time_mix_first",
    "time_mix_w1",
    "time_mix_w2",
    "time_mix_decay_w1",
    "time_mix_decay_w2",
    "time_mix_lerp_fused",
    "altup_correct_coef",
    "altup_predict_coef",
    "indexer.proj",
)
_F32_NAME = re.compile(
    r"(position_embd|token_types|[va]\.position_embd|posnet\.\d+\.norm[12]|blk\.\d+\.("
    + "|".join(map(re.escape, _F32_PARTS))
    + r"))\.weight"
)
_PATCHES = (".patch_embd.weight", ".patch_merger.weight")
_OLLAMA_F32_ENDS = (
    ".ffn_gate_inp.weight",
    ".bias",
    ".shortconv.conv.weight",
    ".ssm_conv1d.weight",
    "rel_pos_h",
    "rel_pos_w",
)
_OLLAMA_F32_NAMES = frozenset(
    {
        "token_types.weight",
        "v.positional_embedding_vlm",
        "v.tile_position_embd.weight",
        "v.pre_tile_position_embd.weight",
        "v.post_tile_position_embd.weight",
        "s.position_embd",
    }
)
_OLLAMA_F16_STARTS = ("v.", "s.", "mm.")
_CACHED_NAMES = 1 << 14


@lru_cache(_CACHED_NAMES)
def converted_type(name: str, dimensions: int, source: str) -> str:
    """Type that llama.cpp's converter gives a tensor: ``f32`` for everything small, else ``source``.

    Args:
        name: GGUF name.
        dimensions: extents of the tensor [1].
        source: ``f16``, ``bf16`` or ``f32``: what the converter was asked for.
    """
    if dimensions <= 1 or name.endswith("_norm.weight") or not name.endswith(".weight") or _F32_NAME.fullmatch(name):
        return "f32"
    if name.endswith(_PATCHES) and source != "f16":
        return "f32"
    return source


@lru_cache(_CACHED_NAMES)
def ollama_converted_type(name: str, dimensions: int, source: str) -> str:
    """Type that Ollama's converter gives a tensor; images and sound are never ``bf16``."""
    if dimensions <= 1 or name.endswith(_OLLAMA_F32_ENDS) or name in _OLLAMA_F32_NAMES:
        return "f32"
    if source == "bf16" and (name.startswith(_OLLAMA_F16_STARTS) or "ffn_gate_inp_shexp.weight" in name):
        return "f16"
    return source
