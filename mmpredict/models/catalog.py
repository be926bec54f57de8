"""Known architectures: the shapes from which tensor lists are made.

Shapes are those of the published ``config.json`` of each model (the ``source`` of each row names the repository).
The ``probe-`` rows are shapes of no real model: calibration uses them, so that every real model remains unseen.
One of them is larger than the caches of usual processors: weights that a cache holds are read faster.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmpredict.errors import UnknownNameError
from mmpredict.models.quantization import WEIGHT_TYPES, WeightType, storable_type
from mmpredict.models.spec import ModelSpec, Tensor


@dataclass(frozen=True, slots=True)
class Shape:
    """Hyperparameters of a decoder-only transformer."""

    name: str
    architecture: str
    n_layers: int
    n_embd: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    n_ff: int
    n_vocab: int
    context_length: int
    tied: bool
    source: str
    sliding_window: int = 0
    sliding_pattern: int = 1
    rope_base: float = 10000.0


_ROWS = (
    Shape("smollm2-135m", "llama", 30, 576, 9, 3, 64, 1536, 49152, 8192, True, "HuggingFaceTB/SmolLM2-135M", rope_base=1e5),
    Shape("smollm2-360m", "llama", 32, 960, 15, 5, 64, 2560, 49152, 8192, True, "HuggingFaceTB/SmolLM2-360M", rope_base=1e5),
    Shape("smollm2-1.7b", "llama", 24, 2048, 32, 32, 64, 8192, 49152, 8192, True, "HuggingFaceTB/SmolLM2-1.7B", rope_base=1.3e5),
    Shape("tinyllama-1.1b", "llama", 22, 2048, 32, 4, 64, 5632, 32000, 2048, False, "TinyLlama/TinyLlama-1.1B-Chat-v1.0"),
    Shape("llama3.2-1b", "llama", 16, 2048, 32, 8, 64, 8192, 128256, 131072, True, "meta-llama/Llama-3.2-1B", rope_base=5e5),
    Shape("llama3.2-3b", "llama", 28, 3072, 24, 8, 128, 8192, 128256, 131072, True, "meta-llama/Llama-3.2-3B", rope_base=5e5),
    Shape("llama3.1-8b", "llama", 32, 4096, 32, 8, 128, 14336, 128256, 131072, False, "meta-llama/Llama-3.1-8B", rope_base=5e5),
    Shape("qwen2.5-0.5b", "qwen2", 24, 896, 14, 2, 64, 4864, 151936, 32768, True, "Qwen/Qwen2.5-0.5B", rope_base=1e6),
    Shape("qwen2.5-1.5b", "qwen2", 28, 1536, 12, 2, 128, 8960, 151936, 32768, True, "Qwen/Qwen2.5-1.5B", rope_base=1e6),
    Shape("qwen2.5-3b", "qwen2", 36, 2048, 16, 2, 128, 11008, 151936, 32768, True, "Qwen/Qwen2.5-3B", rope_base=1e6),
    Shape("qwen2.5-7b", "qwen2", 28, 3584, 28, 4, 128, 18944, 152064, 32768, False, "Qwen/Qwen2.5-7B", rope_base=1e6),
    Shape("gemma-2b", "gemma", 18, 2048, 8, 1, 256, 16384, 256000, 8192, True, "google/gemma-2b"),
    Shape("gemma3-270m", "gemma3", 18, 640, 4, 1, 256, 2048, 262144, 32768, True, "google/gemma-3-270m", 512, 6, 1e6),
    Shape("gemma3-1b", "gemma3", 26, 1152, 4, 1, 256, 6912, 262144, 32768, True, "google/gemma-3-1b-pt", 512, 6, 1e6),
    Shape("probe-narrow", "llama", 16, 768, 12, 4, 64, 2048, 131072, 8192, True, "no real model"),
    Shape("probe-deep", "llama", 32, 640, 10, 2, 64, 2560, 8192, 8192, True, "no real model"),
    Shape("probe-large", "llama", 8, 2560, 20, 4, 128, 8192, 8192, 8192, True, "no real model"),
    Shape("probe-wide", "llama", 6, 2048, 16, 4, 128, 5120, 32768, 8192, False, "no real model"),
)
CATALOG = {row.name: row for row in _ROWS}


def shape(name: str) -> Shape:
    """Look up an architecture by name.

    Raises:
        UnknownNameError: no such architecture.
    """
    try:
        return CATALOG[name.lower()]
    except KeyError:
        raise UnknownNameError("architecture", name, CATALOG, "(mmpredict models list)") from None


def matrix_shapes(row: Shape) -> list[tuple[str, tuple[int, ...]]]:
    """Name and shape of every tensor, in the order in which llama.cpp's converters write them."""
    q_width, kv_width = row.n_heads * row.head_dim, row.n_kv_heads * row.head_dim
    tensors: list[tuple[str, tuple[int, ...]]] = [("token_embd.weight", (row.n_embd, row.n_vocab))]
    for layer in range(row.n_layers):
        prefix = f"blk.{layer}."
        block: list[tuple[str, tuple[int, ...]]] = [
            ("attn_norm.weight", (row.n_embd,)),
            ("attn_q.weight", (row.n_embd, q_width)),
            ("attn_k.weight", (row.n_embd, kv_width)),
            ("attn_v.weight", (row.n_embd, kv_width)),
            ("attn_output.weight", (q_width, row.n_embd)),
            ("ffn_norm.weight", (row.n_embd,)),
            ("ffn_gate.weight", (row.n_embd, row.n_ff)),
            ("ffn_up.weight", (row.n_embd, row.n_ff)),
            ("ffn_down.weight", (row.n_ff, row.n_embd)),
        ]
        if row.architecture == "qwen2":
            block += [("attn_q.bias", (q_width,)), ("attn_k.bias", (kv_width,)), ("attn_v.bias", (kv_width,))]
        if row.architecture == "gemma3":
            block += [
                ("attn_q_norm.weight", (row.head_dim,)),
                ("attn_k_norm.weight", (row.head_dim,)),
                ("post_attention_norm.weight", (row.n_embd,)),
                ("post_ffw_norm.weight", (row.n_embd,)),
            ]
        tensors += [(prefix + name, extents) for name, extents in block]
    tensors.append(("output_norm.weight", (row.n_embd,)))
    if not row.tied:
        tensors.append(("output.weight", (row.n_embd, row.n_vocab)))
    return tensors


def catalog_spec(name: str, matrices: WeightType) -> ModelSpec:
    """The model of a catalog shape with every matrix in one weight type and every vector in ``f32``.

    Rows that the type's block does not divide are stored as llama.cpp stores them (``storable_type``).

    Raises:
        UnknownNameError: no such architecture.
    """
    row = shape(name)
    vector = WEIGHT_TYPES["f32"]
    tensors = tuple(
        Tensor(tensor_name, extents, storable_type(matrices, extents[0]) if len(extents) > 1 else vector)
        for tensor_name, extents in matrix_shapes(row)
    )
    return ModelSpec(
        name=f"{row.name}@{matrices.name}",
        architecture=row.architecture,
        n_layers=row.n_layers,
        n_embd=row.n_embd,
        n_heads=row.n_heads,
        n_kv_heads=row.n_kv_heads,
        head_dim=row.head_dim,
        n_ff=row.n_ff,
        n_vocab=row.n_vocab,
        context_length=row.context_length,
        tensors=tensors,
        sliding_window=row.sliding_window,
        sliding_pattern=row.sliding_pattern,
        source=row.source,
    )
