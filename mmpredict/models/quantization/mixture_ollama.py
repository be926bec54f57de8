"""Which weight type Ollama chooses for each tensor of a model that it quantizes itself.

Ollama ported llama.cpp's rules in May 2025 for the types it offers, and they have drifted apart since: no exception for 70B,
8-bit projections of latent attention, a count of ``ffn_down`` tensors where llama.cpp takes the layer, a fixed table for
Qwen 3's linear attention, and images are left alone. Source: Ollama ``server/quantization.go``, ``fs/ggml/type.go``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from mmpredict.models.quantization.mixture_rules import more_bits
from mmpredict.models.quantization.tensor_roles import Role, layer_of, role_of

OLLAMA_FILE_TYPES = ("F32", "F16", "BF16", "Q4_K_S", "Q4_K_M", "Q8_0", "MXFP4_MOE")

_EXEMPT_PARTS = (
    "mm.",
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_inp_shexp.weight",
    "ssm_conv1d.weight",
    "shortconv.conv.weight",
    *(f"time_mix_{part}.weight" for part in ("first", "w1", "w2", "decay_w1", "decay_w2", "lerp_fused")),
    "attn_rel_b.weight",
    "per_layer_token_embd.weight",
)
_EXEMPT_NAMES = frozenset({"position_embd.weight", "token_types.weight"})
_LATENT_PARTS = tuple(f"attn_{part}.weight" for part in ("k_b", "v_b", "kv_a_mqa", "q_a", "q_b"))
_LINEAR_ATTENTION = frozenset({"qwen3next", "qwen35", "qwen35moe"})
_LINEAR_ATTENTION_TYPES = {
    **dict.fromkeys(("attn_v", "ffn_down_exps", "ffn_down_shexp"), "q6_k"),
    **dict.fromkeys(("attn_q", "attn_k", "attn_output", "attn_qkv", "attn_gate"), "q4_k"),
    **dict.fromkeys(("ssm_ba", "ssm_beta", "ssm_alpha", "ssm_out"), "q4_k"),
    **dict.fromkeys(("ffn_gate_exps", "ffn_gate_shexp", "ffn_up_exps", "ffn_up_shexp"), "q4_k"),
}
_EXPERTS = "_exps.weight"
_CACHED_NAMES = 1 << 14


@lru_cache(_CACHED_NAMES)
def ollama_may_quantize(name: str) -> bool:
    """Whether Ollama quantizes a matrix of that name; vectors it never does."""
    if not name.endswith("weight") or name.startswith("v.") or name in _EXEMPT_NAMES:
        return False
    return not any(part in name for part in _EXEMPT_PARTS)


@dataclass(slots=True)
class OllamaChooser:
    """Chooses types one tensor after another, in the order of Ollama's file.

    Attributes:
        file_type: name of the file type.
        base: type of every tensor that no rule singles out.
        base_block: its block [weights].
        architecture, n_experts: of the model.
        tied: whether the embedding table is also the output matrix.
        n_values: tensors of the roles ``VALUE_ROLES`` [1].
        n_blocks: layers that tensors are named after [1].
    """

    file_type: str
    base: str
    base_block: int
    architecture: str
    n_experts: int
    tied: bool
    n_values: int
    n_blocks: int
    seen_values: int = 0
    seen_down: int = 0

    def choose(self, name: str, shape: tuple[int, ...]) -> str:
        """Type of the next tensor, before its row length is considered."""
        medium, small = self.file_type == "Q4_K_M", self.file_type == "Q4_K_S"
        if self.architecture in _LINEAR_ATTENTION and (medium or small):
            listed = _LINEAR_ATTENTION_TYPES.get(name.removesuffix(".weight").rpartition(".")[2])
            if listed and layer_of(name) >= 0:
                return listed
        role = role_of(name)
        if role is Role.OUTPUT or (self.tied and name == "token_embd.weight"):
            return "q8_0" if shape[0] % self.base_block or self.base == "q8_0" else "q6_k"
        chosen = self.base
        if role is Role.VALUE:
            chosen = self._value(medium, small)
        elif (role is Role.KEY and self.n_experts == 8) or any(part in name for part in _LATENT_PARTS):
            chosen = "q8_0"
        elif role is Role.DOWN:
            index = self.seen_down
            self.seen_down += 1
            if medium and more_bits(index, self.n_blocks):
                chosen = "q6_k"
            elif small and index < self.n_blocks // 8:
                chosen = "q5_k"
        elif (role is Role.ATTENTION_OUTPUT and self.n_experts == 8 and (medium or small)) or (role is Role.FUSED_QKV and medium):
            chosen = "q5_k"
        return chosen

    def _value(self, medium: bool, small: bool) -> str:
        index = self.seen_values
        self.seen_values += 1
        if self.n_experts == 8:
            return "q8_0"
        if medium and more_bits(index, self.n_values):
            return "q6_k"
        return "q5_k" if small and index < 4 else self.base


def ollama_keeps_mxfp4(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a tensor of Ollama's gpt-oss files is 4-bit: the experts' matrices; it leaves the rest as converted."""
    return name.endswith(_EXPERTS) and len(shape) > 2
