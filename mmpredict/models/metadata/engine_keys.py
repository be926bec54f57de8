"""Keys that llama.cpp insists on although no size follows from them: with usual values, so that files of random weights load.

Source: llama.cpp ``src/models/*.cpp`` (``load_arch_hparams``), ``gguf-py/gguf/constants.py`` for the numbers of options.
"""

from __future__ import annotations

from mmpredict.models.metadata.keys import Value
from mmpredict.models.shape import Shape

_SOFTMAX, _SIGMOID = 1, 2  # LLAMA_EXPERT_GATING_FUNC_TYPE
_MEAN_POOLING = 1  # LLAMA_POOLING_TYPE_MEAN
_ENCODERS = ("bert", "nomic-bert", "nomic-bert-moe")
_SECTIONED_ROPE = ("qwen2vl", "qwen3vl", "qwen3vlmoe", "qwen35", "qwen35moe")
_SCALED_LOGITS = ("command-r", "cohere2", "granite", "granitemoe", "granitehybrid")


def engine_keys(shape: Shape) -> dict[str, Value]:
    """The keys, without the architecture in front."""
    found: dict[str, Value] = {"attention.layer_norm_rms_epsilon": 1e-6, "attention.layer_norm_epsilon": 1e-5}
    if shape.experts is not None:
        biased = "expert_bias" in shape.parts or shape.architecture in ("glm4moe", "dots1", "lfm2moe", "minimax-m2")
        found |= {"expert_gating_func": _SIGMOID if biased else _SOFTMAX, "expert_weights_scale": 1.0, "expert_weights_norm": True}
    if shape.architecture in _ENCODERS:
        found |= {"attention.causal": False, "pooling_type": _MEAN_POOLING}
    if shape.architecture in _SECTIONED_ROPE:  # of time, height and width, in pairs of dimensions
        pairs = (shape.rope_dim or shape.key_dim) // 2
        found["rope.dimension_sections"] = (pairs // 4, (pairs - pairs // 4 + 1) // 2, (pairs - pairs // 4) // 2, 0)
    if shape.architecture in _SCALED_LOGITS:
        found["logit_scale"] = 1.0
    if shape.architecture == "gemma4":  # asked for even where local layers have no heads of their own
        found |= {"attention.key_length_swa": shape.key_dim, "attention.value_length_swa": shape.value_dim}
        found |= {"embedding_length_per_layer_input": 0}
    if shape.window is not None and shape.window.key_dim:
        found["rope.dimension_count_swa"] = shape.window.key_dim
    if shape.architecture == "t5":
        found["decoder_start_token_id"] = 0
    return found
