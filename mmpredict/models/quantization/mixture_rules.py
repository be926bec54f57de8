"""Which weight type llama.cpp chooses for each tensor of a file that it quantizes.

Source: llama.cpp ``src/llama-quant.cpp`` (``llama_tensor_get_type_impl``) as of its version in xllamacpp 2026.10.11549;
``legacy`` is the same before pull request 19770 (March 2026).
"""

from __future__ import annotations

from dataclasses import dataclass

from mmpredict.errors import InputError
from mmpredict.models.quantization.tensor_roles import FEED_FORWARD_ROLES, GLM5_NEXT, VALUE_ROLES, Role, layer_of, role_of


def more_bits(index: int, count: int) -> bool:
    """Whether a ``_M`` mix spends more bits on this layer: the first and last eighth, and every third between."""
    return index < count // 8 or index >= 7 * count // 8 or (index - count // 8) % 3 == 2


_GLM5_Q8_PARTS = ("attn_q_a", "attn_q_b", "nextn.eh_proj")

_TINY_BETTER = frozenset({"IQ2_S", "IQ2_M"})
_TINY_WORSE = frozenset({"IQ1_S", "IQ1_M"})
_TINY = _TINY_BETTER | _TINY_WORSE | {"IQ2_XXS", "IQ2_XS"}
_EMBEDDING = {
    **dict.fromkeys(("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS"), "q2_k"),
    **dict.fromkeys(("IQ2_S", "IQ2_M", "IQ3_XXS"), "iq3_s"),
    **dict.fromkeys(("TQ1_0", "TQ2_0", "Q2_0"), "q4_k"),
}
# Values shared by four query heads or more; then those of other models.
_VALUE_SHARED = {
    **dict.fromkeys(("Q2_K", "Q2_K_S", "IQ3_XXS", "IQ3_XS", "IQ3_S"), "q4_k"),
    **dict.fromkeys(("IQ4_NL", "IQ4_XS"), "q5_k"),
}
_VALUE = {"Q2_K": "q3_k", "IQ3_M": "q4_k", "Q3_K_M": "q4_k", "Q3_K_L": "q5_k"}
_KEY_OR_QUERY = {"IQ3_XS": "iq3_xxs", "IQ3_XXS": "iq2_s"}
_ATTENTION_OUTPUT = {"Q2_K": "q3_k", "IQ3_XXS": "iq3_s", "Q3_K_M": "q4_k", "Q3_K_L": "q5_k", "IQ3_M": "q4_k"}
_ATTENTION_OUTPUT_8_EXPERTS = frozenset(
    {"Q2_K", "IQ3_XS", "IQ3_XXS", "Q3_K_S", "Q3_K_M", "IQ4_NL", "Q4_K_S", "Q4_K_M", "IQ3_S", "IQ3_M", "IQ4_XS"}
)
_LEGACY_FUSED_QKV = {"Q3_K_M": "q4_k", "Q3_K_L": "q4_k", "IQ3_M": "q4_k", "Q4_K_M": "q5_k", "Q5_K_M": "q6_k"}


@dataclass(slots=True)
class Chooser:
    """Chooses types one tensor after another, in llama.cpp's order: some rules count what came before.

    Attributes:
        file_type: name of the file type.
        base: type of every tensor that no rule singles out.
        base_block: its block [weights].
        architecture, n_layers, n_experts: of the model.
        query_heads_per_value: query heads that share one key and value head in the first layer; 0 without attention [1].
        is_70b: whether llama.cpp takes the model for one of 70B.
        imatrix: whether an importance matrix is used.
        tied: whether the embedding table is also the output matrix.
        n_values: tensors of the roles ``VALUE_ROLES`` [1].
        legacy: rules of before March 2026.
    """

    file_type: str
    base: str
    base_block: int
    architecture: str
    n_layers: int
    n_experts: int
    query_heads_per_value: int
    is_70b: bool
    imatrix: bool
    tied: bool
    n_values: int
    legacy: bool
    seen_values: int = 0
    seen_up: int = 0
    seen_gate: int = 0
    seen_down: int = 0

    def choose(self, name: str, shape: tuple[int, ...]) -> str:
        """Type of the next tensor, before its row length is considered.

        Raises:
            InputError: the name of an expert's matrix does not say its layer.
        """
        role = role_of(name)
        if self.architecture == GLM5_NEXT and any(part in name for part in _GLM5_Q8_PARTS):
            return "q8_0"
        if role is Role.OUTPUT or (role is Role.EMBEDDING and self._is_output(name)):
            return self._output(shape[0])
        if self.file_type == "MXFP4_MOE":
            return "mxfp4" if self._is_expert(role, shape) else "q8_0"
        if role is Role.EMBEDDING:
            return _EMBEDDING.get(self.file_type, self.base)
        if self.file_type in _TINY:
            return self._tiny(role)
        if role is Role.VALUE or (role in VALUE_ROLES and not self.legacy):
            return self._value()
        if role in (Role.KEY, Role.QUERY):
            is_widened = role is Role.KEY and self.n_experts == 8
            return "q8_0" if is_widened else _KEY_OR_QUERY.get(self.file_type, self.base)
        if role is Role.ATTENTION_OUTPUT:
            return self._attention_output()
        if role is Role.FUSED_QKV:
            return _LEGACY_FUSED_QKV.get(self.file_type, self.base)
        if role in FEED_FORWARD_ROLES:
            return self._feed_forward(role, name)
        return self.base

    def _is_output(self, name: str) -> bool:
        return self.tied and not (self.legacy and name != "token_embd.weight")

    def _is_expert(self, role: Role, shape: tuple[int, ...]) -> bool:
        stacked = len(shape) > 2 and shape[2] > 1
        return stacked and (self.architecture != "bailingmoe3" or role in FEED_FORWARD_ROLES)

    def _output(self, row_weights: int) -> str:
        if self.file_type == "MXFP4_MOE" or self.architecture == "falcon" or row_weights % self.base_block:
            return "q8_0"
        if self.file_type in _TINY or self.file_type == "IQ3_XXS":
            return "q5_k"
        return "q8_0" if self.base == "q8_0" else "q6_k"

    def _tiny(self, role: Role) -> str:
        better = "iq3_s" if self.file_type in _TINY_BETTER else "q2_k"
        if role is Role.VALUE or (role in VALUE_ROLES and not self.legacy):
            return "q4_k" if self.query_heads_per_value >= 4 or self.n_experts >= 4 else better
        if role is Role.KEY and self.n_experts == 8:
            return "q4_k"
        if role is Role.DOWN:
            self.seen_down += 1
            return better if self.seen_down - 1 < self.n_layers // 8 else self.base
        if role is Role.ATTENTION_OUTPUT:
            if self.n_experts == 8:
                return "q5_k"
            if self.file_type in _TINY_WORSE:
                return "iq2_xxs"
            return "iq3_s" if self.file_type in _TINY_BETTER else self.base
        return self.base

    def _value(self) -> str:
        index = self.seen_values
        self.seen_values += 1
        if self.n_experts == 8:
            return "q8_0"
        chosen = self._value_of_usual_model(index)
        return "q5_k" if self.is_70b and chosen in ("q3_k", "q4_k") else chosen

    def _value_of_usual_model(self, index: int) -> str:
        name = self.file_type
        if self.query_heads_per_value >= 4 and name in _VALUE_SHARED:
            return _VALUE_SHARED[name]
        if name == "IQ3_XXS":
            return self.base if self.imatrix else "iq3_s"
        if (name == "Q3_K_M" and index < 2) or (name == "Q4_K_S" and index < 4):
            return "q5_k"
        if name in ("Q4_K_M", "Q5_K_M") and more_bits(index, self.n_values):
            return "q6_k"
        return _VALUE.get(name, self.base)

    def _attention_output(self) -> str:
        if self.architecture == "falcon":
            return "q4_k" if self.file_type == "Q3_K_L" else self.base
        if self.n_experts == 8:
            return "q5_k" if self.file_type in _ATTENTION_OUTPUT_8_EXPERTS else self.base
        return _ATTENTION_OUTPUT.get(self.file_type, self.base)

    def _feed_forward(self, role: Role, name: str) -> str:
        if role is Role.DOWN:
            self.seen_down += 1
            return self._down(self._layer(self.seen_down - 1, name))
        if role is Role.GATE:
            self.seen_gate += 1
            layer = self._layer(self.seen_gate - 1, name)
        else:
            self.seen_up += 1
            layer = self._layer(self.seen_up - 1, name)
        inner = self.n_layers // 8 <= layer < 7 * self.n_layers // 8
        return "iq3_xxs" if self.file_type == "IQ3_XS" and inner else self.base

    def _layer(self, seen: int, name: str) -> int:
        if self.n_experts <= 1:
            return seen
        layer = layer_of(name)
        if 0 <= layer < self.n_layers:
            return layer
        raise InputError(
            f"tensor {name!r} of a mixture of experts must be called blk.N.…, N from 0 to {self.n_layers - 1}: "
            "llama.cpp takes its layer from the name"
        )

    def _down(self, layer: int) -> str:
        name, falcon = self.file_type, self.architecture == "falcon"
        early, earliest = layer < self.n_layers // 8, layer < self.n_layers // 16
        chosen = self.base
        if name == "Q2_K":
            chosen = "q3_k"
        elif name == "Q2_K_S" and early:
            chosen = "q4_k"
        elif name == "IQ3_XXS" and not self.imatrix:
            chosen = "q4_k" if early else "q3_k"
        elif name == "IQ3_M" and (early or (self.n_experts == 8 and more_bits(layer, self.n_layers))):
            chosen = "q4_k"
        elif name == "Q3_K_L":
            chosen = "q4_k" if falcon else "q5_k"
        elif name == "Q3_K_M":
            plain = falcon and not more_bits(layer, self.n_layers)
            chosen = "q5_k" if earliest else self.base if plain else "q4_k"
        elif name == "Q4_K_M" and falcon and earliest:
            chosen = "q6_k"
        elif name in ("Q4_K_M", "Q5_K_M") and more_bits(layer, self.n_layers):
            chosen = "q5_k" if falcon and name == "Q4_K_M" else "q6_k"
        elif early and ((name in ("IQ4_NL", "IQ4_XS") and not self.imatrix) or (name == "Q4_K_S" and not falcon)):
            chosen = "q5_k"
        elif early and self.imatrix and name in ("Q4_0", "Q5_0"):
            chosen = "q4_1" if name == "Q4_0" else "q5_1"
        return chosen
