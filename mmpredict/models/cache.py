"""Size of the cache that a context allocates when it is created: keys and values, and states of recurrent layers.

llama.cpp fills it with zeros at once, so the whole configured context is resident from the start, however little is used.
Rules: llama.cpp ``src/llama-kv-cache.cpp``, ``llama-kv-cache-iswa.cpp``, ``llama-memory-recurrent.cpp`` and
``llama_model::create_memory``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from mmpredict.errors import InputError
from mmpredict.models.quantization.weight_types import WeightType, tensor_bytes, weight_type
from mmpredict.models.shape import Shape

CELL_PADDING = 256  # of a context (src/llama-context.cpp) and of a window's cache
STATE_BYTES = 4  # recurrent states are 32-bit
CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")  # --cache-type-k, --cache-type-v
WITHOUT_CACHE = frozenset(
    [
        "bert",
        "nomic-bert",
        "nomic-bert-moe",
        "jina-bert-v2",
        "jina-bert-v3",
        "neo-bert",
        "eurobert",
        "modern-bert",
        "gemma-embedding",
        "gemma-embedding2",
        "dream",
        "llada",
        "llada-moe",
        "rnd1",
        "clip",
        "whisper",
    ]
)
"""Architectures for which llama.cpp creates no cache: encoders, and models that write all tokens at once."""


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """How a server sets up its cache.

    Attributes:
        context_tokens: cells of all slots together (``--ctx-size``) [tokens].
        slots: sequences served at a time [1].
        ubatch_tokens: physical batch [tokens].
        unified: whether all slots share the cells, or each has ``context_tokens / slots`` of its own.
        key_type, value_type: storage of keys and of values.
        flash_attention: whether attention is one fused operation; without it values are kept transposed.

    Raises:
        InputError: a type that a cache cannot have.
    """

    context_tokens: int
    slots: int = 1
    ubatch_tokens: int = 512
    unified: bool = True
    key_type: str = "f16"
    value_type: str = "f16"
    flash_attention: bool = True

    def __post_init__(self) -> None:
        for kind, name in (("keys", self.key_type), ("values", self.value_type)):
            if name not in CACHE_TYPES:
                raise InputError(f"{kind} cannot be cached as {name!r}; allowed: {', '.join(CACHE_TYPES)}")
        if weight_type(self.value_type).block_weights > 1 and not self.flash_attention:
            raise InputError(
                f"values can be cached as {self.value_type} only with flash attention; leave it on, or cache them as f16"
            )

    @property
    def streams(self) -> int:
        """Separate caches [1]."""
        return 1 if self.unified else self.slots

    @property
    def slot_cells(self) -> int:
        """Cells that one sequence can use [tokens]."""
        return padded(self.context_tokens if self.unified else padded(self.context_tokens) // self.slots)


@lru_cache(256)
def layer_cache_bytes(shape: Shape, options: CacheOptions) -> tuple[int, ...]:
    """Cache of every layer [bytes]; 0 for a layer that keeps nothing."""
    if shape.architecture in WITHOUT_CACHE:
        return (0,) * shape.n_layers
    return tuple(_layer_bytes(shape, layer, options) for layer in range(shape.n_layers))


def cache_bytes(shape: Shape, options: CacheOptions) -> int:
    """Cache of all layers together [bytes]."""
    return sum(layer_cache_bytes(shape, options))


def local_cells(window_tokens: int, options: CacheOptions) -> int:
    """Cells of a local layer's cache, per stream [tokens]: the windows of its sequences and one physical batch."""
    reach = window_tokens * (options.slots if options.unified else 1) + options.ubatch_tokens
    return padded(min(options.slot_cells, reach))


def padded(cells: int) -> int:
    """``cells`` rounded up as llama.cpp does."""
    return -(-cells // CELL_PADDING) * CELL_PADDING


def _layer_bytes(shape: Shape, layer: int, options: CacheOptions) -> int:
    if layer >= shape.n_layers - shape.n_draft_layers:
        return 0
    if shape.recurrent is not None and shape.is_recurrent(layer):
        state = shape.recurrent
        convolution = max(0, state.conv - 1) * (state.inner + 2 * state.groups * state.state)
        return STATE_BYTES * options.slots * (convolution + state.state * state.inner)
    cells = options.slot_cells
    key_width, value_width = shape.kv_heads(layer) * shape.key_dim, shape.kv_heads(layer) * shape.value_dim
    if shape.latent is not None:  # keys hold everything, values are a view of them
        key_width, value_width = shape.latent.kv_rank + shape.latent.rope_dim, 0
    if shape.window is not None and shape.is_local(layer):
        cells = local_cells(shape.window.tokens, options)
        key_width = shape.kv_heads(layer) * (shape.window.key_dim or shape.key_dim)
        value_width = shape.kv_heads(layer) * (shape.window.value_dim or shape.value_dim)
    key, value = weight_type(options.key_type), weight_type(options.value_type)
    return options.streams * (_rows(key, key_width, cells) + _rows(value, value_width, cells))


def _rows(stored: WeightType, width: int, cells: int) -> int:
    return tensor_bytes(stored, (width, cells)) if width else 0
