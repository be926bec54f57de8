"""One step of one server, alone on the machine.

A step evaluates ``n`` tokens (one per decoding sequence plus a piece of prompts) and samples ``m`` of them::

    t = layer_s · L                                 barriers and small operations
      + Σ_types  u_type · W_type · k_type(n)        body matrices, every token
      + u_output · W_output · k_output(m)           output matrix, tokens whose logits are wanted
      + logit_s · V · m + sampled_s · m             sampling, and what a server does for each token besides
      + attention_s · MACs                          Σ_layers (key + value width of all heads) · Σ_tokens depth
      + cell_byte_s · cache                         keys and values that decoding sequences read
      + written_s · tokens · numbers                 what operations write for each other: norms, positions, activations, sums
      + masked_s · tokens · cells · heads            cells of other sequences in the same cache, which attention passes over
      + again_s · W_again                            matrices read again for tokens left over from groups of four
      + single_row_s · f · single rows               rows of matrices that one token is multiplied with, one row after the other
      + Σ_types  row_s_type · f · rows               rows of matrices that kernels for several tokens read in tiles
      + cell_row_s · f · cell rows                   keys and values of one head that lie far from those of the next cell

    k_type(n) = c_type(n) + f · far_type,   f = 1 − exp(−f · B / cache)

The share ``f`` of the weights that caches do not hold from one step to the next (``B`` is what a step reads) comes from memory,
later than from a cache; by how much depends on how a type's kernel reads. Of tokens whose logits are not wanted, W is without
the last layer's feed-forward network; ``u`` is what the busiest thread has to do ÷ an even part (``cost.chunks``).
``c_type(n)`` is interpolated between measured numbers of tokens: kernels change at small batches, so neither "batching is free"
nor "batching scales" holds. Depth of a local attention layer ends at its window.
Everything between two scheduling events is summed in closed form.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from mmpredict.cost.chunks import COPIED_TYPES, GROUP
from mmpredict.cost.coefficients import Kernel, StepCoefficients
from mmpredict.cost.matrices import EXPERTS, MatrixWork
from mmpredict.cost.piece import PromptPiece, cells_seen
from mmpredict.cost.rates.attention import AttentionLayers, attention_layers
from mmpredict.cost.rates.operations import written_numbers
from mmpredict.models.cache import WITHOUT_CACHE
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.models.spec import ModelSpec

GROUPED_TYPES = COPIED_TYPES | {"q8_0", "q5_0"}
"""Types whose kernels take ``GROUP`` tokens together; those that are left over go through the matrix once more (``sgemm.cpp``,
``mnpack``; ``repack.cpp``): five sequences of Q8_0 take longer than six, seven longer than eight."""

FAR_STEPS = 12  # of Newton's method, which starts at all and needs most where a pass is hardly longer than the caches

CELL_TYPE = "f16"  # what calibrations are measured with

FAR_CELL_BYTES = 2048
"""Keys of a cell, all heads, from which on those of one head lie too far from the next cell's to be fetched before they are asked
for: processors do that within a page of 4096 bytes, which then holds no more than two (a Xeon; ``docs/design.md``)."""


@dataclass(frozen=True, slots=True)
class StepFeatures:
    """What a stretch of work consists of: the equation's terms without their coefficients.

    Attributes:
        layers: layer evaluations (layers × passes) [1].
        pass_bytes: weights that one evaluation of all layers reads [bytes].
        prompts: prompts begun [1].
        logits: sampled tokens × vocabulary [1].
        sampled: tokens whose logits are taken [1].
        decode_macs, prefill_macs: attention multiply-accumulates [1].
        cell_bytes: keys and values that decoding reads [bytes].
        written: numbers that operations write for each other, of all tokens [1].
        masked_decode, masked_prefill: cells of other sequences that tokens pass over, times attention's heads, of all tokens [1].
        weights, again, single_rows, tiled_rows: see ``MatrixWork``.
        cell_rows: keys and values of one head in one cell that decoding reads, where they are ``FAR_CELL_BYTES`` apart [1].
    """

    layers: float
    pass_bytes: float
    prompts: float
    logits: float
    sampled: float
    decode_macs: float
    prefill_macs: float
    cell_bytes: float
    written: float
    weights: dict[tuple[str, int], float]
    masked_decode: float = 0.0
    masked_prefill: float = 0.0
    again: float = 0.0
    single_rows: float = 0.0
    tiled_rows: dict[str, float] = field(default_factory=dict)
    cell_rows: float = 0.0


def attention_macs(spec: ModelSpec, first_depth: float, tokens: float) -> float:
    """Multiply-accumulates of attention for consecutive tokens of one sequence.

    Args:
        spec: the model.
        first_depth: cells that the first token sees before itself [tokens].
        tokens: how many tokens follow each other [tokens].

    Returns:
        Σ over layers of (key + value width of all heads) · Σ over tokens of the cells seen [1]; an encoder's tokens see all of
        their text.
    """
    if spec.shape.architecture in WITHOUT_CACHE:
        return sum(width * tokens * min(tokens, limit) for limit, width in spec.attention_widths)
    return sum(width * cells_seen(first_depth, tokens, limit) for limit, width in spec.attention_widths)


def cell_bytes(spec: ModelSpec, first_depth: float, tokens: float) -> float:
    """Keys and values, in 16 bits, that consecutive tokens of one sequence read [bytes]."""
    return sum(
        layers.cell_bytes(CELL_TYPE, CELL_TYPE) * layers.cells(first_depth, tokens) for layers in attention_layers(spec.shape)
    )


def far_cell_rows(layers: AttentionLayers) -> float:
    """Keys and values of single heads that a token reads for each cell of alike layers, where they lie far apart [1]."""
    apart = layers.kv_heads > 1 and layers.kv_heads * layers.key_dim * weight_type(CELL_TYPE).bits_per_weight / 8 >= FAR_CELL_BYTES
    return 2.0 * layers.count * layers.kv_heads if apart else 0.0


def cell_rows(spec: ModelSpec, first_depth: float, tokens: float) -> float:
    """The same for all layers and the cells that consecutive tokens of one sequence see [1]."""
    return sum(far_cell_rows(layers) * layers.cells(first_depth, tokens) for layers in attention_layers(spec.shape))


def batch_features(
    spec: ModelSpec, depths: Sequence[float], pieces: Sequence[PromptPiece], ubatch_tokens: int, threads: int = 1
) -> StepFeatures:
    """One batch of a unified-cache server: a token of every decoding sequence, then pieces of prompts.

    The batch is evaluated in physical batches of at most ``ubatch_tokens``, by so many threads.
    """
    total = len(depths) + sum(piece.tokens for piece in pieces)
    sampled = len(depths) + sum(piece.last for piece in pieces)
    work = MatrixWork()
    passes = -(-total // ubatch_tokens)
    for number in range(passes):
        tokens = min(ubatch_tokens, total - number * ubatch_tokens)
        work.add_pass(spec, tokens, sampled if number == passes - 1 else 0, threads)
    return StepFeatures(
        layers=passes * spec.shape.n_trunk_layers,
        pass_bytes=spec.pass_bytes(min(total, ubatch_tokens)),
        prompts=sum(piece.start == 0 for piece in pieces),
        logits=sampled * spec.shape.n_vocab,
        sampled=float(sampled),
        decode_macs=sum(attention_macs(spec, depth, 1) for depth in depths),
        prefill_macs=sum(attention_macs(spec, piece.start, piece.tokens) for piece in pieces),
        cell_bytes=sum(cell_bytes(spec, depth, 1) for depth in depths),
        cell_rows=sum(cell_rows(spec, depth, 1) for depth in depths),
        written=float(total * written_numbers(spec.shape)),
        weights=work.weights,
        again=work.again,
        single_rows=work.single_rows,
        tiled_rows=work.tiled_rows,
    )


def decode_features(spec: ModelSpec, depths: Sequence[float], steps: int, threads: int = 1) -> StepFeatures:
    """``steps`` decode steps of sequences at the given depths, every sequence growing by one token a step, by so many threads."""
    count = len(depths)
    work = MatrixWork()
    work.add_pass(spec, count, count, threads, steps)
    macs = sum(attention_macs(spec, depth, steps) for depth in depths)
    return StepFeatures(
        layers=steps * spec.shape.n_trunk_layers,
        pass_bytes=spec.pass_bytes(count),
        prompts=0,
        logits=steps * count * spec.shape.n_vocab,
        sampled=float(steps * count),
        decode_macs=macs,
        prefill_macs=0.0,
        cell_bytes=sum(cell_bytes(spec, depth, steps) for depth in depths),
        cell_rows=sum(cell_rows(spec, depth, steps) for depth in depths),
        written=float(steps * count * written_numbers(spec.shape)),
        weights=work.weights,
        again=work.again,
        single_rows=work.single_rows,
        tiled_rows=work.tiled_rows,
    )


def masking_heads(spec: ModelSpec) -> int:
    """Heads, of all layers that see everything before a token, which pass over cells of other sequences [1]."""
    return sum(layers.count * layers.heads for layers in attention_layers(spec.shape) if math.isinf(layers.limit))


def far_share(pass_bytes: float, cache_bytes: float) -> float:
    """Share of the weights that a pass reads which caches do not hold until the next pass [1].

    All weights are read in turn, again and again. Until a line is wanted again, f · B bytes have come from memory, each in
    place of one of the cache's at random: it is still there with the probability exp(−f · B / cache). The largest f that agrees
    with itself is 0 up to the cache's size, 0.8 at twice and 0.94 at three times it.
    """
    if not pass_bytes or pass_bytes <= cache_bytes:
        return 0.0
    if not cache_bytes:
        return 1.0
    times = pass_bytes / cache_bytes
    share = 1.0
    for _ in range(FAR_STEPS):  # Newton's method, from above: the function is convex
        left = math.exp(-share * times)
        share -= (share - 1.0 + left) / (1.0 - times * left)
    return share


def kernel_weight_s(kernel: Kernel, tokens: int) -> float:
    """``c(n)``: linear between knots, proportional beyond the last one [s per weight]."""
    knots = kernel.batch_tokens
    if tokens > knots[-1]:
        return kernel.weight_s[-1] * tokens / knots[-1]
    above = bisect_left(knots, tokens)
    if above == 0 or knots[above] == tokens:
        return kernel.weight_s[above]
    share = (tokens - knots[above - 1]) / (knots[above] - knots[above - 1])
    return kernel.weight_s[above - 1] + share * (kernel.weight_s[above] - kernel.weight_s[above - 1])


class StepCost:
    """The step equation with the coefficients of one number of threads.

    Args:
        coefficients: fitted numbers.
    """

    __slots__ = ("_cache", "coefficients", "unmeasured")

    def __init__(self, coefficients: StepCoefficients) -> None:
        self.coefficients = coefficients
        self.unmeasured: set[str] = set()
        self._cache: dict[tuple[str, int], float] = {}

    def weight_s(self, weight_type: str, tokens: int) -> float:
        """Time per weight of a step [s]; a type that was not measured costs what the slowest measured one does."""
        key = (weight_type, tokens)
        found = self._cache.get(key)
        if found is None:
            kernels = self.coefficients.kernels
            own = kernels.get(weight_type)
            rest = tokens % GROUP if weight_type.removesuffix(EXPERTS) in GROUPED_TYPES else 0
            if own is not None and rest and tokens > GROUP and tokens not in own.batch_tokens:
                found = self.weight_s(weight_type, tokens - rest) + self.weight_s(weight_type, rest)
            elif own is not None:
                found = kernel_weight_s(own, tokens)
            elif weight_type.endswith(EXPERTS):
                found = self.weight_s(weight_type.removesuffix(EXPERTS), tokens) * self._expert_price(tokens)
            else:
                self.unmeasured.add(weight_type)
                dense = (kernel for name, kernel in kernels.items() if not name.endswith(EXPERTS))
                found = max(kernel_weight_s(kernel, tokens) for kernel in dense)
            self._cache[key] = found
        return found

    def _expert_price(self, tokens: int) -> float:
        """Weights of experts ÷ other weights of the same type, of the type whose experts were measured; 1 where none were [1]."""
        kernels = self.coefficients.kernels
        measured = [name for name in kernels if name.endswith(EXPERTS) and name.removesuffix(EXPERTS) in kernels]
        if not measured:
            return 1.0
        own = kernel_weight_s(kernels[measured[0]], tokens)
        return own / kernel_weight_s(kernels[measured[0].removesuffix(EXPERTS)], tokens)

    def duration_s(self, features: StepFeatures) -> float:
        """Duration of a stretch of work alone on the machine [s]."""
        own = self.coefficients
        far = far_share(features.pass_bytes, own.cache_bytes)
        return (
            own.layer_s * features.layers
            + own.prompt_s * features.prompts
            + own.logit_s * features.logits
            + own.sampled_s * features.sampled
            + own.attention_decode_s * features.decode_macs
            + own.attention_prefill_s * features.prefill_macs
            + own.cell_byte_s * features.cell_bytes
            + own.written_s * features.written
            + own.masked_decode_s * features.masked_decode
            + own.masked_prefill_s * features.masked_prefill
            + own.again_s * features.again
            + own.single_row_s * far * features.single_rows
            + far * sum(own.row_s.get(name, 0.0) * rows for name, rows in features.tiled_rows.items())
            + own.cell_row_s * far * features.cell_rows
            + sum(
                weights * (self.weight_s(name, tokens) + far * own.far_s.get(name.removesuffix(EXPERTS), 0.0))
                for (name, tokens), weights in features.weights.items()
            )
        )
