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
      + row_s · f · rows                             rows of matrices that kernels for several tokens read in tiles
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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmpredict.cost.chunks import COPIED_TYPES, TILED_TYPES, busiest_share
from mmpredict.cost.coefficients import Kernel, StepCoefficients
from mmpredict.cost.piece import PromptPiece, cells_seen
from mmpredict.cost.rates.attention import AttentionLayers, attention_layers
from mmpredict.cost.rates.operations import written_numbers
from mmpredict.models.cache import WITHOUT_CACHE
from mmpredict.models.quantization.weight_types import weight_type
from mmpredict.models.spec import MatrixGroup, ModelSpec

EXPERTS = "/experts"
"""What follows the type of weights in the name of their kernel where they belong to experts, which are multiplied otherwise."""

GROUPED_TYPES = COPIED_TYPES | {"q8_0", "q5_0"}
GROUP = 4
"""Tokens that kernels of these types take together; those that are left over go through the matrix once more (``sgemm.cpp``,
``mnpack``; ``repack.cpp``, ``forward_mul_mat``): five sequences of Q8_0 take longer than six, seven longer than eight."""

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
        weights: (weight type, tokens of the step) → weights evaluated, as if every thread had as many as the busiest [1]; those
            of experts have a type of their own.
        rows: of matrices that are read in tiles (``TILED_TYPES``) [1].
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
    rows: float = 0.0
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


def _passed(spec: ModelSpec, tokens: int, sampled: int) -> Iterator[tuple[MatrixGroup, int, float, float]]:
    """Matrices that tokens pass: the group, how many tokens each matrix sees, the weights and the rows that are touched [1].

    Only sampled tokens pass what is final (``ModelSpec.is_final``).
    """
    for group in spec.main_groups:
        early = group.weights - group.final_weights, group.rows - group.final_rows
        for count, (weights, rows) in ((tokens, early), (sampled, (group.final_weights, group.final_rows))):
            if not (count and weights):
                continue
            touched = spec.expert_coverage(count) if group.experts else 1.0
            seen = max(1, round(count * spec.expert_coverage(1) / touched)) if group.experts else count
            yield group, seen, touched * weights, touched * rows


def step_weights(
    spec: ModelSpec, tokens: int, sampled: int, threads: int, into: dict[tuple[str, int], float], times: float = 1.0
) -> None:
    """Add the matrix work of ``times`` equal steps to ``into`` (see ``StepFeatures.weights``).

    Of a mixture of experts a batch touches some (``ModelSpec.expert_coverage``), each with its share of the n · k assignments.
    """
    for group, seen, weights, _ in _passed(spec, tokens, sampled):
        key = (group.type.name + EXPERTS if group.experts else group.type.name, seen)
        into[key] = into.get(key, 0.0) + times * weights * _unevenness(group, seen, threads)
    output = spec.output_matrix
    if sampled and output:
        name = output.type.name
        own = times * output.weights * busiest_share(output.rows, sampled, threads, name)
        into[name, sampled] = into.get((name, sampled), 0.0) + own


def _unevenness(group: MatrixGroup, tokens: int, threads: int) -> float:
    """``busiest_share`` of matrices of one type, in the mean of their weights [1]."""
    name = group.type.name
    return sum(weights * busiest_share(rows, tokens, threads, name) for rows, weights in group.heights) / group.weights


def tiled_rows(spec: ModelSpec, tokens: int, sampled: int) -> float:
    """Rows that a pass of several tokens reads in tiles [1]."""
    passed = _passed(spec, tokens, sampled)
    rows = sum(touched for group, seen, _, touched in passed if seen > 1 and group.type.name in TILED_TYPES)
    output = spec.output_matrix
    if output and sampled > 1 and output.type.name in TILED_TYPES:
        rows += output.rows
    return rows


def batch_features(
    spec: ModelSpec, depths: Sequence[float], pieces: Sequence[PromptPiece], ubatch_tokens: int, threads: int = 1
) -> StepFeatures:
    """One batch of a unified-cache server: a token of every decoding sequence, then pieces of prompts.

    The batch is evaluated in physical batches of at most ``ubatch_tokens``, by so many threads.
    """
    total = len(depths) + sum(piece.tokens for piece in pieces)
    sampled = len(depths) + sum(piece.last for piece in pieces)
    weights: dict[tuple[str, int], float] = {}
    passes = -(-total // ubatch_tokens)
    rows = 0.0
    for number in range(passes):
        tokens = min(ubatch_tokens, total - number * ubatch_tokens)
        wanted = sampled if number == passes - 1 else 0
        step_weights(spec, tokens, wanted, threads, weights)
        rows += tiled_rows(spec, tokens, wanted)
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
        weights=weights,
        rows=rows,
    )


def decode_features(spec: ModelSpec, depths: Sequence[float], steps: int, threads: int = 1) -> StepFeatures:
    """``steps`` decode steps of sequences at the given depths, every sequence growing by one token a step, by so many threads."""
    weights: dict[tuple[str, int], float] = {}
    count = len(depths)
    step_weights(spec, count, count, threads, weights, times=steps)
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
        weights=weights,
        rows=steps * tiled_rows(spec, count, count),
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
            + own.row_s * far * features.rows
            + own.cell_row_s * far * features.cell_rows
            + sum(
                weights * (self.weight_s(name, tokens) + far * own.far_s.get(name.removesuffix(EXPERTS), 0.0))
                for (name, tokens), weights in features.weights.items()
            )
        )
