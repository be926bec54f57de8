"""What the matrices of a pass ask of a CPU's kernels: weights, rows, and what is read once more for tokens left over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mmpredict.cost.chunks import COPIED_TYPES, TILED_TYPES, busiest_share, times_again
from mmpredict.models.spec import MatrixGroup, ModelSpec

EXPERTS = "/experts"
"""What follows the type of weights in the name of their kernel where they belong to experts, which are multiplied otherwise."""


@dataclass(slots=True)
class MatrixWork:
    """Work of one pass or several.

    Attributes:
        weights: (weight type, tokens of the step) → weights evaluated, as if every thread had as many as the busiest [1]; those
            of experts have a type of their own.
        again: weights that are read once more, for tokens left over from groups of four (``chunks.times_again``) [1]; of experts,
            which no calibration measures in that size, it is not known.
        single_rows: rows that one token is multiplied with, one after the other [1].
        tiled_rows: weight type → rows that kernels for several tokens read in tiles [1].
    """

    weights: dict[tuple[str, int], float] = field(default_factory=dict)
    again: float = 0.0
    single_rows: float = 0.0
    tiled_rows: dict[str, float] = field(default_factory=dict)

    def add_pass(self, spec: ModelSpec, tokens: int, sampled: int, threads: int, times: float = 1.0) -> None:
        """Add ``times`` equal passes.

        Of a mixture of experts a batch touches some (``ModelSpec.expert_coverage``), each with its share of the n · k assignments.

        Args:
            spec: the model.
            tokens: of the pass [1].
            sampled: those of them whose logits are wanted [1].
            threads: worker threads [1].
            times: how many passes [1].
        """
        for group, seen, part, rows in _passed(spec, tokens, sampled):
            self._add(group, seen, times * part * group.weights, times * rows, threads)

    def _add(self, group: MatrixGroup, tokens: int, weights: float, rows: float, threads: int) -> None:
        name = group.type.name
        uneven = again = 0.0
        for height, width, own in group.sizes:
            uneven += own * busiest_share(height, tokens, threads, name)
            if name in COPIED_TYPES and not group.experts:
                again += own * times_again(height, width * group.type.bits_per_weight / 8, tokens, threads)
        key = (name + EXPERTS if group.experts else name, tokens)
        self.weights[key] = self.weights.get(key, 0.0) + weights * uneven / group.weights
        self.again += weights * again / group.weights
        if tokens == 1 and name not in COPIED_TYPES:
            self.single_rows += rows
        elif tokens > 1 and name in TILED_TYPES:
            self.tiled_rows[name] = self.tiled_rows.get(name, 0.0) + rows


def _passed(spec: ModelSpec, tokens: int, sampled: int) -> Iterator[tuple[MatrixGroup, int, float, float]]:
    """Matrices that tokens pass: the group, how many tokens each matrix sees, part of the weights and rows that are touched.

    Only sampled tokens pass what is final (``ModelSpec.is_final``), and the output matrix.
    """
    for group in spec.main_groups:
        final = group.final_weights / group.weights
        for count, part, rows in ((tokens, 1.0 - final, group.rows - group.final_rows), (sampled, final, group.final_rows)):
            if not (count and part):
                continue
            touched = spec.expert_coverage(count) if group.experts else 1.0
            seen = max(1, round(count * spec.expert_coverage(1) / touched)) if group.experts else count
            yield group, seen, touched * part, touched * rows
    if sampled and (output := spec.output_group):
        yield output, sampled, 1.0, output.rows
