"""What a model is, byte for byte: its tensors, and the sizes that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mmpredict.models.quantization import WeightType, tensor_bytes

KV_CELL_PADDING = 256  # llama.cpp pads the cells of a KV cache to this (src/llama-context.cpp)
F16_BYTES = 2


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a model file; ``shape`` begins with the row length, as in GGUF."""

    name: str
    shape: tuple[int, ...]
    type: WeightType

    @property
    def weights(self) -> int:
        """Number of weights [1]."""
        count = 1
        for extent in self.shape:
            count *= extent
        return count

    @property
    def size_bytes(self) -> int:
        """Stored size [bytes]."""
        return tensor_bytes(self.type, self.shape)

    @property
    def is_matrix(self) -> bool:
        """Whether a step multiplies with it (norms and biases are vectors, the embedding table is only looked up)."""
        return len(self.shape) >= 2 and self.name != "token_embd.weight"


@dataclass(frozen=True, slots=True)
class MatrixGroup:
    """All matrices of one weight type that a step multiplies every token with."""

    type: WeightType
    weights: int
    size_bytes: int


@dataclass(frozen=True)
class ModelSpec:
    """A model as the cost and memory models see it.

    Attributes:
        name: the name by which it was asked for.
        architecture: GGUF architecture (``llama``, ``qwen2``, ``gemma3``).
        n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff, n_vocab: shape [1].
        context_length: training context [tokens].
        tensors: every tensor of the file.
        sliding_window: window of the local attention layers [tokens]; 0 when every layer sees everything.
        sliding_pattern: every ``sliding_pattern``-th layer is global when there is a window.
        path: the file, once it exists.
        source: where the description comes from.
    """

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
    tensors: tuple[Tensor, ...]
    sliding_window: int = 0
    sliding_pattern: int = 1
    path: Path | None = None
    source: str = ""

    @cached_property
    def parameters(self) -> int:
        """Number of weights [1]."""
        return sum(tensor.weights for tensor in self.tensors)

    @cached_property
    def weight_bytes(self) -> int:
        """All tensors as stored [bytes]."""
        return sum(tensor.size_bytes for tensor in self.tensors)

    @cached_property
    def tied_output(self) -> bool:
        """Whether the embedding table is also the output matrix."""
        return not any(tensor.name == "output.weight" for tensor in self.tensors)

    @cached_property
    def output_matrix(self) -> Tensor:
        """The matrix that turns a hidden state into logits; evaluated only for tokens whose logits are wanted."""
        wanted = "token_embd.weight" if self.tied_output else "output.weight"
        return next(tensor for tensor in self.tensors if tensor.name == wanted)

    @cached_property
    def body_groups(self) -> tuple[MatrixGroup, ...]:
        """The matrices that every token passes (all but embedding table and output), by type."""
        groups: dict[str, list[Tensor]] = {}
        for tensor in self.tensors:
            if tensor.is_matrix and tensor.name != "output.weight":
                groups.setdefault(tensor.type.name, []).append(tensor)
        return tuple(
            MatrixGroup(members[0].type, sum(t.weights for t in members), sum(t.size_bytes for t in members))
            for _, members in sorted(groups.items())
        )

    @cached_property
    def repacked_bytes(self) -> int:
        """Matrices that the CPU backend copies into its own layout [bytes]; a tied output matrix is copied too."""
        body = sum(group.size_bytes for group in self.body_groups if group.type.repacked)
        return body + (self.output_matrix.size_bytes if self.output_matrix.type.repacked else 0)

    @cached_property
    def windowed_layers(self) -> int:
        """Layers whose attention sees only the sliding window [1]."""
        if not self.sliding_window:
            return 0
        return sum(1 for layer in range(self.n_layers) if layer % self.sliding_pattern < self.sliding_pattern - 1)

    @cached_property
    def pass_bytes(self) -> int:
        """Weights that one evaluation of all layers and of the output reads [bytes]."""
        return sum(group.size_bytes for group in self.body_groups) + self.output_matrix.size_bytes

    @property
    def kv_bytes_per_cell_layer(self) -> int:
        """Keys and values of one token in one layer, 16-bit [bytes]."""
        return 2 * self.n_kv_heads * self.head_dim * F16_BYTES

    def kv_cache_bytes(self, context_tokens: int, slots: int, batch_tokens: int) -> int:
        """Size of a unified KV cache as llama.cpp allocates it [bytes].

        Local layers hold ``window · slots + ubatch`` cells at most (``src/llama-kv-cache-iswa.cpp``).
        """
        cells = _padded(context_tokens)
        local_cells = min(cells, _padded(self.sliding_window * slots + batch_tokens))
        global_layers = self.n_layers - self.windowed_layers
        return self.kv_bytes_per_cell_layer * (global_layers * cells + self.windowed_layers * local_cells)


def _padded(cells: int) -> int:
    return -(-cells // KV_CELL_PADDING) * KV_CELL_PADDING
