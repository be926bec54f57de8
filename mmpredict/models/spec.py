"""What a model is, byte for byte: its hyperparameters, its tensors, and the sizes that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mmpredict.models.expert_use import touched_share
from mmpredict.models.quantization.weight_types import WeightType, tensor_bytes
from mmpredict.models.shape import Shape

OUTPUT, EMBEDDING = "output.weight", "token_embd.weight"
# Only looked up, never multiplied with.
TABLES = frozenset({EMBEDDING, "position_embd.weight", "token_types.weight", "per_layer_token_embd.weight"})
LATE_CUT = frozenset({"gemma3n", "gemma4", "gpt-oss", "nemotron_h", "nemotron_h_moe", "qwen3next", "qwen35", "qwen35moe"})
"""Architectures whose graph keeps all tokens to the end: of most of them a draft model may ask for every hidden state."""

ROUTER_FRAC = 0.02  # of the weights that a token passes; groups that hold less are routers and other small ones


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
    def rows(self) -> int:
        """Number of rows [1]."""
        return self.weights // self.shape[0]

    @property
    def size_bytes(self) -> int:
        """Stored size [bytes]."""
        return tensor_bytes(self.type, self.shape)

    @property
    def is_matrix(self) -> bool:
        """Whether a step multiplies with it (norms and biases are vectors, embedding tables are only looked up)."""
        return len(self.shape) >= 2 and self.name not in TABLES

    @property
    def is_expert(self) -> bool:
        """Whether it holds the matrices of all experts of a layer, of which a token passes only some."""
        return "_exps." in self.name

    @property
    def layer(self) -> int | None:
        """The block it belongs to; ``None`` for embedding, output and what else stands outside."""
        head, _, rest = self.name.partition("blk.")
        number = rest.partition(".")[0]
        return int(number) if not head and number.isdigit() else None


@dataclass(frozen=True, slots=True)
class MatrixGroup:
    """All matrices of one weight type that steps multiply with, those of experts apart from the others.

    Attributes:
        type: of the weights.
        weights, size_bytes, rows: of all matrices [1; bytes; 1].
        experts: whether a token passes only some of them.
        final_weights, final_rows: what only tokens pass whose logits are wanted (``ModelSpec.is_final``) [1].
        sizes: rows and columns of one matrix, and the weights of all that have so many [1].
    """

    type: WeightType
    weights: int
    size_bytes: int
    rows: int
    experts: bool
    final_weights: int
    final_rows: int
    sizes: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class ModelSpec:
    """A model as the cost and memory models see it.

    Attributes:
        name: the name by which it was asked for.
        shape: its hyperparameters.
        tensors: every tensor of the file.
        metadata_bytes: what the file holds besides (vocabulary, chat template, padding), where known or estimated [bytes].
        path: the file, once it exists.
        source: where the description comes from.
        n_merges: merges of a byte-pair vocabulary [1].
        doubts: what is assumed where a rule is not known.
    """

    name: str
    shape: Shape
    tensors: tuple[Tensor, ...]
    metadata_bytes: int = 0
    path: Path | None = None
    source: str = ""
    n_merges: int = 0
    doubts: tuple[str, ...] = ()

    def __hash__(self) -> int:
        return hash((self.name, self.weight_bytes))  # what depends on a model alone is remembered; all tensors would take too long

    @property
    def file(self) -> str:
        """What identifies the file: processes that map the same one share its pages."""
        return str(self.path or self.name)

    @cached_property
    def parameters(self) -> int:
        """Number of weights [1]."""
        return sum(tensor.weights for tensor in self.tensors)

    @cached_property
    def weight_bytes(self) -> int:
        """All tensors as stored [bytes]."""
        return sum(tensor.size_bytes for tensor in self.tensors)

    @property
    def file_bytes(self) -> int:
        """The whole file [bytes]."""
        return self.weight_bytes + self.metadata_bytes

    @cached_property
    def tied_output(self) -> bool:
        """Whether the embedding table is also the output matrix."""
        return self.shape.tied and not any(tensor.name == OUTPUT for tensor in self.tensors)

    @cached_property
    def output_matrix(self) -> Tensor | None:
        """The matrix that turns a hidden state into logits, for tokens whose logits are wanted; encoders have none."""
        wanted = EMBEDDING if self.tied_output else OUTPUT
        return next((tensor for tensor in self.tensors if tensor.name == wanted), None)

    def is_final(self, tensor: Tensor) -> bool:
        """Whether only tokens whose logits are wanted pass a matrix: the last layer's feed-forward network.

        llama.cpp lets go of the other tokens once the last layer's attention has seen them (``src/models/*.cpp``,
        ``inp_out_ids``), except in ``LATE_CUT``; encoders want them all.
        """
        shape = self.shape
        last = shape.n_layers - shape.n_draft_layers - 1
        kept = self.output_matrix is None or shape.architecture in LATE_CUT
        return not kept and tensor.layer == last and ".ffn_" in tensor.name

    @cached_property
    def body_groups(self) -> tuple[MatrixGroup, ...]:
        """The matrices that tokens pass (all but embedding tables and output), by type, experts apart."""
        groups: dict[tuple[str, bool], list[Tensor]] = {}
        for tensor in self.tensors:
            if tensor.is_matrix and tensor.name != OUTPUT:
                groups.setdefault((tensor.type.name, tensor.is_expert), []).append(tensor)
        return tuple(self._group(members, experts) for (_, experts), members in sorted(groups.items()))

    def _group(self, members: Sequence[Tensor], experts: bool) -> MatrixGroup:
        final = [tensor for tensor in members if self.is_final(tensor)]
        sizes: dict[tuple[int, int], int] = {}
        for tensor in members:
            columns, rows = tensor.shape[:2]
            sizes[rows, columns] = sizes.get((rows, columns), 0) + tensor.weights
        return MatrixGroup(
            members[0].type,
            sum(tensor.weights for tensor in members),
            sum(tensor.size_bytes for tensor in members),
            sum(tensor.rows for tensor in members),
            experts,
            sum(tensor.weights for tensor in final),
            sum(tensor.rows for tensor in final),
            tuple((*size, weights) for size, weights in sorted(sizes.items())),
        )

    @cached_property
    def output_group(self) -> MatrixGroup | None:
        """The output matrix as a group of its own."""
        return self._group([self.output_matrix], False) if self.output_matrix else None

    @cached_property
    def main_groups(self) -> tuple[MatrixGroup, ...]:
        """The groups that a token's time goes to: without routers, which hold hardly any weights but have a type of their own."""
        coverage = self.expert_coverage(1)
        passed = [group.weights * (coverage if group.experts else 1.0) for group in self.body_groups]
        return tuple(group for group, own in zip(self.body_groups, passed, strict=True) if own > ROUTER_FRAC * sum(passed))

    @cached_property
    def weight_types(self) -> frozenset[str]:
        """Names of the types that steps multiply with."""
        output = {self.output_matrix.type.name} if self.output_matrix else set()
        return frozenset({group.type.name for group in self.main_groups} | output)

    def expert_coverage(self, tokens: float) -> float:
        """Expected share of a layer's experts that a batch touches [1]; see ``expert_use.touched_share``."""
        return touched_share(self.shape.experts, tokens)

    def pass_bytes(self, tokens: float = 1) -> float:
        """Weights that one evaluation of ``tokens`` tokens by all layers and the output reads [bytes]."""
        coverage = self.expert_coverage(tokens)
        body = sum(group.size_bytes * (coverage if group.experts else 1.0) for group in self.body_groups)
        return body + (self.output_matrix.size_bytes if self.output_matrix else 0)

    @cached_property
    def active_parameters(self) -> float:
        """Weights that one token passes, embedding tables apart [1]."""
        coverage = self.expert_coverage(1)
        body = sum(group.weights * (coverage if group.experts else 1.0) for group in self.body_groups)
        return body + (self.output_matrix.weights if self.output_matrix else 0)

    @cached_property
    def attention_widths(self) -> tuple[tuple[float, float], ...]:
        """How far layers see [tokens, infinite without a window], and the key and value widths of all their heads, summed [1]."""
        widths: dict[float, float] = {}
        shape = self.shape
        for layer in range(shape.n_layers - shape.n_draft_layers):
            if shape.is_recurrent(layer) or not shape.kv_heads(layer):
                continue
            limit, head = float("inf"), shape.key_dim + shape.value_dim
            if shape.latent:
                head = 2 * shape.latent.kv_rank + shape.latent.rope_dim
            if shape.window and shape.is_local(layer):
                limit = float(shape.window.tokens)
                head = (shape.window.key_dim or shape.key_dim) + (shape.window.value_dim or shape.value_dim)
            widths[limit] = widths.get(limit, 0.0) + shape.heads(layer) * head
        return tuple(sorted(widths.items()))
