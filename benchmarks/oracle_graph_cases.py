"""Shapes of models that nobody has trained, over all architectures that llama.cpp can be asked about, and server options."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from mmpredict.models.cache import CacheOptions
from mmpredict.models.shape import Experts, Latent, Recurrent, Shape, Window, local_layers

ENCODERS = ("bert", "nomic-bert", "nomic-bert-moe", "gemma-embedding")
_TIED = ("command-r", "cohere2", "gemma", "gemma2", "gemma3", "gemma4", "gemma-embedding", "lfm2", "lfm2moe")
_FREE_WIDTH = ("llama", "qwen3", "qwen3moe", "gemma", "gemma2", "gemma3", "gpt-oss", "smollm3")  # heads need not make up the width
_WINDOWS = {"gemma2": 2, "gemma3": 6, "gpt-oss": 2, "cohere2": 4, "gemma-embedding": 6, "llama4": 4}
_EXPERTS_AS_WIDE = ("granitemoe", "olmoe", "minimax-m2")
_SHARED = ("qwen2moe", "glm4moe", "dots1", "deepseek2", "qwen35moe", "qwen3next", "llama4")
_FULL_HEADS = ("olmoe", "dots1", "phi2", "bert", "nomic-bert", "nomic-bert-moe", "t5")
_HYBRIDS = ("granitehybrid", "qwen35", "qwen35moe", "qwen3next", "lfm2", "lfm2moe")
_DECODERS = (
    "llama", "mistral3", "qwen2", "qwen2vl", "qwen3", "gemma", "phi2", "phi3", "starcoder2", "command-r", "olmo2", "smollm3",
    "exaone", "internlm2", "granite", "arcee", "glm4", "stablelm", "nemotron", "gemma2", "gemma3", "cohere2", "qwen3vl",
)  # fmt: skip
_MIXTURES = (
    "qwen3moe", "qwen2moe", "granitemoe", "olmoe", "dots1", "minimax-m2", "glm4moe", "llama4", "gpt-oss", "qwen3vlmoe",
)  # fmt: skip
ARCHITECTURES = (
    *_DECODERS, *_MIXTURES, *_HYBRIDS, *ENCODERS, "mixtral", "deepseek2", "gemma4", "nemotron_h", "nemotron_h_moe", "t5",
)  # fmt: skip


def draw_shape(rng: random.Random, architecture: str) -> Shape:
    """A random shape of an architecture (``mixtral`` stands for llama with experts)."""
    special: dict[str, Callable[[random.Random, str, dict[str, Any]], None]] = {
        "deepseek2": _deepseek2, "gemma4": _gemma4, "nemotron_h": _nemotron, "nemotron_h_moe": _nemotron, "t5": _t5,
        **dict.fromkeys(_HYBRIDS, _hybrid),
    }  # fmt: skip
    found = _decoder(rng, architecture)
    if architecture in _MIXTURES or architecture in ("mixtral", "deepseek2", "qwen35moe", "qwen3next", "lfm2moe", "nomic-bert-moe"):
        found["experts"] = _experts(rng, architecture, found)
    if architecture in _WINDOWS:
        tokens = 8192 if architecture == "llama4" else rng.choice((128, 512, 1024))
        found["window"] = Window(tokens, local_layers(found["n_layers"], _WINDOWS[architecture]))
    if architecture in ENCODERS:
        found |= {"kind": "text-embedding", "context_length": 512, "n_token_types": 0 if architecture == "gemma-embedding" else 2}
    if architecture == "bert":
        found["parts"] = ("qkv_bias", "output_bias")
    if architecture == "nomic-bert-moe":
        found["parts"] = ("output_bias",)
    if architecture.startswith("qwen3vl"):
        found["n_layers"] += 4
    if architecture in special:
        special[architecture](rng, architecture, found)
    return Shape(name=architecture, architecture="llama" if architecture == "mixtral" else architecture, **found)


def draw_options(rng: random.Random, shape: Shape) -> CacheOptions:
    """Random server options that llama.cpp accepts for a model."""
    slots = rng.choice((1, 2, 3, 4, 8))
    flash = rng.random() < 0.7
    key = rng.choice(("f16", "f16", "q8_0", "q4_0", "f32"))
    value = key if shape.latent else rng.choice(("f16", key))
    if not flash or shape.architecture in (*ENCODERS, "t5"):
        key, value = ("f16", "f16") if shape.latent or shape.architecture in (*ENCODERS, "t5") else (key, "f16")
    ubatch = rng.choice((64, 128, 500, 512, 512, 1024, 2048))
    if shape.architecture in ENCODERS:
        ubatch = slots * rng.choice((64, 128, 256))
    context = rng.choice((1000, 2048, 4096, 8192, 16384, 40000))
    unified = shape.architecture == "t5" or rng.random() < 0.5
    return CacheOptions(max(context, ubatch, 256 * slots), slots, ubatch, unified, key, value, flash)


def _decoder(rng: random.Random, architecture: str) -> dict[str, Any]:
    heads, dim = rng.choice((4, 8, 12, 16, 32)), rng.choice((32, 64, 96, 128))
    kv_heads = heads if architecture in _FULL_HEADS else rng.choice([count for count in (1, 2, 4, 8) if heads % count == 0])
    width = heads * dim
    if architecture in _FREE_WIDTH:
        width = 64 * rng.randint(4, 48)
    return {
        "n_layers": rng.choice((2, 3, 6, 13, 24)), "n_embd": width, "n_vocab": rng.choice((1000, 8192, 32000)),
        "context_length": 32768,
        "n_heads": heads, "n_kv_heads": kv_heads, "key_dim": dim, "value_dim": dim, "n_ff": 32 * rng.randint(16, 300),
        "tied": architecture in _TIED,
    }  # fmt: skip


def _experts(rng: random.Random, architecture: str, found: dict[str, Any]) -> Experts:
    total = rng.choice((8, 16, 60, 128))
    used = 1 if architecture == "llama4" else rng.choice((2, 4, 6, 8))
    wide = architecture in ("mixtral", "nomic-bert-moe")
    n_ff = found["n_ff"] if wide else 32 * rng.randint(4, 48)
    if architecture in _EXPERTS_AS_WIDE:
        found["n_ff"] = n_ff
    shared = 1 if architecture in _SHARED else 0
    n_ff_shared = shared * (n_ff if architecture in ("llama4", "glm4moe", "dots1", "deepseek2") else 32 * rng.randint(4, 48))
    leading = rng.choice((1, 2)) if architecture in ("glm4moe", "dots1", "deepseek2", "lfm2moe") else 0
    every = 2 if architecture == "nomic-bert-moe" else rng.choice((1, 2)) if architecture == "llama4" else 1
    return Experts(total, used, n_ff, shared, n_ff_shared, leading, every)


def _deepseek2(rng: random.Random, architecture: str, found: dict[str, Any]) -> None:
    rope, rank, value = rng.choice((32, 64)), rng.choice((128, 256, 512)), rng.choice((64, 128))
    q_rank = rng.choice((0, 384, 768))
    found["latent"] = Latent(q_rank, rank, rope, value + rope, value)
    found |= {"n_kv_heads": 1, "key_dim": rank + rope, "value_dim": rank, "n_layers": rng.choice((4, 9)) if q_rank else 27}
    found["parts"] = rng.choice(((), ("expert_bias",)))


def _gemma4(rng: random.Random, architecture: str, found: dict[str, Any]) -> None:
    layers, dim = rng.choice((6, 12, 18)), found["key_dim"]
    found |= {"n_layers": layers, "key_dim": 2 * dim, "value_dim": 2 * dim}
    found["window"] = Window(rng.choice((512, 1024)), local_layers(layers, 6), dim, dim)
    found["parts"] = ("qk_norm", "rope_freqs")
    if rng.random() < 0.5:
        found["n_embd_per_layer"] = rng.choice((128, 256))
    elif rng.random() < 0.5:
        found["experts"] = Experts(rng.choice((16, 128)), 8, 32 * rng.randint(4, 40))


def _hybrid(rng: random.Random, architecture: str, found: dict[str, Any]) -> None:
    layers = rng.choice((4, 8, 16))
    recurrent = tuple((layer + 1) % 4 != 0 for layer in range(layers))
    found["n_layers"] = layers
    if architecture.startswith("qwen"):
        groups, state = rng.choice((4, 8, 16)), rng.choice((64, 128))
        heads = groups * rng.choice((1, 2, 4))
        found["recurrent"] = Recurrent(recurrent, 4, heads * state, state, groups, heads)
        found |= {"rope_dim": 32, "parts": ("qk_norm",)}
        return
    found["n_kv_heads"] = tuple(0 if state else found["n_kv_heads"] for state in recurrent)
    if architecture.startswith("lfm2"):
        found["recurrent"] = Recurrent(recurrent, rng.choice((3, 4)), found["n_embd"], 0, 0, 0)
        found["parts"] = ("qk_norm", "expert_bias") if architecture == "lfm2moe" else ("qk_norm",)
        return
    inner = 2 * found["n_embd"]
    found["recurrent"] = Recurrent(recurrent, 4, inner, rng.choice((64, 128)), rng.choice((1, 2, 4)), inner // 32)
    if rng.random() < 0.5:
        found["experts"] = Experts(rng.choice((16, 64)), 4, found["n_ff"], 1, 32 * rng.randint(4, 48))


def _nemotron(rng: random.Random, architecture: str, found: dict[str, Any]) -> None:
    pattern = rng.choice(("MFMA", "MFMFAF", "MMFAF"))
    order = (pattern * 8)[: rng.choice((6, 11, 20))]
    heads, width = rng.choice((16, 32, 64)), found["n_ff"]
    found["n_layers"] = len(order)
    found["n_kv_heads"] = tuple(found["n_kv_heads"] if kind == "A" else 0 for kind in order)
    found["recurrent"] = Recurrent(
        tuple(kind == "M" for kind in order), 4, heads * 64, rng.choice((64, 128)), rng.choice((1, 2, 8)), heads
    )
    if architecture == "nemotron_h_moe":
        width = 32 * rng.randint(4, 48)
        layers = tuple(kind == "F" for kind in order)
        found["experts"] = Experts(rng.choice((16, 128)), rng.choice((2, 6)), width, 1, 2 * width, layers=layers)
        found["parts"] = ("expert_bias",)
    found["n_ff"] = tuple(width if kind == "F" else 0 for kind in order)


def _t5(rng: random.Random, architecture: str, found: dict[str, Any]) -> None:
    found |= {"n_decoder_layers": found["n_layers"], "context_length": 512, "n_buckets": 32, "tied": True}
    found["parts"] = rng.choice(((), ("gate",)))
