"""Names and shapes of every tensor of a model's file, from its hyperparameters: one function per architecture of GGUF.

Optional tensors that some checkpoints of an architecture have and others lack are named in ``Shape.parts``: ``rope_freqs``,
``rope_factors``, ``qkv_bias``, ``output_bias``, ``qk_norm``, ``expert_bias``, ``draft_embedding``, ``shared_kv``, ``gate``; a
vision transformer's part says which row of ``vision.EYES`` it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

from mmpredict.errors import UnknownNameError
from mmpredict.models.architectures.decoder import STYLES, decoder
from mmpredict.models.architectures.encoder import bert, nomic_bert
from mmpredict.models.architectures.encoder_decoder import t5, whisper
from mmpredict.models.architectures.experts import gemma4, gpt_oss
from mmpredict.models.architectures.hybrid import granite_hybrid, lfm2, nemotron_h, qwen_linear
from mmpredict.models.architectures.latent import deepseek2
from mmpredict.models.architectures.parts import Named
from mmpredict.models.architectures.vision import clip
from mmpredict.models.shape import Shape

__all__ = ["ARCHITECTURES", "tensor_shapes"]

ARCHITECTURES: dict[str, Callable[[Shape], Iterator[Named]]] = {
    **dict.fromkeys(STYLES, decoder),
    "gpt-oss": gpt_oss,
    "gemma4": gemma4,
    "deepseek2": deepseek2,
    "nemotron_h": nemotron_h,
    "nemotron_h_moe": nemotron_h,
    "granitehybrid": granite_hybrid,
    "qwen3next": qwen_linear,
    "qwen35": qwen_linear,
    "qwen35moe": qwen_linear,
    "lfm2": lfm2,
    "lfm2moe": lfm2,
    "bert": bert,
    "nomic-bert": nomic_bert,
    "nomic-bert-moe": nomic_bert,
    "t5": t5,
    "whisper": whisper,
    "clip": clip,
}
_REMEMBERED = 256


@lru_cache(_REMEMBERED)
def tensor_shapes(shape: Shape) -> tuple[Named, ...]:
    """Name and shape of every tensor, block after block; a shape begins with the row length, as in GGUF.

    Raises:
        UnknownNameError: no such architecture.
    """
    try:
        tensors = ARCHITECTURES[shape.architecture]
    except KeyError:
        raise UnknownNameError("architecture", shape.architecture, ARCHITECTURES) from None
    return tuple(tensors(shape))
