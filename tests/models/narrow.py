"""One small model of every architecture whose tensors are known and that is a file of its own for llama.cpp."""

from __future__ import annotations

from dataclasses import replace

from mmpredict.models.architectures import ARCHITECTURES, tensor_shapes
from mmpredict.models.quantization.weight_types import WeightType, storable_type, weight_type
from mmpredict.models.shape import Experts, Latent, Recurrent, Shape, Window, local_layers
from mmpredict.models.spec import ModelSpec, Tensor

N_VOCAB = 640
NOT_FOR_LLAMA_CPP = ("whisper", "clip")
ENCODERS = ("bert", "nomic-bert", "nomic-bert-moe")
_LATENT = Latent(q_rank=64, kv_rank=64, rope_dim=32, key_dim=96, value_dim=64)
_EXPERTS = Experts(total=8, used=2, n_ff=256)
_SHARED = replace(_EXPERTS, shared=1, n_ff_shared=256)
_MAMBA = Recurrent(layers=(True, False, False, True), conv=4, inner=512, state=32, groups=2, heads=8)
_DELTA = Recurrent(layers=(True, True, True, False), conv=4, inner=256, state=64, groups=2, heads=4)


def _base(architecture: str) -> Shape:
    return Shape(
        name=f"narrow-{architecture}",
        architecture=architecture,
        n_layers=4,
        n_embd=256,
        n_vocab=N_VOCAB,
        context_length=512,
        n_heads=4,
        n_kv_heads=2,
        key_dim=64,
        value_dim=64,
        n_ff=512,
        source="GGUF header",
    )


def _changes() -> dict[str, dict[str, object]]:
    window = {"window": Window(64, local_layers(4, 2))}
    four = {"window": Window(64, local_layers(4, 4))}
    encoder = {"kind": "text-embedding", "n_kv_heads": 4, "n_token_types": 2, "context_length": 256}
    hybrid_heads = {"n_kv_heads": (0, 2, 0, 0)}
    return {
        "qwen2moe": {"experts": _SHARED},
        "qwen3moe": {"experts": _EXPERTS},
        "qwen3vlmoe": {"experts": _EXPERTS, "kind": "multimodal"},
        "qwen2vl": {"kind": "multimodal"},
        "qwen3vl": {"kind": "multimodal"},
        "granitemoe": {"experts": _SHARED, "n_ff": 256},
        "olmoe": {"experts": _EXPERTS, "n_kv_heads": 4, "n_ff": 256},
        "minimax-m2": {"experts": _EXPERTS, "n_ff": 256},
        "dots1": {"experts": replace(_SHARED, leading_dense=1), "n_kv_heads": 4},
        "glm4moe": {"experts": replace(_SHARED, leading_dense=1), "n_draft_layers": 1, "parts": ("draft_embedding",)},
        "llama4": {"experts": replace(_SHARED, every=2), "window": Window(8192, local_layers(4, 4))},
        "gpt-oss": {"experts": _EXPERTS, "n_ff": 256, **window},
        "deepseek2": {
            "latent": _LATENT, "experts": replace(_SHARED, leading_dense=1), "n_kv_heads": 1,
            "key_dim": 96, "value_dim": 64, "rope_dim": 32, "parts": ("expert_bias",),
        },
        "gemma": {"tied": True, "n_kv_heads": 1},
        "gemma2": {"tied": True, **window},
        "gemma3": {"tied": True, "n_layers": 7, "window": Window(64, local_layers(7, 6))},
        "gemma-embedding": {"kind": "text-embedding", "tied": False, **window},
        "gemma4": {
            "tied": True, "n_kv_heads": (2, 2, 2, 1), "window": Window(64, local_layers(4, 4), 32, 32),
            "parts": ("rope_freqs", "shared_kv"),
        },
        "cohere2": {"tied": True, **four},
        "command-r": {"tied": True},
        "phi2": {"n_kv_heads": 4, "rope_dim": 32},
        "phi3": {"parts": ("rope_factors",)},
        "olmo2": {"n_kv_heads": 4},
        "stablelm": {"n_kv_heads": 4, "rope_dim": 16},
        "nemotron_h": {"recurrent": _MAMBA, "n_ff": (0, 0, 512, 0), **hybrid_heads},
        "nemotron_h_moe": {
            "recurrent": _MAMBA, "n_ff": (0, 0, 256, 0), **hybrid_heads,
            "experts": replace(_SHARED, layers=(False, False, True, False)),
        },
        "granitehybrid": {"recurrent": replace(_MAMBA, layers=(True, False, True, True)), **hybrid_heads},
        "qwen3next": {"recurrent": _DELTA, "experts": _SHARED},
        "qwen35": {"recurrent": _DELTA},
        "qwen35moe": {"recurrent": _DELTA, "experts": _SHARED},
        "lfm2": {"recurrent": Recurrent((True, False, True, True), 3, 256, 0, 0, 0), "tied": True, **hybrid_heads},
        "lfm2moe": {
            "recurrent": Recurrent((True, False, True, True), 3, 256, 0, 0, 0), "tied": True, **hybrid_heads,
            "experts": replace(_EXPERTS, leading_dense=1),
        },
        "bert": encoder,
        "nomic-bert": encoder,
        "nomic-bert-moe": {**encoder, "experts": replace(_EXPERTS, n_ff=512, every=2)},
        "t5": {
            "kind": "encoder-decoder", "n_decoder_layers": 3, "n_buckets": 32, "tied": True, "n_kv_heads": 4, "parts": ("gate",),
        },
    }  # fmt: skip


def _all() -> dict[str, Shape]:
    changes = _changes()
    found = {name: replace(_base(name), **changes.get(name, {})) for name in ARCHITECTURES if name not in NOT_FOR_LLAMA_CPP}
    lending = Window(64, (True, True, True, False, True, False), 32, 32)  # the last two layers use the cache of the first four
    found["gemma4-small"] = replace(
        found["gemma4"], name="narrow-gemma4-small", n_layers=6, n_kv_heads=(1, 1, 1, 1, 0, 0), n_embd_per_layer=64, window=lending,
        n_ff=(512, 512, 512, 512, 1024, 1024), parts=("rope_freqs",),
    )  # fmt: skip
    found["mixtral"] = replace(found["llama"], name="narrow-mixtral", experts=replace(_EXPERTS, n_ff=512))
    return found


NARROW = _all()


def narrow_spec(shape: Shape, matrices: str = "q4_0") -> ModelSpec:
    """The model of a shape with its matrices in one weight type."""
    wanted, vector = weight_type(matrices), weight_type("f32")

    def stored(name: str, extents: tuple[int, ...]) -> WeightType:
        plain = len(extents) < 2 or not name.endswith(".weight") or "norm" in name or "gate_inp" in name or "conv1d" in name
        plain = plain or name in ("position_embd.weight", "token_types.weight") or "shortconv.conv" in name
        return vector if plain else storable_type(wanted, extents[0])

    tensors = tuple(Tensor(name, extents, stored(name, extents)) for name, extents in tensor_shapes(shape))
    return ModelSpec(shape.name, shape, tensors, source=shape.source)
