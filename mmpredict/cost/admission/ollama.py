"""Ollama's own arithmetic before it loads a model: its prediction of memory, what it evicts, and the defaults that follow.

Source: Ollama ``server/sched.go``, ``server/routes.go``, ``llm/llama_server.go`` and ``llm/server.go`` at commit fb3076099
(2026-08-21, v0.33): since v0.30 each model runs in a llama-server of its own, whose ``--fit`` decides over layers.
"""

from __future__ import annotations

from mmpredict.errors import InputError
from mmpredict.models.shape import Shape, largest
from mmpredict.models.spec import ModelSpec
from mmpredict.units import GIB, MIB

EXPLANATION = "file + 2 × layers × least key heads × (width ÷ most heads) × context × 2 bytes"
MODELS_PER_GPU = 3  # OLLAMA_MAX_LOADED_MODELS is this times the number of GPUs, at least one
FREE_SHARE = 0.8  # of the free memory that a further model may be predicted to take
MIN_CONTEXT_TOKENS = 4
EMBEDDING_BATCH_TOKENS = 2048
CACHE_TYPES = ("f16", "q8_0", "q4_0")  # OLLAMA_KV_CACHE_TYPE
# Architectures that it never gives more than one slot.
ONE_SLOT = frozenset((
    "mllama", "qwen3vl", "qwen3vlmoe", "qwen35", "qwen35moe", "qwen3next", "lfm2", "lfm2moe",
    "nemotron_h", "nemotron_h_moe", "nemotron_h_omni",
))  # fmt: skip
_CONTEXT_TIERS = ((47 * GIB, 262_144), (23 * GIB, 32_768), (0, 4096))
_BATCHES = ((32_768, 2048), (4096, 1024), (0, 512))
_SURCHARGES = {2048: 2 * GIB, 1024: 768 * MIB}
_HEADROOM = {2048: 0.60, 1024: 0.75}
_HOST_HEADROOM_BYTES = 8e9
_HOST_HEADROOM_SHARE = 0.1


def predicted_bytes(spec: ModelSpec, cells: int) -> int:
    """What Ollama predicts that a model takes of a GPU [bytes].

    The formula knows neither windows, nor latent attention, nor recurrent layers, nor quantized caches, nor head sizes of their
    own, nor the compute buffer.

    Args:
        spec: the model.
        cells: context of all slots together [tokens].
    """
    shape = spec.shape
    heads = largest(shape.n_heads)
    least = min(shape.n_kv_heads) if isinstance(shape.n_kv_heads, tuple) else shape.n_kv_heads
    head_dim = shape.n_embd // heads if heads else 0
    return spec.file_bytes + 2 * shape.n_layers * max(1, least) * head_dim * cells * 2


def surcharge_bytes(shape: Shape, batch_tokens: int) -> int:
    """What it adds for a large batch [bytes]."""
    if shape.kind == "text-embedding":
        return 0
    return max((size for batch, size in _SURCHARGES.items() if batch_tokens >= batch), default=0)


def default_context_tokens(gpu_bytes: float) -> int:
    """Context of a slot when none is asked for.

    Args:
        gpu_bytes: memory of all GPUs together as their drivers report it; 0 without one [bytes].
    """
    return next(tokens for bound, tokens in _CONTEXT_TIERS if gpu_bytes >= bound)


def context_tokens(wanted: int, shape: Shape) -> int:
    """Context of a slot: at least 4, at most what the model was trained on [tokens]."""
    return min(max(wanted, MIN_CONTEXT_TOKENS), shape.context_length or wanted)


def slots(wanted: int, shape: Shape) -> int:
    """Requests that it serves at a time, of those that ``OLLAMA_NUM_PARALLEL`` allows [1]."""
    alone = shape.kind == "text-embedding" or shape.architecture in ONE_SLOT
    return 1 if alone else wanted


def batch_tokens(shape: Shape, cells: int, predicted: float, available_bytes: float) -> int:
    """Logical and physical batch when none is asked for [tokens].

    Args:
        shape: the model.
        cells: context of all slots together [tokens].
        predicted: see ``predicted_bytes`` [bytes].
        available_bytes: free on the GPU; 0 without one, where nothing is checked [bytes].
    """
    if shape.kind == "text-embedding":
        return min(EMBEDDING_BATCH_TOKENS, cells)
    wanted = next(batch for bound, batch in _BATCHES if cells > bound)
    fitting = (batch for _, batch in _BATCHES if batch <= wanted and _batch_fits(batch, predicted, available_bytes))
    return next(fitting, _BATCHES[-1][1])


def evicts(predicted: float, free_bytes: float, loaded: int) -> bool:
    """Whether another model must go before this one is loaded beside ``loaded`` others, by memory; the first always loads.

    Args:
        predicted: with the surcharge of the batch [bytes].
        free_bytes: free on the GPU [bytes].
        loaded: models that are loaded already [1].
    """
    return loaded > 0 and predicted > FREE_SHARE * free_bytes


def maps_file(on_gpu: bool, integrated: bool, backend: str, partial: bool, pressure: bool) -> bool:
    """Whether the CPU's part of a model stays mapped from the file (on Linux and macOS).

    Args:
        on_gpu: whether a GPU is used.
        integrated: whether that GPU shares the system's memory.
        backend: of the GPU.
        partial: whether layers stay with the CPU, by request or by prediction.
        pressure: see ``host_pressure``.
    """
    if not on_gpu or pressure:
        return False
    if backend == "metal":
        return not partial
    return not integrated  # direct I/O with CUDA and ROCm; llama.cpp itself does not map for an integrated Vulkan GPU


def host_pressure(file_bytes: float, mapped_bytes: float, free_bytes: float, total_bytes: float) -> bool:
    """Whether the system is so short of memory that a file is read rather than mapped, beside a discrete GPU.

    Args:
        file_bytes: of this model [bytes].
        mapped_bytes: files of loaded models that are mapped [bytes].
        free_bytes, total_bytes: of the system's memory [bytes].
    """
    return free_bytes < file_bytes + mapped_bytes + max(_HOST_HEADROOM_BYTES, _HOST_HEADROOM_SHARE * total_bytes)


def check_cache_types(key_type: str, value_type: str) -> None:
    """Ollama has one setting for both.

    Raises:
        InputError: two types, or one that it does not take.
    """
    if key_type != value_type:
        raise InputError(f"Ollama caches keys and values in one type, not in {key_type} and {value_type}; use one, or llama-server")
    if key_type not in CACHE_TYPES:
        raise InputError(f"Ollama cannot cache keys and values as {key_type}; allowed: {', '.join(CACHE_TYPES)}")


def _batch_fits(batch: int, predicted: float, available_bytes: float) -> bool:
    if predicted == 0 or available_bytes == 0:
        return True
    limit = FREE_SHARE * available_bytes
    if predicted > limit or predicted > _HEADROOM.get(batch, 1.0) * available_bytes:
        return False
    return _SURCHARGES.get(batch, 0) <= limit - predicted
